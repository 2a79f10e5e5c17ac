"""Measures how long a worker takes for a batch, by its size."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc.aio
import numpy as np

from mark import _core
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.signature import ModelSignature
from mark.protocol import messages
from mark.protocol.tensors import DATATYPES, raw_of

__all__ = ["batch_sizes", "measure_profile"]

_WARM_UP_RUNS = 2
_RUNS = 20
_VARIABLE_SIZE = 8


def batch_sizes(rows_max: int) -> list[int]:
    """1, 2, 4 ... and `rows_max`."""
    sizes = []
    rows = 1
    while rows < rows_max:
        sizes.append(rows)
        rows *= 2
    return [*sizes, rows_max]


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
    """
    points: list[ProfilePoint] = []
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        infer = channel.unary_unary(messages.MODEL_INFER)
        for rows in batch_sizes(signature.rows_max):
            if on_progress is not None:
                on_progress(rows)
            request = _request(signature, rows)
            latencies_ms = []
            for run in range(_WARM_UP_RUNS + runs):
                began_s = time.perf_counter()
                await infer(request)
                if run >= _WARM_UP_RUNS:
                    latencies_ms.append((time.perf_counter() - began_s) * 1e3)
            latency_ms = float(np.quantile(latencies_ms, 0.99))
            points.append(ProfilePoint(rows, max(latency_ms, points[-1].latency_ms if points else 0.0)))
    return Profile(tuple(points))


def _request(signature: ModelSignature, rows: int) -> bytes:
    tensors: list[tuple[str, str, tuple[int, ...], memoryview | bytes]] = []
    for spec in signature.inputs:
        shape = (rows, *(_VARIABLE_SIZE if size == -1 else size for size in spec.shape[1:]))
        if spec.datatype == "BYTES":
            raw = raw_of(np.full(shape, b"word", dtype=object), "BYTES")
        else:
            raw = raw_of(np.ones(shape, dtype=DATATYPES[spec.datatype]), spec.datatype)
        tensors.append((spec.name, spec.datatype, shape, raw))
    return _core.write_infer_request(signature.name, signature.version, "profile", tensors, [])
