"""Runs a policy over what a decision log recorded: the same load, prices, refusals and interruptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from mark.app.simulated_past import Past
from mark.app.simulated_policies import POLICIES
from mark.app.simulated_scenario import SERVICE_VARIATION, SimulatedScenario, scenario_of_config, simulated_scenario
from mark.app.simulation import simulate
from mark.cloud.simulated import CloudBehaviour, Interruption, PriceChange, SoldOut
from mark.config import parse_config
from mark.domain.load import RecordedLoad
from mark.domain.record import Record, RecordKind
from mark.domain.simulation_report import SimulationReport
from mark.errors import ConfigError

__all__ = ["RecordedRun", "Replay", "recorded_run", "replay"]

_DAY_S = 86_400
_FIRST_SIGHT_S = 1.0  # what was refused then had been sold out for a moment


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One run of a router or a simulation, as its log has it.

    Attributes:
        model: whose.
        records: from its start on.
        usd: that instances and functions cost.
        requests: that ended, but for those that their callers gave up.
        in_time: how many of them were answered in time.
        counted_from_s: from where on dollars and requests count, in seconds from the beginning.
        duration_s: from the beginning to the last record.
    """

    model: str
    records: tuple[Record, ...]
    usd: float
    requests: int
    in_time: int
    counted_from_s: float
    duration_s: float

    @property
    def attainment(self) -> float:
        """Share of the requests that were answered in time; 1 when there were none."""
        return self.in_time / self.requests if self.requests else 1.0

    @property
    def served(self) -> dict[str, Any]:
        """What the log says of the model and what it was served on."""
        return dict(self.records[0].details)


@dataclass(frozen=True, slots=True)
class Replay:
    """What was recorded, and what the simulator makes of it.

    Attributes:
        recorded: the run.
        policy: what served then, as the simulator calls it.
        again: that policy, replayed: what it differs from `recorded` by is the simulator's error.
        other: the policy that was asked for, replayed.
        sl_min: the promise.
        notes: in words, what was assumed.
    """

    recorded: RecordedRun
    policy: str
    again: SimulationReport
    other: SimulationReport
    sl_min: float
    notes: tuple[str, ...]


def recorded_run(records: Sequence[Record], model: str = "") -> RecordedRun:
    """The last run of a model in a log.

    Args:
        records: of the log, in their order.
        model: which; may be empty where the log has but one.

    Raises:
        ConfigError: there is no such model, or the beginning or the load of its last run is not in the log.
    """
    models = list(dict.fromkeys(each.model for each in records))
    if model not in models and (model or len(models) > 1):
        raise ConfigError(f"--model: choose one of {', '.join(models)}" + (f", not {model!r}" if model else ""))
    mine = [each for each in records if each.model == (model or models[0])]
    starts = [index for index, each in enumerate(mine) if each.kind is RecordKind.START]
    if not starts:
        raise ConfigError(
            f"the beginning of the last run of {mine[0].model!r} is not in the log: it was put aside; raise "
            "decision_log.files_max or bytes_max"
        )
    run = tuple(mine[starts[-1] :])
    counted = [each for each in run if isinstance(each.details.get("tally"), dict)]
    if len(counted) < 2:
        raise ConfigError(f"the last run of {mine[0].model!r} has no two plans: there is nothing to replay")
    from_s = float(run[0].details.get("counted_from_s", 0.0))
    first = next((each for each in counted if from_s and _at_s(each, run) >= from_s), None)
    before = {"usd": 0.0, "ended": 0, "in_time": 0} if first is None else first.details["tally"]
    after = counted[-1].details["tally"]
    return RecordedRun(
        model=run[0].model,
        records=run,
        usd=after["usd"] - before["usd"],
        requests=after["ended"] - before["ended"],
        in_time=after["in_time"] - before["in_time"],
        counted_from_s=from_s,
        duration_s=_at_s(counted[-1], run),
    )


def replay(run: RecordedRun, policy: str, *, seed: int = 0) -> Replay:
    """Simulate the recorded policy and another one on what was recorded.

    Args:
        run: what was recorded.
        policy: one of `POLICIES`.
        seed: places the requests inside the seconds in which they were counted.

    Raises:
        ConfigError: what was served cannot be simulated, or not by this policy.
    """
    simulated = _scenario_of(run)
    load = _load_of(run, seed)
    recorded = run.served.get("policy")
    served_by = recorded if recorded in POLICIES else "mark-spot" if simulated.spot else "mark"
    behaviour = _behaviour_of(run, simulated)
    past = Past(np.empty(0), scene_s=0.0, first_step=_first_step_of(run, simulated))

    def by(name: str) -> SimulationReport:
        return simulate(simulated, load, name, seed=seed, behaviour=behaviour, past=past)

    again = by(served_by)
    other = again if policy == served_by else by(policy)
    return Replay(run, served_by, again, other, simulated.scenario.slo.sl_min, _NOTES)


