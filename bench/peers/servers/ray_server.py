"""Ray Serve: its gRPC ingress, one replica, batches of up to 64 that wait 1 ms at most."""

from __future__ import annotations

import signal
import sys
from typing import Any

import numpy as np
import ray
from bench.peers.mlp import ROWS_MAX, Mlp
from open_inference_grpc_pb2 import ModelInferResponse  # compiled from proto/ when the server is started
from ray import serve
from ray.serve.config import gRPCOptions


@serve.deployment(num_replicas=1, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1})
class Infer:
    """One replica with the model."""

    def __init__(self) -> None:
        self._model = Mlp()

    @serve.batch(max_batch_size=ROWS_MAX, batch_wait_timeout_s=0.001)  # type: ignore[untyped-decorator]
    async def _batch(self, rows: list[bytes]) -> list[bytes]:
        answers = self._model(np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), -1))
        return [answer.tobytes() for answer in answers]

    async def ModelInfer(self, request: Any) -> Any:  # noqa: N802 - the method of the protocol
        response = ModelInferResponse(model_name=request.model_name, model_version="1")
        output = response.outputs.add(name="y", datatype="FP32")
        output.shape.extend([1, 4])
        response.raw_output_contents.append(await self._batch(request.raw_input_contents[0]))
        return response


if __name__ == "__main__":
    grpc_port, http_port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=folder, configure_logging=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": http_port},
        grpc_options=gRPCOptions(
            port=grpc_port,
            grpc_servicer_functions=["open_inference_grpc_pb2_grpc.add_GRPCInferenceServiceServicer_to_server"],
        ),
    )
    serve.run(Infer.bind(), name="mlp", route_prefix="/mlp")  # type: ignore[attr-defined]
    signal.pause()
