"""Message classes and method paths of the Open Inference Protocol and of mark's control service.

The descriptors live in a pool of their own: NVIDIA's and KServe's clients register the same names in protobuf's default
pool, and a process must be able to use one of them beside mark. ModelInfer messages are not here: they are scanned and
written by `mark._core`.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2

__all__ = [
    "CONTROL_SERVICE",
    "GET_BILL",
    "GET_STATUS",
    "GET_STORY",
    "HEALTH_SERVICE",
    "INFERENCE_SERVICE",
    "INTERRUPT",
    "MODEL_INFER",
    "MODEL_METADATA",
    "MODEL_READY",
    "POOL",
    "SERVER_LIVE",
    "SERVER_METADATA",
    "SERVER_READY",
    "TUNE",
    "WATCH",
    "BillLine",
    "BillRequest",
    "BillResponse",
    "BudgetStatus",
    "BurstStatus",
    "ForecastStatus",
    "InstanceStatus",
    "InterruptRequest",
    "InterruptResponse",
    "InterruptedInstance",
    "LatencyStatus",
    "ModelInferRequest",
    "ModelInferResponse",
    "ModelMetadataRequest",
    "ModelMetadataResponse",
    "ModelReadyRequest",
    "ModelReadyResponse",
    "ModelStatus",
    "ServerLiveRequest",
    "ServerLiveResponse",
    "ServerMetadataRequest",
    "ServerMetadataResponse",
    "ServerReadyRequest",
    "ServerReadyResponse",
    "SloStatus",
    "StatusRequest",
    "StatusResponse",
    "StoryRequest",
    "StoryResponse",
    "TuneRequest",
    "TuneResponse",
    "UsdPerHour",
    "WatchEvent",
    "WatchRequest",
    "WindowStatus",
    "WorkerStatus",
]

INFERENCE_SERVICE = "inference.GRPCInferenceService"
CONTROL_SERVICE = "mark.v1.Control"
HEALTH_SERVICE = "grpc.health.v1.Health"

SERVER_LIVE = f"/{INFERENCE_SERVICE}/ServerLive"
SERVER_READY = f"/{INFERENCE_SERVICE}/ServerReady"
MODEL_READY = f"/{INFERENCE_SERVICE}/ModelReady"
SERVER_METADATA = f"/{INFERENCE_SERVICE}/ServerMetadata"
MODEL_METADATA = f"/{INFERENCE_SERVICE}/ModelMetadata"
MODEL_INFER = f"/{INFERENCE_SERVICE}/ModelInfer"
GET_BILL = f"/{CONTROL_SERVICE}/GetBill"
GET_STATUS = f"/{CONTROL_SERVICE}/GetStatus"
INTERRUPT = f"/{CONTROL_SERVICE}/Interrupt"
GET_STORY = f"/{CONTROL_SERVICE}/GetStory"
TUNE = f"/{CONTROL_SERVICE}/Tune"
WATCH = f"/{CONTROL_SERVICE}/Watch"


def _load_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet()
    files.ParseFromString(resources.files(__package__).joinpath("descriptors.binpb").read_bytes())
    for file in files.file:
        pool.Add(file)
    # Reflection answers from this pool, so it has to know the health service as well.
    health = descriptor_pb2.FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    pool.Add(health)
    return pool


POOL = _load_pool()


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


ServerLiveRequest = _message("inference.ServerLiveRequest")
ServerLiveResponse = _message("inference.ServerLiveResponse")
ServerReadyRequest = _message("inference.ServerReadyRequest")
ServerReadyResponse = _message("inference.ServerReadyResponse")
ModelReadyRequest = _message("inference.ModelReadyRequest")
ModelReadyResponse = _message("inference.ModelReadyResponse")
ServerMetadataRequest = _message("inference.ServerMetadataRequest")
ServerMetadataResponse = _message("inference.ServerMetadataResponse")
ModelMetadataRequest = _message("inference.ModelMetadataRequest")
ModelMetadataResponse = _message("inference.ModelMetadataResponse")
ModelInferRequest = _message("inference.ModelInferRequest")
ModelInferResponse = _message("inference.ModelInferResponse")
BillRequest = _message("mark.v1.BillRequest")
BillResponse = _message("mark.v1.BillResponse")
BillLine = _message("mark.v1.BillLine")
UsdPerHour = _message("mark.v1.UsdPerHour")
BudgetStatus = _message("mark.v1.BudgetStatus")
BurstStatus = _message("mark.v1.BurstStatus")
StatusRequest = _message("mark.v1.StatusRequest")
StatusResponse = _message("mark.v1.StatusResponse")
ModelStatus = _message("mark.v1.ModelStatus")
SloStatus = _message("mark.v1.SloStatus")
LatencyStatus = _message("mark.v1.LatencyStatus")
InstanceStatus = _message("mark.v1.InstanceStatus")
InterruptRequest = _message("mark.v1.InterruptRequest")
InterruptResponse = _message("mark.v1.InterruptResponse")
InterruptedInstance = _message("mark.v1.InterruptedInstance")
WorkerStatus = _message("mark.v1.WorkerStatus")
StoryRequest = _message("mark.v1.StoryRequest")
StoryResponse = _message("mark.v1.StoryResponse")
TuneRequest = _message("mark.v1.TuneRequest")
TuneResponse = _message("mark.v1.TuneResponse")
WindowStatus = _message("mark.v1.WindowStatus")
ForecastStatus = _message("mark.v1.ForecastStatus")
WatchRequest = _message("mark.v1.WatchRequest")
WatchEvent = _message("mark.v1.WatchEvent")
