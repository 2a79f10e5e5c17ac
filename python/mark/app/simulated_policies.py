"""The policies that can be simulated: which offerings, which controller, which request path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mark.app.forecasters import ForecastWork, forecaster_of, level_of, planned_with
from mark.app.parts import controller_params, core_profile
from mark.app.simulated_past import NO_PAST, Past, first_step_of
from mark.app.simulated_scenario import P99_OVER_MEAN, SimulatedScenario
from mark.config import ControllerConfig
from mark.controlplane.baselines import CountController, FixedCounts, TrackedCount
from mark.controlplane.controller import STEPS_KEPT, Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.fleet_rules import FleetController
from mark.domain.offering import Offering, Serverless
from mark.errors import ConfigError
from mark.forecast.background import InlineBackground
from mark.forecast.baselines import MovingMaximum, SeasonalQuantile
from mark.forecast.champion import Champion
from mark.forecast.true_future import TrueFuture
from mark.policies.provisioning import peak_sized_fleet
from mark.policies.target_tracking import TargetTracking
from mark.ports import Clock, Forecaster

__all__ = ["POLICIES", "ForecastBy", "PolicyInputs", "SimulatedPolicy", "policy_of"]

_SAGEMAKER_PRICE_FACTOR = 1.4  # of an ML instance over the same of EC2; assumed, as in the paper's data
_SAGEMAKER_OVER_PROVISION = 2.0  # as the paper's baseline is configured
_REACTIVE_TARGET_SHARE = 0.7  # of its capacity that an instance is to be used; a usual target
_ACCELERATED = ("p", "g", "inf", "trn")
# For what rates do not say: arrivals come in clumps, and instances cannot be used to the last. Functions take care of
# that where there are any.
_HEADROOM = 1.1
_HEADROOM_WITH_FUNCTIONS = 1.0
# Functions take what goes beyond the middle of what may come; without them every burst of the last hours is expected
# again and, before that many hours were seen, one of the paper's trace ("peak is four times the valley", section 5.1).
_LEVEL_WITH_FUNCTIONS = 0.5
_PEAK_OVER_VALLEY = 4.0
_COOLDOWN_S = 60.0


@dataclass(frozen=True, slots=True)
class SimulatedPolicy:
    """One policy on one scenario, ready to be simulated.

    Attributes:
        offerings: what it may rent.
        capacities: requests per second of each, as it reckons with them.
        controller: decides.
        serverless: what takes single requests; None for nothing.
        batching: whether requests share batches.
        admission: whether what cannot be answered in time is refused.
        notes: in words, what the policy assumes.
    """

    offerings: tuple[Offering, ...]
    capacities: Mapping[str, float]
    controller: FleetController
    serverless: Serverless | None
    batching: bool = True
    admission: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """What a policy is made from.

    Attributes:
        simulated: the scenario.
        clock: of the simulation.
        true_maxima_per_s: the highest rate of each step to come, for those who may know it: reads the whole load.
        past: what is known when the simulation begins.
    """

    simulated: SimulatedScenario
    clock: Clock
    true_maxima_per_s: Callable[[], npt.NDArray[np.float64]]
    past: Past = NO_PAST


@dataclass(frozen=True, slots=True)
class ForecastBy:
    """Mark with a forecaster that has no name among the policies.

    Attributes:
        name: for the report.
        forecaster: what forecasts.
    """

    name: str
    forecaster: Forecaster


def policy_of(policy: str | ForecastBy, inputs: PolicyInputs) -> SimulatedPolicy:
    """A policy for a scenario.

    Raises:
        ConfigError: the scenario has not what the policy needs.
    """
    if isinstance(policy, str):
        return _POLICIES[policy](inputs)
    scenario = inputs.simulated.scenario
    return _marks(inputs, scenario.offerings, scenario.capacities, scenario.serverless, policy.forecaster)


def _mark(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    return _marks(inputs, scenario.offerings, scenario.capacities, scenario.serverless)


def _mark_spot(inputs: PolicyInputs) -> SimulatedPolicy:
    simulated = inputs.simulated
    if not simulated.spot:
        raise ConfigError(f"mark-spot: {simulated.scenario.name} offers nothing on spot")
    more = (*simulated.spot, *simulated.standbys)
    rates = {**simulated.scenario.capacities, **{each.name: simulated.spare_capacities[each.name] for each in more}}
    offerings = (*simulated.scenario.offerings, *more)
    return _marks(inputs, offerings, rates, simulated.scenario.serverless)


def _mark_no_batching(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    rates = {name: min(rate, _rate_alone(inputs.simulated, name)) for name, rate in scenario.capacities.items()}
    return replace(_marks(inputs, scenario.offerings, rates, scenario.serverless), batching=False)


def _mark_no_serverless(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    return _marks(inputs, scenario.offerings, scenario.capacities, None)


def _mark_moving_maximum(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    return _marks(inputs, scenario.offerings, scenario.capacities, scenario.serverless, MovingMaximum())


def _mark_no_forecast(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    forecaster = MovingMaximum(window_steps=1, headroom=_headroom(scenario.serverless))
    return _marks(inputs, scenario.offerings, scenario.capacities, scenario.serverless, forecaster)


def _oracle(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    return _marks(
        inputs,
        scenario.offerings,
        scenario.capacities,
        scenario.serverless,
        TrueFuture(inputs.true_maxima_per_s(), inputs.clock, _headroom(scenario.serverless)),
    )


def _marks(
    inputs: PolicyInputs,
    offerings: tuple[Offering, ...],
    capacities: Mapping[str, float],
    serverless: Serverless | None,
    forecaster: Forecaster | None = None,
) -> SimulatedPolicy:
    """The controller of live serving."""
    simulated = inputs.simulated
    standbys = frozenset(offering.name for offering in offerings if offering in simulated.standbys)
    params = _controller_params(simulated, standbys)
    rented = planned_with(offerings, standbys)
    made = forecaster or _forecaster(inputs, rented, capacities, serverless)
    controller = Controller(("simulated", simulated.scenario.name), offerings, capacities, made, params, serverless)
    controller.remember(inputs.past.maxima_per_s)
    return SimulatedPolicy(offerings, capacities, controller, serverless)


def _controller_params(simulated: SimulatedScenario, standbys: frozenset[str]) -> ControllerParams:
    if simulated.model is None:
        scenario = simulated.scenario
        return ControllerParams(
            step_s=scenario.step_s, horizon_steps=scenario.horizon_steps, cooldown_s=_COOLDOWN_S, standbys=standbys
        )
    return controller_params(simulated.model, standbys)


def _forecaster(
    inputs: PolicyInputs,
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    serverless: Serverless | None,
) -> Forecaster:
    """A configuration's is that of live serving; a built-in scenario's depends on what is known of the load."""
    simulated = inputs.simulated
    scenario = simulated.scenario
    if simulated.model is not None:
        settings = simulated.model.controller
    elif len(inputs.past.maxima_per_s):
        forecast = {} if inputs.past.forecast_model is None else {"model": str(inputs.past.forecast_model)}
        settings = ControllerConfig.model_validate(
            {"step_s": scenario.step_s, "window_s": simulated.window_s, "forecast": forecast}
        )
    elif serverless is None:
        return SeasonalQuantile(level=1.0, periods=8, headroom=_HEADROOM, prior_ratio=_PEAK_OVER_VALLEY)
    else:
        return SeasonalQuantile(level=_LEVEL_WITH_FUNCTIONS, level_steps=30, headroom=_HEADROOM_WITH_FUNCTIONS)
    clock, step_ns, first = inputs.clock, round(scenario.step_s * 1e9), first_step_of(simulated, inputs.past)
    work = ForecastWork(lambda: first + clock.now_ns() // step_ns, InlineBackground(), InlineBackground())
    level = level_of(offerings, capacities, serverless, scenario.slo.sl_min)
    forecaster = forecaster_of(settings, level, work)
    if isinstance(forecaster, Champion):
        forecaster.replay(inputs.past.maxima_per_s[-STEPS_KEPT:], first, scenario.step_s)
    return forecaster


def _headroom(serverless: Serverless | None) -> float:
    return _HEADROOM if serverless is None else _HEADROOM_WITH_FUNCTIONS


def _sagemaker(inputs: PolicyInputs) -> SimulatedPolicy:
    simulated = inputs.simulated
    plain, rate = _best_single(simulated, cpu_only=True, batching=False)
    dearer = replace(plain, price_usd_per_hour=plain.price_usd_per_hour * _SAGEMAKER_PRICE_FACTOR)
    tracking = TargetTracking(rate / _SAGEMAKER_OVER_PROVISION)
    controller = CountController(TrackedCount(plain.name, tracking), {plain.name: rate}, simulated.scenario.step_s)
    notes = (
        f"sagemaker: {plain.name} at {_SAGEMAKER_PRICE_FACTOR} times its price, {_SAGEMAKER_OVER_PROVISION:g} times "
        "over-provisioned, no batching; what has expired in its queue is not computed, which is kinder than it is",
    )
    return SimulatedPolicy(
        (dearer,), {plain.name: rate}, controller, None, batching=False, admission=False, notes=notes
    )


def _reactive(inputs: PolicyInputs) -> SimulatedPolicy:
    simulated = inputs.simulated
    best, rate = _best_single(simulated, cpu_only=False, batching=True)
    tracking = TargetTracking(rate * _REACTIVE_TARGET_SHARE)
    controller = CountController(TrackedCount(best.name, tracking), {best.name: rate}, simulated.scenario.step_s)
    notes = (f"reactive: {best.name} at EC2's price, each to be used to {_REACTIVE_TARGET_SHARE:.0%}, with batching",)
    return SimulatedPolicy((best,), {best.name: rate}, controller, None, notes=notes)


def _peak_static(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    peak_per_s = float(inputs.true_maxima_per_s().max(initial=0.0)) * _HEADROOM
    try:
        fleet = peak_sized_fleet(scenario.offerings, scenario.capacities, peak_per_s)
    except ValueError as error:
        raise ConfigError(f"peak-static: {error}") from error
    controller = CountController(FixedCounts(fleet), scenario.capacities, scenario.step_s)
    words = ", ".join(f"{count} {name}" for name, count in fleet.items())
    return SimulatedPolicy(
        scenario.offerings, scenario.capacities, controller, None, notes=(f"peak-static: {words} all the time",)
    )


def _serverless_only(inputs: PolicyInputs) -> SimulatedPolicy:
    scenario = inputs.simulated.scenario
    if scenario.serverless is None:
        raise ConfigError(f"serverless-only: {scenario.name} has no serverless that meets its SLO")
    controller = CountController(FixedCounts({}), {}, scenario.step_s)
    return SimulatedPolicy(scenario.offerings, scenario.capacities, controller, scenario.serverless)


def _best_single(simulated: SimulatedScenario, *, cpu_only: bool, batching: bool) -> tuple[Offering, float]:
    """The offering that serves a request at the least price, alone, and how many a second it serves."""
    rates = {}
    for offering in simulated.scenario.offerings:
        rate = simulated.scenario.capacities[offering.name]
        accelerated = offering.name.startswith(_ACCELERATED) and "." in offering.name
        if rate <= 0 or (cpu_only and accelerated):
            continue
        rates[offering] = rate if batching else min(rate, _rate_alone(simulated, offering.name))
    if not rates:
        raise ConfigError(f"{simulated.scenario.name}: no CPU offering meets the SLO")
    best = min(rates, key=lambda offering: offering.price_usd_per_hour / rates[offering])
    return best, rates[best]


def _rate_alone(simulated: SimulatedScenario, name: str) -> float:
    """Requests per second without batches, reckoned as capacities are: the paper's by means, a file's by profile."""
    profile = simulated.profiles[name]
    if simulated.model is None:
        return 1000.0 * P99_OVER_MEAN / profile.points[0].latency_ms
    return 1e9 / core_profile(profile, simulated.batching.sizes).predict_ns(1)


_POLICIES: dict[str, Callable[[PolicyInputs], SimulatedPolicy]] = {
    "mark": _mark,
    "mark-spot": _mark_spot,
    "mark-no-batching": _mark_no_batching,
    "mark-no-serverless": _mark_no_serverless,
    "mark-no-forecast": _mark_no_forecast,
    "mark-moving-maximum": _mark_moving_maximum,
    "oracle": _oracle,
    "sagemaker": _sagemaker,
    "reactive": _reactive,
    "peak-static": _peak_static,
    "serverless-only": _serverless_only,
}
POLICIES = tuple(_POLICIES)
