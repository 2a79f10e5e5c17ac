"""The worker behind the Open Inference Protocol: checks a request, runs it, and answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc.aio
import numpy as np

from mark import __version__
from mark._core import InferRequest, RequestFaultInfo, parse_infer_request, write_infer_response
from mark._core import ModelSignature as CoreSignature
from mark.domain.signature import ModelSignature
from mark.errors import DeadlineExceeded, ModelFailed, ModelNotFound, Unavailable
from mark.protocol.statuses import error_of_fault
from mark.protocol.tensors import array_of, datatype_of, raw_of
from mark.worker.runtimes import Arrays, Model, first_line
from mark.worker.throttle import CpuUse, Throttle

__all__ = ["WorkerService"]


class WorkerService:
    """Implements `mark.protocol.service.InferenceService` for one model.

    Batches run one at a time, in order of arrival, on a thread of their own: the event loop stays free to answer
    health checks and to notice cancelled calls. The thread idles after each batch as the share of the CPU, or the
    credits, demand, even when the batch failed or its caller gave up.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, signature: ModelSignature, model: Model, throttle: Throttle) -> None:
        self._signature = signature
        self._core_signature = CoreSignature(
            signature.name,
            signature.version,
            [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.inputs],
            [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.outputs],
            signature.rows_max,
        )
        self._model = model
        self._throttle = throttle
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mark-model")
        self._draining = False
        self._closing = threading.Event()

    def drain(self) -> None:
        """Refuse new batches; those that were accepted are finished."""
        self._draining = True

    def close(self) -> None:
        """Wait for the batch that runs, not for the idle time after it, and end the thread."""
        self._closing.set()
        self._thread.shutdown(wait=True)

    async def server_live(self) -> bool:
        """The process answers."""
        return True

    async def server_ready(self) -> bool:
        """The model is loaded and new batches are accepted."""
        return not self._draining

    async def model_ready(self, name: str, version: str) -> bool:
        """As `server_ready`, for this model."""
        self._check_target(name, version)
        return not self._draining

    async def server_metadata(self) -> tuple[str, str]:
        """Name and version of the server."""
        return "mark worker", __version__

    async def model_metadata(self, name: str, version: str) -> ModelSignature:
        """What the model takes and gives."""
        self._check_target(name, version)
        return self._signature

    async def model_infer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Run one batch; one whose caller gave up while it waited its turn is not computed."""
        if self._draining:
            raise Unavailable("the worker stops; send to another one")
        parsed = parse_infer_request(request, self._core_signature)
        if isinstance(parsed, RequestFaultInfo):
            raise error_of_fault(parsed)
        async with self._turn:
            remaining_s = context.time_remaining()
            if remaining_s is not None and remaining_s <= 0:
                raise DeadlineExceeded("the deadline passed while the batch waited for the model")
            # Shielded: a cancelled call must not let the next batch start while the model still computes this one.
            run = asyncio.get_running_loop().run_in_executor(self._thread, self._run, parsed)
            try:
                return await asyncio.shield(run)
            except asyncio.CancelledError:
                await asyncio.wait([run])
                raise

    def _run(self, request: InferRequest) -> bytes:
        began = CpuUse.now()
        try:
            return self._compute(request)
        finally:
            ended = CpuUse.now()
            self._closing.wait(self._throttle.idle_s(ended - began, ended.wall_s))

    def _compute(self, request: InferRequest) -> bytes:
        inputs = {
            tensor.name: array_of(request.raw(index), tensor.datatype, request.shape(index))
            for index, tensor in enumerate(self._signature.inputs)
        }
        try:
            outputs = self._model(inputs)
        except BaseException as error:  # a request that makes a model exit, or panic, must not end worker after worker
            raise ModelFailed(first_line(error)) from error
        return self._respond(request, outputs)

    def _respond(self, request: InferRequest, outputs: Arrays) -> bytes:
        if not isinstance(outputs, Mapping):
            raise ModelFailed(f"the model gave a {type(outputs).__name__}, not a mapping of arrays")
        tensors = []
        for index in request.outputs:
            spec = self._signature.outputs[index]
            array = outputs.get(spec.name)
            if array is None:
                raise ModelFailed(f"the model gave no output {spec.name!r}, only {', '.join(outputs) or 'nothing'}")
            if not isinstance(array, np.ndarray):
                raise ModelFailed(f"output {spec.name!r} is a {type(array).__name__}, not an array")
            if array.ndim == 0 or array.shape[0] != request.rows:
                raise ModelFailed(f"output {spec.name!r} has shape {list(array.shape)} for {request.rows} rows")
            try:
                # BF16 has no NumPy type: it travels as uint16.
                datatype = "BF16" if spec.datatype == "BF16" else datatype_of(array)
                raw = raw_of(array, datatype)
            except ValueError as error:
                raise ModelFailed(f"output {spec.name!r} {error}") from error
            if datatype != spec.datatype:
                raise ModelFailed(f"output {spec.name!r} is {datatype}, its signature says {spec.datatype}")
            tensors.append((spec.name, datatype, array.shape, raw))
        return write_infer_response(self._signature.name, self._signature.version, request.id, tensors)

    def _check_target(self, name: str, version: str) -> None:
        served = self._signature
        if name != served.name:
            raise ModelNotFound(f"unknown model {name!r}; served is {served.name!r}")
        if version not in {"", served.version}:
            raise ModelNotFound(f"model {name!r} has no version {version!r}; served is {served.version!r}")
