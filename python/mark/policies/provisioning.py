"""Which instances to keep and which to launch, with the reason for each in words.

The algorithm is MArk's (USENIX ATC'19, section 4.4) and runs in `mark._core.provision_greedily`; here it is given
domain values and its choices are explained.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mark import _core
from mark.domain.fleet import Instance, InstanceId, InstanceState
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.domain.plan import Alternative

__all__ = ["Keep", "Proposal", "Purchase", "lead_steps_of", "peak_sized_fleet", "propose", "ready_in_s"]


@dataclass(frozen=True, slots=True)
class Keep:
    """A running or booting instance that the load needs."""

    instance: InstanceId
    reason: str


@dataclass(frozen=True, slots=True)
class Purchase:
    """An instance to launch."""

    offering: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the load needs.

    Attributes:
        keeps: instances that it needs.
        purchases: what to launch beside them.
        uncovered_per_s: rows per second that no instance can be had for; 0 when all is covered.
        alternatives: what was rejected, instead of launches first.
        to_keep: what it would cost to keep those that are not needed, by offering, as far as that is known.
    """

    keeps: tuple[Keep, ...]
    purchases: tuple[Purchase, ...]
    uncovered_per_s: float
    alternatives: tuple[Alternative, ...] = ()
    to_keep: Mapping[str, Alternative] = field(default_factory=dict)


def lead_steps_of(offerings: Sequence[Offering], step_s: float) -> int:
    """Steps until an instance that is launched now serves, whatever its offering: MArk's tau."""
    return max(1, math.ceil(max((offering.boot_s for offering in offerings), default=0.0) / step_s))


def propose(
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    instances: Sequence[Instance],
    forecast: Forecast,
    now_ns: int,
    *,
    unavailable: Collection[str] = (),
) -> Proposal:
    """Choose the cheapest instances for a forecast.

    Args:
        offerings: what can be rented.
        capacities: rows per second that one instance of each offering serves under the SLO; 0 where it cannot.
        instances: those that run or boot, and are not being drained.
        forecast: the load to serve.
        now_ns: the time.
        unavailable: names of offerings that cannot be launched now.

    Raises:
        ValueError: no offering meets the SLO.
    """
    order = {offering.name: index for index, offering in enumerate(offerings)}
    alive = Counter(instance.offering for instance in instances)
    plan = _core.provision_greedily(
        [
            _core.PlanningOffering(
                offering.name,
                price_usd_per_hour=offering.price_usd_per_hour,
                capacity_rows_per_s=capacities.get(offering.name, 0.0),
                launch_overhead_s=offering.billed_boot_s,
                available=0 if offering.name in unavailable else max(0, offering.max_count - alive[offering.name]),
            )
            for offering in offerings
        ],
        [
            _core.PlanningInstance(
                number,
                order[instance.offering],
                ready_in_s(instance, offerings[order[instance.offering]].boot_s, now_ns),
            )
            for number, instance in enumerate(instances, start=1)
        ],
        np.asarray(forecast.rates_per_s, dtype=np.float64),
        step_s=forecast.step_s,
        lead_steps=lead_steps_of(offerings, forecast.step_s),
    )
    keeps, purchases = [], []
    alternatives: dict[str, Alternative] = {}
    for choice in sorted(plan.choices, key=lambda choice: choice.instance > 0):
        reason = _explain(choice, offerings)
        if choice.instance:
            keeps.append(Keep(instances[choice.instance - 1].id, reason))
        else:
            purchases.append(Purchase(offerings[choice.offering].name, reason))
        if choice.rejected_offering >= 0:
            other = _rejected(choice, offerings, capacities, forecast)
            alternatives.setdefault(other.what, other)
    return Proposal(tuple(keeps), tuple(purchases), plan.uncovered_rows_per_s, tuple(alternatives.values()))


def peak_sized_fleet(
    offerings: Sequence[Offering], capacities: Mapping[str, float], peak_rows_per_s: float
) -> dict[str, int]:
    """The cheapest fleet that covers one rate for ever: what a fleet sized for the peak would be, by offering.

    The better of the greedy choice and the best fleet of a single offering; each offering's max_count holds.

    Raises:
        ValueError: the offerings together do not cover the rate, or none meets the SLO.
    """
    prices = {offering.name: offering.price_usd_per_hour for offering in offerings}

    def usd_per_hour(fleet: Mapping[str, int]) -> float:
        return sum(prices[name] * count for name, count in fleet.items())

    fleets = []
    for offering in offerings:
        capacity = capacities.get(offering.name, 0.0)
        count = math.ceil(peak_rows_per_s / capacity) if capacity > 0 else offering.max_count + 1
        if count <= offering.max_count:
            fleets.append({offering.name: max(1, count)})
    flat = Forecast(step_s=3600.0, rates_per_s=(peak_rows_per_s,), forecaster="peak")
    # For ever: what a launch costs once does not count.
    at_rest = [replace(offering, boot_s=0.0, launch_overhead_s=0.0) for offering in offerings]
    greedy = propose(at_rest, capacities, (), flat, 0)
    if greedy.uncovered_per_s == 0 and greedy.purchases:
        fleets.append(dict(Counter(purchase.offering for purchase in greedy.purchases)))
    if not fleets:
        raise ValueError(f"the offerings together do not cover {peak_rows_per_s:.0f} rows/s; raise their max_count")
    return min(fleets, key=usd_per_hour)


def ready_in_s(instance: Instance, boot_s: float, now_ns: int) -> float:
    """Seconds until an instance serves, as far as its offering's boot time says; 0 when it does."""
    if instance.state is InstanceState.READY:
        return 0.0
    return max(0.0, boot_s - (now_ns - instance.launched_at_ns) / 1e9)


def _rejected(
    choice: _core.Choice, offerings: Sequence[Offering], capacities: Mapping[str, float], forecast: Forecast
) -> Alternative:
    """The next best of a choice; what it costs more if it serves as many rows as the chosen one can."""
    chosen, other = offerings[choice.offering].name, offerings[choice.rejected_offering].name
    kind, other_kind = ("running" if runs else "new" for runs in (choice.instance > 0, choice.rejected_running))
    rows = capacities[chosen] * forecast.step_s * len(forecast.rates_per_s)
    return Alternative(
        f"a {other_kind} {other} instead of a {kind} {chosen}",
        (choice.rejected_usd_per_million_rows - choice.usd_per_million_rows) * rows / 1e6,
        f"${choice.rejected_usd_per_million_rows:.3f} per million rows, not ${choice.usd_per_million_rows:.3f}",
    )


def _explain(choice: _core.Choice, offerings: Sequence[Offering]) -> str:
    what = "kept" if choice.instance else "launched"
    reason = f"{what} for step {choice.binding_step} at ${choice.usd_per_million_rows:.3f} per million rows"
    if choice.rejected_offering < 0:
        return f"{reason}; there was no alternative"
    other = offerings[choice.rejected_offering].name
    kind = "running" if choice.rejected_running else "new"
    return f"{reason}; next best was a {kind} {other} at ${choice.rejected_usd_per_million_rows:.3f}"
