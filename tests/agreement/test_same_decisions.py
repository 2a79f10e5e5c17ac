"""One recorded sequence of arrivals, live and simulated, with a clock moved by hand: the same batches and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from agreement.live_by_hand import Batch, Driver, LiveRun, Worker

from mark import _core
from mark._core import DispatcherParams, LatencyProfile, Outcome

MS = 1_000_000
GAIN = LatencyProfile([1, 8], [20 * MS, 48 * MS])  # batching pays
NONE = LatencyProfile([1, 8], [10 * MS, 80 * MS])  # and here it does not
PADDED = NONE.padded_to([2, 4, 8])
SLOW = LatencyProfile([1, 8], [45 * MS, 70 * MS])
RT_MAX_MS = 100


def poisson(seed: int, rates_per_s: Sequence[float], stretch_s: float = 1.0) -> list[int]:
    """Instants whose rate changes from stretch to stretch."""
    random = np.random.default_rng(seed)
    instants = [
        np.sort(random.uniform(number * stretch_s, (number + 1) * stretch_s, random.poisson(rate * stretch_s)))
        for number, rate in enumerate(rates_per_s)
    ]
    return [int(instant) for instant in np.unique(np.rint(np.concatenate(instants) * 1e9))]


def simulated(
    params: DispatcherParams, arrivals_ns: Sequence[int], workers: Mapping[int, list[Worker | int]]
) -> tuple[list[Batch], _core.Simulation]:
    engine = _core.Simulation(params, keeps_batches=True)
    engine.offer_instants(np.array(arrivals_ns, dtype=np.int64))
    for at_ns, changes in sorted(workers.items()):
        engine.run_until(at_ns)
        for change in changes:
            if isinstance(change, Worker):
                engine.worker_up(change.number, change.spec)
            else:
                engine.worker_down(change)
    engine.run_until(arrivals_ns[-1] + 10 * 1_000_000_000)
    return engine.batches(), engine


async def both(
    monkeypatch: pytest.MonkeyPatch, arrivals_ns: Sequence[int], workers: Mapping[int, list[Worker | int]]
) -> LiveRun:
    params = DispatcherParams(RT_MAX_MS * MS, rows_max=8, margin_ns=2 * MS)
    live = await Driver(params, RT_MAX_MS * MS, monkeypatch).run(arrivals_ns, workers)
    batches, engine = simulated(params, arrivals_ns, workers)

    assert live.batches == batches
    statistics = engine.statistics()
    assert live.ended == {outcome: statistics.ended(outcome) for outcome in Outcome}
    assert len(live.answered) + len(live.refused) == len(arrivals_ns)
    assert len(live.refused) == engine.ended(_core.Ending.REFUSED)
    return live


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("profile", [GAIN, NONE, SLOW, PADDED], ids=["gain", "none", "slow", "padded"])
async def test_light_load_bursts_and_overload(
    monkeypatch: pytest.MonkeyPatch, profile: LatencyProfile, seed: int
) -> None:
    arrivals_ns = poisson(seed, [10, 60, 600, 5, 150])
    live = await both(monkeypatch, arrivals_ns, {0: [Worker(1, profile), Worker(2, profile)]})

    assert live.answered
    assert live.refused  # something was at stake


@pytest.mark.parametrize("seed", range(4))
async def test_unequal_workers(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    workers: dict[int, list[Worker | int]] = {0: [Worker(1, SLOW), Worker(2, GAIN), Worker(3, NONE, rows_max=2)]}
    live = await both(monkeypatch, poisson(seed, [40, 120, 250, 120, 20]), workers)

    assert {worker for _, worker, _ in live.batches} == {1, 2, 3}


@pytest.mark.parametrize("seed", range(4))
async def test_workers_that_come_and_go(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    workers: dict[int, list[Worker | int]] = {
        0: [Worker(1, GAIN), Worker(2, GAIN)],
        1_500_000_001: [1],
        2_200_000_001: [Worker(3, NONE)],
        3_100_000_001: [2, Worker(4, GAIN)],
    }
    live = await both(monkeypatch, poisson(seed, [80, 160, 160, 160, 40]), workers)

    assert {worker for _, worker, _ in live.batches} == {1, 2, 3, 4}


async def test_nobody_is_there_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    live = await both(monkeypatch, poisson(7, [50, 50]), {700_000_001: [Worker(1, GAIN)]})

    assert live.ended[Outcome.EXPIRED] > 0
    assert live.batches[0][0] >= 700_000_001
