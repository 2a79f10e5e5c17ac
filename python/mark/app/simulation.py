"""Simulates a policy on a load."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mark import __version__, _core
from mark.app.budgeting import spending_of
from mark.app.parts import dispatcher_params
from mark.app.serverless import burst_limits, function_pool_params
from mark.app.simulated_past import NO_PAST, Past, maxima_of, past_of, scene_s_of
from mark.app.simulated_policies import POLICIES, ForecastBy, PolicyInputs, SimulatedPolicy, policy_of
from mark.app.simulated_scenario import P99_OVER_MEAN, SimulatedScenario, simulated_scenario
from mark.cloud.catalog import burstable_of
from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.config import ModelConfig
from mark.controlplane.budget import Budget
from mark.controlplane.chronicle import Chronicle
from mark.controlplane.controller import Controller
from mark.controlplane.spending import Spending
from mark.domain.budget import BudgetCaps
from mark.domain.load import Load, RecordedLoad
from mark.domain.offering import Market, Offering, Serverless
from mark.domain.simulation_report import SimulationReport
from mark.errors import ConfigError
from mark.live.record_file import RecordLines
from mark.ports import Recorder
from mark.sim import World, WorldParams
from mark.sim.load_feed import feed_of, offered_counts
from mark.sim.report import report_of
from mark.testing import ManualClock
from mark.workload.trace_load import TraceLoad, mean_per_s

__all__ = ["POLICIES", "SimulationQuestion", "Told", "run", "scale_of", "simulate"]

# Lambda, as the paper and AWS describe it: a cold start is billed for about 2.9 s, an idle function is gone after 45
# minutes, a thousand may start at once and 500 a minute after that; durations are billed by 100 ms (2018).
_COLD_START_NS = 2_500_000_000
_COLD_STARTS_PER_S = 500 / 60
_IDLE_MAX_NS = 45 * 60 * 1_000_000_000
_PING_INTERVAL_NS = 5 * 60 * 1_000_000_000
_BILLED_QUANTUM_NS = 100_000_000
_USD_PER_FUNCTION_REQUEST = 0.2e-6
_KEPT_WARM = 100  # assumed: pinged every five minutes, so that a burst finds them


@dataclass(frozen=True, slots=True)
class SimulationQuestion:
    """What is simulated, whatever the policy.

    Attributes:
        scenario: name of a built-in one, or path of a configuration file.
        model: which of the file's models; None where it has but one.
        trace: the load, as a trace file.
        seed: makes arrivals and interruptions reproducible.
        hours: how much of the trace, from its beginning; None for all of it.
        scale: what its rates are multiplied by; None for what the scenario says, or nothing.
        catalog: name of the price catalogue of a built-in scenario; None for the paper's.
        history_hours: so much of the trace, from its beginning, is known when the simulation begins, and not simulated.
        forecast_model: an LSTM of `mark forecast train`; None for none but what is trained on the way.
        decision_log: a file that the records of the run are written to; None for none.
    """

    scenario: str
    model: str | None
    trace: Path
    seed: int
    hours: float | None
    scale: float | None
    catalog: str | None = None
    history_hours: float = 0.0
    forecast_model: Path | None = None
    decision_log: Path | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told of a simulation while it runs.

    Attributes:
        on_progress: called now and then with the simulated seconds that are done; None for nobody.
        recorder: keeps what is decided; None for nobody.
    """

    on_progress: Callable[[float], None] | None = None
    recorder: Recorder | None = None


NOBODY = Told()