_NOTES = (
    f"batch times vary by {SERVICE_VARIATION:.0%}; profiles are their 99th percentile",
    "requests come at chance instants inside the stretches in which they were counted, one row each",
    "what was refused stays sold out for every policy until it was tried again; nothing is taken away but what was",
    "instances boot in exactly the boot_s of their offering",
)


def _at_s(record: Record, run: Sequence[Record]) -> float:
    return (record.at_ns - run[0].at_ns) / 1e9


def _scenario_of(run: RecordedRun) -> SimulatedScenario:
    served = run.served
    if isinstance(served.get("config"), dict):
        name = f"the log of {run.model}"
        found = scenario_of_config(parse_config(json.dumps(served["config"]), name=name), name, run.model)
    elif isinstance(served.get("scenario"), str):
        found = simulated_scenario(served["scenario"], None, served.get("catalog"))
    else:
        raise ConfigError(f"the log does not say what {run.model!r} was served on")
    return replace(found, warmup_s_min=run.counted_from_s, scenario=replace(found.scenario, notes=()))


def _load_of(run: RecordedRun, seed: int) -> RecordedLoad:
    """As many requests in each stretch as were counted in it."""
    samples: dict[float, int] = {}
    for record in run.records:
        for at_ns, rows in record.details.get("arrivals", ()):
            samples[max(0.0, (at_ns - run.records[0].at_ns) / 1e9)] = rows
    counted = sorted(samples.items())
    draws = np.random.default_rng(seed)
    instants = [
        np.sort(draws.uniform(began_s, ended_s, max(0, rows - before)))
        for (began_s, before), (ended_s, rows) in pairwise(counted)
    ]
    instants_s = np.concatenate(instants) if instants else np.empty(0)
    return RecordedLoad(instants_s, max(run.duration_s, float(instants_s.max(initial=0.0))))


def _first_step_of(run: RecordedRun, simulated: SimulatedScenario) -> int:
    """Number of the step at the beginning: of the day, or as the simulation counted that wrote the log."""
    step_s = simulated.scenario.step_s
    if "counted_from_s" in run.served:
        return round(-run.counted_from_s / step_s)
    return int(run.records[0].unix_s % _DAY_S // step_s)


def _behaviour_of(run: RecordedRun, simulated: SimulatedScenario) -> CloudBehaviour:
    usual = simulated.behaviour or CloudBehaviour()
    known = {each.name for each in (*simulated.scenario.offerings, *simulated.spot, *simulated.standbys)}
    return replace(
        usual,
        boot_variation=0.0,
        sold_out_after_s=0.0,  # what was refused says it
        sold_out=tuple(each for each in _sold_out_of(run, simulated.scenario.step_s) if each.name in known),
        interruptions=tuple(_interruptions_of(run)),
        prices=tuple(each for each in _prices_of(run) if each.offering in known),
        draws=False,
    )


def _interruptions_of(run: RecordedRun) -> Iterator[Interruption]:
    for record in run.records:
        if record.kind is RecordKind.INTERRUPTION:
            notices_s = [float(each["notice_s"]) for each in record.details["instances"]]
            yield Interruption(_at_s(record, run.records), record.details["share"], max(0.0, min(notices_s)))


def _sold_out_of(run: RecordedRun, step_s: float) -> list[SoldOut]:
    """When each offering was not to be had: refusals that follow on each other are one time."""
    noticed = {each.id: each for each in run.records if each.kind is RecordKind.INTERRUPTION}
    found: dict[str, list[SoldOut]] = {}
    for record in run.records:
        # A bound of the configuration holds in the simulator, too, and for another fleet at another time.
        if record.kind is not RecordKind.REFUSAL or record.details["error"] == "QuotaExceeded":
            continue
        offering, at_s = record.details["offering"], _at_s(record, run.records)
        until_s, from_s = at_s + record.details["pause_s"], max(0.0, at_s - _FIRST_SIGHT_S)
        notice = noticed.get(record.details.get("interruption", ""))
        if notice is not None and offering in {each["offering"] for each in notice.details["instances"]}:
            from_s = min(from_s, _at_s(notice, run.records))
        times = found.setdefault(offering, [])
        if times and from_s <= times[-1].until_s + 2 * step_s:
            times[-1] = replace(times[-1], until_s=max(until_s, times[-1].until_s))
        else:
            times.append(SoldOut(offering, from_s, until_s))
    return [each for times in found.values() for each in times]


def _prices_of(run: RecordedRun) -> Iterator[PriceChange]:
    now: dict[str, float] = dict(run.records[0].snapshot.prices_usd_per_hour)
    for record in run.records:
        for name, usd_per_hour in record.snapshot.prices_usd_per_hour.items():
            if now.get(name) != usd_per_hour:
                now[name] = usd_per_hour
                yield PriceChange(_at_s(record, run.records), name, usd_per_hour)
