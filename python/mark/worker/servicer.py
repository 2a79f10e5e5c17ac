"""The worker behind the Open Inference Protocol: checks a request, runs it, and answers."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc.aio

from mark import __version__
from mark._core import BatchTrace, InferRequest, RequestTrace, SpanName, Tracer, unknown_model, unknown_version
from mark.domain.signature import ModelSignature
from mark.errors import DeadlineExceeded, ModelFailed, Unavailable
from mark.protocol.error_names import details_of, error_of_end, status_name_of
from mark.tracing.requests import end_batch, traced
from mark.worker.inference import Inference
from mark.worker.runtimes import Model
from mark.worker.throttle import CpuUse, Throttle

__all__ = ["WorkerService"]


class WorkerService:
    """Implements `mark.protocol.service.InferenceService` for one model.

    Batches run one at a time, in order of arrival, on a thread of their own: the event loop stays free to answer
    health checks and to notice cancelled calls. The thread idles after each batch as the share of the CPU, or the
    credits, demand, even when the batch failed or its caller gave up.

    Thread safety: belongs to one event loop.
    """

    def __init__(
        self, signature: ModelSignature, model: Model, throttle: Throttle, tracer: Tracer | None = None
    ) -> None:
        """Serve the model; without a tracer no request is traced."""
        self._tracer = tracer
        self._signature = signature
        self.inference = Inference(signature, model)
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
        if self._tracer is None:
            return await self._infer(request, context, None)
        with traced(self._tracer, context, self._signature.name, time.monotonic_ns) as trace:
            return await self._infer(request, context, trace)

    async def _infer(self, request: bytes, context: grpc.aio.ServicerContext, trace: RequestTrace | None) -> bytes:
        if self._draining:
            raise Unavailable("the worker stops; send to another one")
        parsed = self.inference.parse(request)
        if trace is not None:
            trace.queued(time.monotonic_ns())
        async with self._turn:
            remaining_s = context.time_remaining()
            if remaining_s is not None and remaining_s <= 0:
                raise DeadlineExceeded("the deadline passed while the batch waited for the model")
            # Shielded: a cancelled call must not let the next batch start while the model still computes this one.
            run = asyncio.get_running_loop().run_in_executor(self._thread, self._run, parsed, trace)
            try:
                return await asyncio.shield(run)
            except asyncio.CancelledError:
                await asyncio.wait([run])
                raise

    def _run(self, request: InferRequest, trace: RequestTrace | None) -> bytes:
        batch = None if trace is None else BatchTrace(SpanName.BATCH, trace, request.rows)
        began, began_ns = CpuUse.now(), time.monotonic_ns()
        if batch is not None:
            batch.sent("", began_ns)
        status, why = "OK", ""
        try:
            return self.inference.compute(request)
        except ModelFailed as error:
            status, why = status_name_of(error), details_of(error)
            raise
        finally:
            if batch is not None:
                batch.computed(began_ns, time.monotonic_ns())
            ended = CpuUse.now()
            self._closing.wait(self._throttle.idle_s(ended - began, ended.wall_s))
            end_batch(batch, status, why, time.monotonic_ns())

    def _check_target(self, name: str, version: str) -> None:
        served = self._signature
        if name != served.name:
            raise error_of_end(unknown_model(name, [served.name]))
        if version not in {"", served.version}:
            raise error_of_end(unknown_version(name, version, served.version))