def run(
    question: SimulationQuestion, policy: str, on_progress: Callable[[float], None] | None = None
) -> SimulationReport:
    """Simulate one policy.

    Args:
        question: the scenario and the load.
        policy: one of `POLICIES`.
        on_progress: called now and then with the simulated seconds that are done.

    Raises:
        ConfigError: the scenario or the trace cannot be used.
    """
    simulated = simulated_scenario(question.scenario, question.model, question.catalog)
    hours = None if question.hours is None else question.history_hours + question.hours
    load = TraceLoad(question.trace, scale=scale_of(question), hours=hours)
    past = past_of(load, simulated, question.history_hours * 3600, question.seed, question.forecast_model)
    run_of = partial(simulate, simulated, past.rest_of(load), policy, seed=question.seed, past=past)
    if question.decision_log is None:
        return run_of(told=Told(on_progress))
    log = RecordLines(question.decision_log)
    try:
        return run_of(told=Told(on_progress, log))
    finally:
        log.close()


def scale_of(question: SimulationQuestion) -> float:
    """What the trace's rates are multiplied by.

    Raises:
        ConfigError: the scenario or the trace cannot be used.
    """
    if question.scale is not None:
        return question.scale
    wanted_per_s = simulated_scenario(question.scenario, question.model, question.catalog).trace_mean_per_s
    if wanted_per_s is None:
        return 1.0
    # Of the whole trace, whatever part of it is simulated.
    found_per_s = mean_per_s(question.trace)
    if found_per_s == 0:
        raise ConfigError(
            f"{question.trace}: has no requests, so its mean cannot be brought to {wanted_per_s:.0f} a second; "
            "give --scale"
        )
    return wanted_per_s / found_per_s


def simulate(  # noqa: PLR0913 - what may be left out is named
    simulated: SimulatedScenario,
    load: Load | RecordedLoad,
    policy: str | ForecastBy,
    *,
    seed: int = 0,
    behaviour: CloudBehaviour | None = None,
    told: Told = NOBODY,
    past: Past = NO_PAST,
) -> SimulationReport:
    """Simulate one policy on any load.

    Args:
        simulated: the scenario.
        load: what comes; its first minutes are the warm-up if there is a past.
        policy: one of `POLICIES`, or mark with a forecaster of its own.
        seed: makes arrivals and interruptions reproducible.
        behaviour: of the cloud; None for the scenario's usual one.
        told: who is told of it while it runs.
        past: the load before; without one, the load's first rate goes before it.

    Raises:
        ConfigError: the scenario has not what the policy needs, or the load cannot be read.
    """
    began_s = time.perf_counter()
    clock = ManualClock()
    made = policy_of(policy, _inputs(simulated, load, seed, clock, past))
    cloud = SimulatedCloud(made.offerings, clock, behaviour or simulated.behaviour, seed)
    feed = feed_of(load, scene_s_of(simulated, past))
    name = policy if isinstance(policy, str) else policy.name
    params = replace(_world_params(simulated, made, seed), served=_served(simulated, name, seed))
    if simulated.caps is not None and simulated.model is not None and isinstance(made.controller, Controller):
        spending = _spending(simulated.caps, simulated.model, made)
        made.controller.keep_to(spending)
        params = replace(params, spending=spending)
    chronicle = None
    if told.recorder is not None:
        chronicle = Chronicle((_model_name(simulated), name), told.recorder, made.offerings)
    world = World(params, feed, cloud, clock, made.controller, chronicle)
    duration_s = world.run(on_progress=told.on_progress)
    world.settle()
    report = report_of(world, (simulated.scenario.name, name), duration_s, time.perf_counter() - began_s)
    return replace(report, notes=(*simulated.scenario.notes, *made.notes))


def _model_name(simulated: SimulatedScenario) -> str:
    return simulated.scenario.name if simulated.model is None else simulated.model.name


def _served(simulated: SimulatedScenario, policy: str, seed: int) -> dict[str, Any]:
    slo = simulated.scenario.slo
    return {
        **simulated.served,
        "version": __version__,
        "slo": {"rt_max_ms": slo.rt_max_ms, "sl_min": slo.sl_min},
        "step_s": simulated.scenario.step_s,
        "policy": policy,
        "seed": seed,
        "counted_from_s": simulated.warmup_s,
    }


