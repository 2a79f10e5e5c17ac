"""What a measured profile is worth under a promise: how far to batch, what that gains, and what a row costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mark._core import LatencyProfile, batch_limits, capacity_rows_per_s
from mark.domain.profile import Profile
from mark.domain.slo import Slo

__all__ = ["BatchingAdvice", "batching_advice"]

_GAIN_MIN = 1.1  # below it, a batch is not worth the waiting for it


@dataclass(frozen=True, slots=True)
class BatchingAdvice:
    """What MArk's two constraints make of a profile.

    Attributes:
        unbatched_rows_per_s: one row at a time, each as slow as its p99.
        n_batch: rows in a batch, at most; None where not even one row is answered in time.
        w_batch_ms: the longest wait of a batch's first request; None as `n_batch`.
        n_sustained: rows of the batches in which it serves most under full load; None as `n_batch`.
        capacity_rows_per_s: in such batches; 0 as `n_batch`.
        batching_pays: whether such batches serve noticeably more than single rows do.
        verdict: all that in words.
    """

    unbatched_rows_per_s: float
    n_batch: int | None
    w_batch_ms: float | None
    n_sustained: int | None
    capacity_rows_per_s: float
    batching_pays: bool
    verdict: str

    @property
    def meets_slo(self) -> bool:
        """Whether any batch is answered in time."""
        return self.n_batch is not None


def batching_advice(
    profile: Profile, slo: Slo, margin_ms: float, rows_max: int, sizes: Sequence[int] = ()
) -> BatchingAdvice:
    """What to make of a profile; the numbers are those that the dispatcher and the planner work with.

    Args:
        profile: of the model on one kind of worker.
        slo: the promise.
        margin_ms: kept of it for the way back to the client.
        rows_max: rows in one batch that the model may be sent.
        sizes: that batches are padded to; empty when they are not.
    """
    core = LatencyProfile(profile.rows, profile.latencies_ns).padded_to(sizes)
    slo_ns = slo.rt_max_ns - round(margin_ms * 1e6)
    one_row_ms = core.predict_ns(1) / 1e6
    unbatched = 1e3 / one_row_ms
    limits = batch_limits(core, slo_ns, rows_max)
    if limits is None:
        verdict = (
            f"no batch meets the promise: a single row takes {one_row_ms:.3g} ms, and rt_max_ms {slo.rt_max_ms:g} less "
            f"margin_ms {margin_ms:g} leaves {slo_ns / 1e6:.3g} ms; raise rt_max_ms, or take a faster worker"
        )
        return BatchingAdvice(unbatched, None, None, None, 0.0, batching_pays=False, verdict=verdict)
    capacity = capacity_rows_per_s(core, slo_ns, rows_max)
    gain = capacity / unbatched
    if gain >= _GAIN_MIN:
        verdict = f"batches of {limits.n_sustained} serve {gain:.1f} times as many rows as single ones"
    elif rows_max == 1:
        verdict = "rows_max is 1: rows are served one at a time"
    elif 2 * core.predict_ns(1) > slo_ns:
        verdict = (
            f"batching is not worth it: after a single row, {one_row_ms:.3g} ms, the promise leaves no time for "
            "another batch, so that nothing can wait for one"
        )
    else:
        verdict = "batching is not worth it: larger batches take as much longer as they have more rows" + _gain(
            limits.n_sustained, gain
        )
    return BatchingAdvice(
        unbatched_rows_per_s=unbatched,
        n_batch=limits.n_batch,
        w_batch_ms=limits.w_batch_ns / 1e6,
        n_sustained=limits.n_sustained,
        capacity_rows_per_s=capacity,
        batching_pays=gain >= _GAIN_MIN,
        verdict=verdict,
    )


def _gain(rows: int, gain: float) -> str:
    return f" (the best, of {rows}, serve {gain - 1:.0%} more)" if rows > 1 else ""
