"""Seeded planning problems, to see how far plans are from the optimum: windows of traces, fleets that happen to run."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mark import _core
from mark.cloud.catalog import catalog
from mark.domain.fleet_plan import RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Market, Offering
from mark.policies.planning import PlanningOptions, planning_problem
from mark.workload.trace_file import read_trace

TRACES = Path(__file__).resolve().parents[3] / "shared" / "traces"
MEAN_PER_S = 64.5  # of the Twitter trace; the loads of all others are scaled to it
STEPS = 12
STEP_S = 300.0

# Requests per second of one instance under the SLO. All are assumed, about in proportion to what the types compute:
# nobody has measured them.
ASSUMED_CAPACITIES = {
    "c5.large": 2.0,
    "c5.xlarge": 3.8,
    "c5.2xlarge": 6.6,
    "c6i.large": 2.4,
    "c6i.xlarge": 4.6,
    "c7g.large": 2.2,
    "c7i.xlarge": 5.4,
    "g4dn.xlarge": 24.0,
    "g5.xlarge": 52.0,
    "g6.xlarge": 40.0,
    "inf1.xlarge": 9.5,
    "inf2.xlarge": 36.0,
}


@dataclass(frozen=True)
class GapCase:
    """One question to a planner."""

    offerings: tuple[Offering, ...]
    capacities: dict[str, float]
    running: tuple[RunningGroup, ...]
    forecast: Forecast

    def problem(self) -> _core.PlanningProblem:
        options = PlanningOptions()
        return planning_problem(self.offerings, self.capacities, self.running, self.forecast, options)


def modern_offerings(boot_s: float = 0.0) -> tuple[Offering, ...]:
    """Twelve types at their on-demand prices; five minutes are paid for at each launch, wherever it serves from."""
    prices = catalog("aws-us-east-1")
    sold = []
    for name in ASSUMED_CAPACITIES:
        offering = prices.sell(Offering(name, Market.ON_DEMAND, 1.0, boot_s, 100_000, launch_overhead_s=300.0))
        assert offering is not None
        sold.append(offering)
    return tuple(sold)


def twice_as_many(offerings: Sequence[Offering], rng: random.Random) -> tuple[tuple[Offering, ...], dict[str, float]]:
    """The offerings and a variant of each, somewhat dearer or cheaper and faster or slower; their capacities."""
    variants = [
        replace(each, name=f"{each.name}/b", price_usd_per_hour=each.price_usd_per_hour * rng.uniform(0.85, 1.2))
        for each in offerings
    ]
    others = {f"{name}/b": rate * rng.uniform(0.8, 1.25) for name, rate in ASSUMED_CAPACITIES.items()}
    return (*offerings, *variants), ASSUMED_CAPACITIES | others


def rates_of(trace: str) -> list[float]:
    """Requests per second of each minute of a trace, all scaled to the same mean."""
    counts = read_trace(TRACES / trace).counts
    return [float(rate) for rate in counts * (MEAN_PER_S / counts.mean())]


def made_up_rates(rng: random.Random) -> list[float]:
    """Two days of minutes with a wave for each day, noise and bursts: for where the traces are not."""
    rates, burst = [], 1.0
    for minute in range(2 * 1440):
        burst = rng.uniform(1.2, 2.0) if rng.random() < 0.005 else 1 + (burst - 1) * 0.9
        wave = 1 + 0.5 * math.sin(minute / 1440 * math.tau)
        rates.append(MEAN_PER_S * wave * burst * rng.uniform(0.93, 1.07))
    return rates


def window_of(rates: Sequence[float], rng: random.Random, *, scale: float, steps: int, step_s: float) -> Forecast:
    """The highest rate of each step, from a minute by chance on; one with any load at all."""
    minutes = round(step_s / 60)
    while True:
        first = rng.randrange(len(rates) - steps * minutes)
        begins = range(first, first + steps * minutes, minutes)
        window = tuple(max(rates[begin : begin + minutes]) * scale for begin in begins)
        if max(window) > 0:
            return Forecast(step_s, window, "perfect")


def fleet_for(rate_per_s: float, capacities: dict[str, float], rng: random.Random) -> tuple[RunningGroup, ...]:
    """Instances of offerings by chance, for half of the rate to a third more than it."""
    needed = rate_per_s * rng.uniform(0.5, 1.3)
    counts: Counter[str] = Counter()
    while needed > 0:
        name = rng.choice(list(capacities))
        counts[name] += 1
        needed -= capacities[name]
    return tuple(RunningGroup(name, count) for name, count in counts.items())


def gap_case(rates: Sequence[float], scale: float, rng: random.Random) -> GapCase:
    """An hour of a load at so many times its mean, with perfect foresight."""
    forecast = window_of(rates, rng, scale=scale, steps=STEPS, step_s=STEP_S)
    running = fleet_for(forecast.rates_per_s[0], ASSUMED_CAPACITIES, rng)
    return GapCase(modern_offerings(), ASSUMED_CAPACITIES, running, forecast)
