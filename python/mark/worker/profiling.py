"""Measures how long a worker takes for a batch, by its size."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import grpc.aio
import numpy as np

from mark import _core
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature
from mark.protocol import messages
from mark.protocol.statuses import error_of
from mark.protocol.tensors import raw_of
from mark.worker.example_inputs import batch_sizes, example_inputs

__all__ = ["measure_profile"]

_WARM_UP_RUNS = 2
_RUNS = 20
_ANSWER_TIMEOUT_S = 60.0  # a model that takes longer serves nobody, and one that hangs must not hang its router


async def measure_profile(
    address: str, signature: ModelSignature, on_progress: Callable[[int], None] | None = None, runs: int = _RUNS
) -> Profile:
    """Time batches of every size on a worker that does nothing else.

    The latency of a size is the 0.99 quantile of its runs, interpolated; with 20 runs that is close to the slowest.
    A size is never faster than a smaller one: a batch could always be padded.

    Args:
        address: gRPC target of the worker.
        signature: of its model; a dimension of any size gets eight.
        on_progress: told the rows of each size before it is measured.
        runs: timed runs of each size, after two that are not.

    Raises:
        RequestError: the worker did not answer a batch.
    """
    points: list[ProfilePoint] = []
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        infer = channel.unary_unary(messages.MODEL_INFER)
        for rows in batch_sizes(signature.rows_max):
            if on_progress is not None:
                on_progress(rows)
            try:
                latencies_ms = await _time_runs(infer, _request(signature, rows), runs)
            except grpc.aio.AioRpcError as error:
                raise error_of(error.code(), f"profiling {rows} rows: {error.details()}") from error
            latency_ms = float(np.quantile(latencies_ms, 0.99))
            points.append(ProfilePoint(rows, max(latency_ms, points[-1].latency_ms if points else 0.0)))
    return Profile(tuple(points))


async def _time_runs(infer: Callable[..., Awaitable[bytes]], request: bytes, runs: int) -> list[float]:
    latencies_ms = []
    for run in range(_WARM_UP_RUNS + runs):
        began_s = time.perf_counter()
        await infer(request, timeout=_ANSWER_TIMEOUT_S)
        if run >= _WARM_UP_RUNS:
            latencies_ms.append((time.perf_counter() - began_s) * 1e3)
    return latencies_ms


def _request(signature: ModelSignature, rows: int) -> bytes:
    arrays = example_inputs(signature, rows)
    tensors = [
        (spec.name, spec.datatype, arrays[spec.name].shape, raw_of(arrays[spec.name], spec.datatype))
        for spec in signature.inputs
    ]
    return _core.write_infer_request(signature.name, signature.version, "profile", tensors, [])
