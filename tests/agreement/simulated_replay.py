"""A sequence through the simulator."""

from __future__ import annotations

import numpy as np
from agreement.recorded import MS, Change, Functions, Replayed, Sequence, counts_of

from mark._core import BurstLimits, Ending, FunctionPoolParams, Simulation

__all__ = ["replay_simulated"]

_LONG_AFTER_NS = 10_000_000_000


def replay_simulated(sequence: Sequence) -> Replayed:
    """Drive the simulator with it, one instant after the other."""
    functions = sequence.functions
    engine = Simulation(
        sequence.params(),
        keeps_batches=True,
        functions=None if functions is None else _pool(functions),
        burst_limits=BurstLimits() if functions is None else functions.limits(),
    )
    engine.offer_instants(np.array(sequence.instants_ns, dtype=np.int64))
    changes: dict[int, list[Change]] = {}
    for change in sequence.changes:
        changes.setdefault(change.at_ns, []).append(change)
    arrivals = set(sequence.instants_ns)
    replayed = Replayed()
    for at_ns in sorted(arrivals | set(changes)):
        engine.run_until(at_ns)
        for change in changes.get(at_ns, []):
            _apply(engine, change, sequence)
        engine.run_until(at_ns + 1)
        if at_ns in arrivals:
            replayed.trail.append((at_ns, counts_of(engine.statistics())))
    engine.run_until(engine.now_ns + _LONG_AFTER_NS)
    replayed.batches = engine.batches()
    replayed.bursts = engine.bursts()
    replayed.counts = counts_of(engine.statistics())
    replayed.in_time, replayed.late = (
        engine.ended(Ending.INSTANCE) + engine.ended(Ending.SERVERLESS),
        engine.ended(Ending.LATE),
    )
    replayed.unanswered = engine.ended(Ending.REFUSED)
    return replayed


def _pool(functions: Functions) -> FunctionPoolParams:
    params = FunctionPoolParams(functions.latency_ns, concurrency_max=functions.concurrency_max)
    params.set_starts(cold_start_ns=0, burst=float(functions.functions_max), per_s=0.0)
    params.set_price(usd_per_request=1.0, usd_per_s=0.0, billed_quantum_ns=MS)
    return params


def _apply(engine: Simulation, change: Change, sequence: Sequence) -> None:
    if change.kind == "up":
        engine.worker_up(change.worker, sequence.servers[change.worker].spec())
    elif change.kind == "down":
        engine.worker_down(change.worker)
    else:
        engine.worker_drain(change.worker)
