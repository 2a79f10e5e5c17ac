"""Measures how long a worker takes for a batch, by its size."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc.aio

from mark.domain.measured_profile import BatchMeasurement, fit
from mark.domain.profile import Profile
from mark.domain.signature import ModelSignature
from mark.protocol import messages
from mark.protocol.statuses import error_of
from mark.worker.example_inputs import batch_sizes, example_request
from mark.worker.measuring import Effort, measurement_of

__all__ = ["SweepProgress", "measure_batches", "measure_profile"]

_WARM_UP_RUNS = 2
_RUNS = 20
_TIME_MAX_S = 10.0
_TURNS = 5  # at least, in which a size is measured while it is not known well enough
_ANSWER_TIMEOUT_S = 60.0  # a model that takes longer serves nobody, and one that hangs must not hang its router


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        rows: of the batches that are measured next.
        sizes: (rows, timed runs so far) of each batch size.
        share: of the sweep that is done, at least, in [0, 1].
    """

    rows: int
    sizes: tuple[tuple[int, int], ...]
    share: float


@dataclass(slots=True)
class _Size:
    """One batch size and its runs so far."""

    rows: int
    latencies_ms: list[float] = field(default_factory=list)
    spent_s: float = 0.0
    enough: bool = False


async def measure_batches(
    address: str,
    signature: ModelSignature,
    effort: Effort,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> tuple[BatchMeasurement, ...]:
    """Time batches of every size on a worker that does nothing else, until each is known as well as `effort` asks.

    The sizes take turns: a moment in which the machine was busy with something else is shared by all of them, and does
    not make one size look slow. A turn begins with runs that do not count, for caches and allocators that the size
    before has left as it likes them.

    Args:
        address: gRPC target of the worker.
        signature: of its model; a dimension of any size gets eight.
        effort: when to stop.
        on_progress: told before each turn.

    Raises:
        RequestError: the worker did not answer a batch.
    """
    sizes = [_Size(rows) for rows in batch_sizes(signature)]
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        infer = channel.unary_unary(messages.MODEL_INFER)
        while waiting := [size for size in sizes if not size.enough]:
            for size in waiting:
                if on_progress is not None:
                    on_progress(_progress(size, sizes, effort))
                try:
                    # Made anew each turn: all sizes together may be more than there is memory.
                    await _take_turn(infer, example_request(signature, size.rows), size, effort)
                except grpc.aio.AioRpcError as error:
                    raise error_of(error.code(), f"profiling {size.rows} rows: {error.details()}") from error
    return tuple(measurement_of(size.rows, size.latencies_ms) for size in sizes)


async def measure_profile(
    address: str, signature: ModelSignature, on_progress: Callable[[int], None] | None = None, runs: int = _RUNS
) -> Profile:
    """A quick look, for a router that has to start: `runs` timed runs of each size, in ten seconds at most.

    With 20 runs the interpolated 0.99 quantile is close to the slowest.

    Args:
        address: gRPC target of the worker.
        signature: of its model; a dimension of any size gets eight.
        on_progress: told the rows of each size before it is measured.
        runs: timed runs of each size.

    Raises:
        RequestError: the worker did not answer a batch.
    """
    effort = Effort(runs_min=runs, runs_max=runs, time_max_s=_TIME_MAX_S)
    told: set[int] = set()

    def tell(progress: SweepProgress) -> None:
        if on_progress is not None and progress.rows not in told:
            told.add(progress.rows)
            on_progress(progress.rows)

    return fit(await measure_batches(address, signature, effort, tell))


async def _take_turn(infer: Callable[..., Awaitable[bytes]], request: bytes, size: _Size, effort: Effort) -> None:
    began_s = time.perf_counter()
    turn_s = effort.time_max_s / _TURNS
    # A batch that takes most of a turn has caches of its own making, and warming them up would take as long again.
    slow = bool(size.latencies_ms) and size.latencies_ms[-1] > 1e3 * turn_s / 4
    for _ in range(0 if slow else _WARM_UP_RUNS):
        await infer(request, timeout=_ANSWER_TIMEOUT_S)
        if time.perf_counter() - began_s > turn_s / 2:
            break
    for _ in range(min(effort.runs_min, effort.runs_max - len(size.latencies_ms))):
        sent_s = time.perf_counter()
        await infer(request, timeout=_ANSWER_TIMEOUT_S)
        answered_s = time.perf_counter()
        size.latencies_ms.append((answered_s - sent_s) * 1e3)
        if answered_s - began_s > turn_s:
            break
    size.spent_s += time.perf_counter() - began_s
    size.enough = effort.is_enough(size.latencies_ms, size.spent_s)


def _progress(size: _Size, sizes: list[_Size], effort: Effort) -> SweepProgress:
    shares = [1.0 if each.enough else effort.share_done(len(each.latencies_ms), each.spent_s) for each in sizes]
    runs = tuple((each.rows, len(each.latencies_ms)) for each in sizes)
    return SweepProgress(size.rows, runs, sum(shares) / len(shares))