def _inputs(
    simulated: SimulatedScenario, load: Load | RecordedLoad, seed: int, clock: ManualClock, past: Past
) -> PolicyInputs:
    def true_maxima_per_s() -> npt.NDArray[np.float64]:
        return maxima_of(offered_counts(load, scene_s_of(simulated, past), seed, simulated.window_s), simulated)

    return PolicyInputs(simulated, clock, true_maxima_per_s, past)


def _world_params(simulated: SimulatedScenario, made: SimulatedPolicy, seed: int) -> WorldParams:
    scenario = simulated.scenario
    rows_max = dict(simulated.rows_max) if made.batching else dict.fromkeys(simulated.rows_max, 1)
    admission = made.admission and simulated.batching.admission
    batching = simulated.batching.model_copy(update={"rows_max": max(rows_max.values()), "admission": admission})
    return WorldParams(
        dispatcher=dispatcher_params(scenario.slo, batching),
        rt_max_ms=scenario.slo.rt_max_ms,
        specs=simulated.specs(rows_max),
        capacities=made.capacities,
        credits={each.name: _credits(each) for each in made.offerings if each.market is Market.BURSTABLE},
        surplus_usd_per_s={each.name: _surplus_usd_per_s(each) for each in made.offerings},
        functions=None if made.serverless is None else _functions(simulated, made.serverless),
        burst_limits=_burst_limits(simulated),
        service_variation=simulated.service_variation,
        step_s=scenario.step_s,
        window_s=simulated.window_s,
        warmup_s=simulated.warmup_s,
        watch_s=simulated.watch_s,
        seed=seed,
    )


def _spending(caps: BudgetCaps, model: ModelConfig, made: SimulatedPolicy) -> Spending:
    """The whole budget: there is but one model in a simulation."""
    settings, granting = (model.controller, model.batching), Budget(caps, [model.name])
    return spending_of(granting, model.name, made.offerings, settings, serverless=made.serverless is not None)


def _credits(offering: Offering) -> _core.CreditParams:
    """As EC2 runs it: a T2 falls to its baseline without credits, a T3 goes on and is billed for it (unlimited)."""
    share, credits_s = offering.baseline_share, offering.credits_s
    known = burstable_of(offering.name)
    if known is not None and math.isinf(credits_s):
        share, credits_s = known.baseline_share, known.launch_credits_s
    return _core.CreditParams(
        baseline_share=share,
        credits_s=credits_s,
        credits_max_s=share * 24 * 3600,
        unlimited=_surplus_usd_per_s(offering) > 0,
    )


def _surplus_usd_per_s(offering: Offering) -> float:
    known = burstable_of(offering.name)
    return 0.0 if known is None else known.surplus_usd_per_s


def _burst_limits(simulated: SimulatedScenario) -> _core.BurstLimits:
    settings = None if simulated.model is None else simulated.model.serverless
    return _core.BurstLimits() if settings is None else burst_limits(settings)


def _functions(simulated: SimulatedScenario, serverless: Serverless) -> _core.FunctionPoolParams:
    if simulated.model is not None and simulated.model.serverless is not None:
        return function_pool_params(simulated.model.serverless, serverless.latency_ms)
    latency_ns = round(serverless.latency_ms * P99_OVER_MEAN * 1e6)
    params = _core.FunctionPoolParams(latency_ns, concurrency_max=serverless.concurrency_max)
    params.set_starts(cold_start_ns=_COLD_START_NS, burst=float(serverless.concurrency_max), per_s=_COLD_STARTS_PER_S)
    kept_warm = min(_KEPT_WARM, serverless.concurrency_max)
    params.set_warmth(idle_max_ns=_IDLE_MAX_NS, keep_warm=kept_warm, ping_interval_ns=_PING_INTERVAL_NS)
    per_request = serverless.usd_per_million_requests / 1e6
    fee = min(_USD_PER_FUNCTION_REQUEST, per_request)
    params.set_price(
        usd_per_request=fee,
        usd_per_s=(per_request - fee) / (serverless.latency_ms / 1e3),
        billed_quantum_ns=_BILLED_QUANTUM_NS,
    )
    return params
