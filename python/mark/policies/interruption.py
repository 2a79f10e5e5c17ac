"""What to launch at once when the cloud takes instances away (MArk, USENIX ATC'19, section 4.5).

MArk resumes burstable instances, which take less time than the two minutes of notice, and gives them back when spot
capacity is there again. The plan that follows sees what is taken as gone: it counts only what is ready, or will be by
the step that it plans, and so falls back to other pools and to on-demand instances by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mark.domain.fleet import Instance, InstanceState
from mark.domain.offering import Offering
from mark.domain.plan import Alternative
from mark.policies.alternatives import HURRY_HORIZON_S, Considered, rejected
from mark.policies.fastest import buy_fastest, fastest_first
from mark.policies.provisioning import Purchase

__all__ = ["Bridge", "bridge"]

_NO_STANDBY = "it is no standby: the next plan may buy it"


@dataclass(frozen=True, slots=True)
class Bridge:
    """What to launch at once.

    Attributes:
        purchases: the standbys.
        missing_per_s: rows per second that they are for; 0 or less when what stays carries the load.
        reason: why so much, in words.
    """

    purchases: tuple[Purchase, ...]
    missing_per_s: float
    reason: str

    def alternatives(self, offerings: Considered, standbys: Collection[str]) -> tuple[Alternative, ...]:
        """What could have been launched instead, among all offerings; to launch nothing is the last of them."""
        if not self.purchases:
            return ()
        able = [each for each in offerings.offerings if each.name in standbys]
        chosen = {purchase.offering for purchase in self.purchases}
        others = [each for each in offerings.offerings if each.name not in standbys or each.name in chosen]
        prices = {each.name: each.price_usd_per_hour for each in offerings.offerings}
        usd = sum(prices[purchase.offering] for purchase in self.purchases) * HURRY_HORIZON_S / 3600
        return (
            *rejected(self.purchases, self.missing_per_s, replace(offerings, offerings=able)),
            *rejected(self.purchases, self.missing_per_s, replace(offerings, offerings=others), _NO_STANDBY),
            Alternative("nothing", -usd, f"{self.missing_per_s:.0f} rows/s would find no instance until others serve"),
        )


def bridge(
    standbys: Sequence[Offering],
    capacities: Mapping[str, float],
    staying: Sequence[Instance],
    leaving: Sequence[Instance],
    load_per_s: float,
    unavailable: Collection[str] = (),
) -> Bridge:
    """Standbys for the load that the instances which stay do not carry, and that those which leave did.

    The fastest to be ready come first, and of equally fast ones the cheapest for what they serve.

    Args:
        standbys: offerings that may be launched for it.
        capacities: rows per second of one instance, by offering.
        staying: instances that run or boot, and stay; standbys among them count as ready.
        leaving: those that are about to be taken away, or are being drained.
        load_per_s: the load until what is planned next serves.
        unavailable: names of offerings that cannot be launched now.
    """
    names = {offering.name for offering in standbys}
    kept_per_s = sum(
        capacities.get(instance.offering, 0.0)
        for instance in staying
        if instance.state is InstanceState.READY or instance.offering in names
    )
    taken = [instance for instance in leaving if instance.taken_at_ns is not None]
    lost_per_s = sum(capacities.get(instance.offering, 0.0) for instance in taken)
    missing_per_s = min(lost_per_s, load_per_s - kept_per_s)
    alive = Counter(instance.offering for instance in (*staying, *leaving))
    able = fastest_first(standbys, capacities, unavailable)
    why = f"stands in for {len(taken)} that the cloud takes away"
    purchases = buy_fastest(able, capacities, alive, missing_per_s, why)
    words = f"load {load_per_s:.0f}, what stays serves {kept_per_s:.0f}, what goes served {lost_per_s:.0f} rows/s"
    return Bridge(purchases, missing_per_s, words)
