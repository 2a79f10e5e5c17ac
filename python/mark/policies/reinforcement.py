"""What to add at once because the promise is being broken: never less than there is, and as fast as it can be had.

After MArk's SLO monitor (USENIX ATC'19, section 4.4), which launches a fixed number of a fixed kind whenever the last
requests miss the SLO. Here the number follows from the load and the kind from what boots fastest, and nothing is added
where more capacity is on its way already or could not help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mark.domain.fleet import Instance, InstanceState
from mark.domain.offering import Offering
from mark.domain.plan import Alternative
from mark.policies.alternatives import Considered, rejected
from mark.policies.fastest import buy_fastest, fastest_first
from mark.policies.provisioning import Purchase, ready_in_s

__all__ = ["Reinforcement", "ReinforcementInputs", "reinforce"]

_BOOT_SLACK = 0.25  # boot times vary: assumed, by about a tenth
_OVERDUE_S_MIN = 1.0


@dataclass(frozen=True, slots=True)
class ReinforcementInputs:
    """What is looked at.

    Attributes:
        offerings: what may be launched, standbys included.
        capacities: rows per second of one instance under the SLO, by offering.
        staying: instances that run or boot, and stay.
        leaving: those that are drained or will be taken away; they count towards max_count.
        load_per_s: rows per second that are offered now.
        unavailable: names of offerings that cannot be launched now.
        load_factor_max: a fleet that carries so many times the load lacks no capacity.
    """

    offerings: Sequence[Offering]
    capacities: Mapping[str, float]
    staying: Sequence[Instance]
    leaving: Sequence[Instance]
    load_per_s: float
    unavailable: Collection[str]
    load_factor_max: float


@dataclass(frozen=True, slots=True)
class Reinforcement:
    """What to add, and why so much; with nothing to add, why not.

    Attributes:
        purchases: what to add.
        reason: in words.
        alternatives: what could have been added instead.
    """

    purchases: tuple[Purchase, ...]
    reason: str
    alternatives: tuple[Alternative, ...] = ()


def reinforce(inputs: ReinforcementInputs, now_ns: int) -> Reinforcement:
    """Capacity of the fastest kinds for the load that instances do not carry by the time at which it could serve.

    An instance that boots counts if it is ready sooner than a new one would be, and is not overdue. Where the load
    should be carried and is not all the same, the capacities are not what they were measured to be, and one more
    instance is added.
    """
    able = fastest_first(inputs.offerings, inputs.capacities, inputs.unavailable)
    alive = Counter(instance.offering for instance in (*inputs.staying, *inputs.leaving))
    able = [offering for offering in able if alive[offering.name] < offering.max_count]
    if not able:
        return Reinforcement((), "nothing more can be had")
    fastest = able[0]
    boot_s = {offering.name: offering.boot_s for offering in inputs.offerings}
    soon = [
        each
        for each in inputs.staying
        if ready_in_s(each, boot_s[each.offering], now_ns) <= fastest.boot_s
        and not _is_overdue(each, boot_s[each.offering], fastest.boot_s, now_ns)
    ]
    carried_per_s = sum(inputs.capacities.get(each.offering, 0.0) for each in soon)
    words = f"load {inputs.load_per_s:.0f} of {carried_per_s:.0f} rows/s"
    missing_per_s = inputs.load_per_s - carried_per_s
    if missing_per_s <= 0:
        booting = sum(each.state is not InstanceState.READY for each in soon)
        if booting:
            return Reinforcement((), f"{words} once the {booting} that boot are ready, sooner than a new one")
        if carried_per_s > 0 and carried_per_s >= inputs.load_factor_max * inputs.load_per_s:
            return Reinforcement((), f"{words}: it is not capacity that is missing")
        missing_per_s = inputs.capacities[fastest.name]
        words += ", which should do: one more"
    purchases = buy_fastest(able, inputs.capacities, alive, missing_per_s, words)
    considered = Considered(inputs.offerings, inputs.capacities, alive, inputs.unavailable)
    return Reinforcement(purchases, words, rejected(purchases, missing_per_s, considered))


def _is_overdue(instance: Instance, boot_s: float, another_boot_s: float, now_ns: int) -> bool:
    """Whether it boots for so much longer than it should that another one may well be ready before it."""
    age_s = (now_ns - instance.launched_at_ns) / 1e9
    due_s = boot_s * (1 + _BOOT_SLACK) + max(another_boot_s, _OVERDUE_S_MIN)
    return instance.state is InstanceState.PENDING and age_s > due_s
