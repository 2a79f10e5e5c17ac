"""Goodput under overload, in virtual time: what is let in is answered, and as much of it as the workers can take."""

from __future__ import annotations

import numpy as np
import pytest

from mark._core import DispatcherParams, LatencyProfile, Outcome, Simulation, WorkerSpec

MS = 1_000_000
S = 1_000_000_000
WORKERS, ROWS, BATCH_MS = 2, 16, 108
CAPACITY_PER_S = WORKERS * ROWS / (BATCH_MS / 1e3)
RUN_S = 60


@pytest.mark.parametrize("variation", [0.0, 0.05])
@pytest.mark.parametrize("load", [0.5, 0.8, 0.95, 1.2, 2.0])
def test_what_is_let_in_is_answered_in_time_at_any_load(load: float, variation: float) -> None:
    params = DispatcherParams(400 * MS, rows_max=ROWS, margin_ns=40 * MS)
    simulation = Simulation(params, seed=1, service_variation=variation)
    for worker in range(1, WORKERS + 1):
        simulation.worker_up(worker, WorkerSpec(LatencyProfile([1, ROWS], [33 * MS, BATCH_MS * MS]), rows_max=ROWS))
    simulation.offer_rates(np.array([RUN_S * S], dtype=np.int64), np.array([load * CAPACITY_PER_S]))
    simulation.run_until((RUN_S + 2) * S)

    counted = simulation.statistics()
    answered = counted.ended(Outcome.ANSWERED)
    assert answered >= 0.99 * counted.admitted_requests
    assert answered >= 0.95 * min(load, 1.0) * CAPACITY_PER_S * RUN_S
