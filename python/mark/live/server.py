"""The thin gRPC server: finds the model, sets the deadline, and hands the bytes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import grpc
import grpc.aio

from mark import __version__
from mark._core import (
    RequestFaultInfo,
    RequestTrace,
    Tracer,
    refused_for_stop,
    scan_target,
    unknown_model,
    unknown_version,
)
from mark.domain.signature import ModelSignature
from mark.domain.slo import Slo
from mark.live.burst_loop import BurstLoop
from mark.live.control_loop import ControlLoop
from mark.live.request_path import RequestPath
from mark.ports import Clock
from mark.protocol.error_names import error_of_end, error_of_fault
from mark.tracing.requests import traced

__all__ = ["InferenceServer", "ServedModel", "Tuner"]


class Tuner(Protocol):
    """Holds the batching knobs of one model."""

    def settings(self) -> dict[str, str]:
        """Every knob and its value."""
        ...

    def change(self, settings: Mapping[str, str]) -> None:
        """Set knobs, all of them or none; InvalidRequest says why not."""
        ...


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of the router. `control` is None when all its workers are foreign, `bursts` without serverless."""

    signature: ModelSignature
    slo: Slo
    dispatch: RequestPath
    control: ControlLoop | None
    bursts: BurstLoop | None = None
    tuner: Tuner | None = None


class InferenceServer:
    """Implements `mark.protocol.service.InferenceService` for the router.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, models: Mapping[str, ServedModel], clock: Clock, tracer: Tracer | None = None) -> None:
        """Serve the models; without a tracer no request is traced."""
        self._tracer = tracer
        self._models = dict(models)
        self._clock = clock
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()

    @property
    def draining(self) -> bool:
        """Whether new requests are refused because the server stops."""
        return self._draining

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new requests and wait for those in flight; False when `timeout_s` passed before all were answered."""
        self._draining = True
        if self._in_flight == 0:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def server_live(self) -> bool:
        """The process answers."""
        return True

    async def server_ready(self) -> bool:
        """Every model has a worker, or functions, and the server does not stop."""
        return not self._draining and all(_answers(model) for model in self._models.values())

    async def model_ready(self, name: str, version: str) -> bool:
        """The model has a worker, or functions."""
        return not self._draining and _answers(self._model(name, version))

    async def server_metadata(self) -> tuple[str, str]:
        """Name and version of the server."""
        return "mark", __version__

    async def model_metadata(self, name: str, version: str) -> ModelSignature:
        """What the model takes and gives."""
        return self._model(name, version).signature

    async def model_infer(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Answer one ModelInferRequest within the smaller of rt_max and the client's own deadline."""
        target = scan_target(request)
        if self._tracer is None:
            return await self._infer(request, target, context, None)
        model = "" if isinstance(target, RequestFaultInfo) else target[0]
        with traced(self._tracer, context, model, self._clock.now_ns) as trace:
            return await self._infer(request, target, context, trace)

    async def _infer(
        self,
        request: bytes,
        target: tuple[str, str] | RequestFaultInfo,
        context: grpc.aio.ServicerContext,
        trace: RequestTrace | None,
    ) -> bytes:
        now_ns = self._clock.now_ns()
        if isinstance(target, RequestFaultInfo):
            raise error_of_fault(target)
        if self._draining:
            raise error_of_end(refused_for_stop())
        model = self._model(target[0], "")
        deadline_ns = now_ns + model.slo.rt_max_ns
        remaining_s = context.time_remaining()
        if remaining_s is not None:
            deadline_ns = min(deadline_ns, now_ns + int(remaining_s * 1e9))
        self._in_flight += 1
        try:
            return await model.dispatch.infer(request, deadline_ns, trace)
        finally:
            self._ended_one()

    def _ended_one(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0 and self._draining:
            self._idle.set()

    def _model(self, name: str, version: str) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            raise error_of_end(unknown_model(name, list(self._models)))
        if version not in {"", model.signature.version}:
            raise error_of_end(unknown_version(name, version, model.signature.version))
        return model


def _answers(model: ServedModel) -> bool:
    return model.dispatch.ready_workers > 0 or model.bursts is not None
