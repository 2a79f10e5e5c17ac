"""A cloud in virtual time. Whoever moves its clock asks it when something happens next."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mark.cloud.interruptions import Interruptions, pool_of
from mark.cloud.simulated.behaviour import CloudBehaviour
from mark.cloud.simulated.billing import Billing
from mark.cloud.spot_market import SpotMarket
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState
from mark.domain.offering import Market, Offering
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded
from mark.ports import Clock

__all__ = ["SimulatedCloud"]


class SimulatedCloud:
    """Rents instances that exist in numbers only. Implements `mark.ports.Cloud`.

    Boot times, and which spot instances are taken when, are drawn by seed: the same calls at the same times give the
    same cloud.

    Thread safety: none.

    Invariants:
        - an instance's state only moves forward, and each move increments `_changes`;
        - `_due` holds the instants at which a live instance becomes ready or is taken, and behind the first of them
          such as an instance did not live to see.
    """

    def __init__(
        self, offerings: Sequence[Offering], clock: Clock, behaviour: CloudBehaviour | None = None, seed: int = 0
    ) -> None:
        self._offerings = {offering.name: offering for offering in offerings}
        self._clock = clock
        self._behaviour = behaviour or CloudBehaviour()
        self._random = random.Random(f"cloud {seed}")
        spot = self._behaviour.spot
        interruptions = Interruptions(offerings, spot.taken_share, random.Random(f"interruptions {seed}"))
        self._spot = SpotMarket(offerings, spot, self._random, interruptions)
        self._forced = deque(self._behaviour.interruptions)
        self._billing = Billing(self._behaviour.billed_s_min)
        self._instances: dict[InstanceId, Instance] = {}
        self._alive: dict[InstanceId, Instance] = {}
        self._tokens: dict[str, InstanceId] = {}
        self._numbers = itertools.count(1)
        self._due: list[tuple[int, int, InstanceId]] = []
        self._changed: dict[InstanceId, None] = {}  # since the last take_changed, in that order
        self._changes = 0
        self._interrupted = 0
        self._closed = False

    @property
    def interrupted(self) -> int:
        """Spot instances that were taken away, or are about to be."""
        self.catch_up()
        return self._interrupted

    def offerings(self) -> Sequence[Offering]:
        """What can be rented."""
        return tuple(self._offerings.values())

    def open(self) -> None:
        """Nothing to do: a simulation begins with nothing."""

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        """Rent an instance; see `mark.ports.Cloud.launch`."""
        self.catch_up()
        if token in self._tokens:
            return self._instances[self._tokens[token]]
        wanted = self._check(offering)
        now_ns = self._clock.now_ns()
        identity = InstanceId(f"{offering}-{next(self._numbers)}")
        instance = Instance(identity, offering, artifact.signature.name, InstanceState.PENDING, launched_at_ns=now_ns)
        ready_at_ns = now_ns + round(self._boot_s(wanted) * 1e9)
        self._tokens[token] = identity
        self._put(instance)
        heapq.heappush(self._due, (ready_at_ns, self._changes, identity))
        self._billing.opened(instance, wanted, ready_at_ns)
        return instance

    def prepare(self, artifact: ModelArtifact) -> None:
        """Nothing to do: what is kept stopped is ready after its `boot_s`, as everything is."""

    def terminate(self, instance: InstanceId) -> None:
        """Give an instance back; see `mark.ports.Cloud.terminate`."""
        self.catch_up()
        if instance in self._alive:
            self._end(instance, "terminated", self._clock.now_ns())

    def list_instances(self) -> Sequence[Instance]:
        """Every instance ever rented, oldest first."""
        self.catch_up()
        return tuple(self._instances.values())

    def wait_for_change(self, since: int, timeout_s: float) -> int:  # noqa: ARG002 - virtual time does not block
        """The number of changes so far, at once."""
        self.catch_up()
        return self._changes

    def close(self, grace_s: float | None = None) -> None:  # noqa: ARG002 - nothing takes time to end
        """Give everything back."""
        self.catch_up()
        for identity in list(self._alive):
            self._end(identity, "terminated", self._clock.now_ns())
        self._closed = True

    def next_change_ns(self) -> int | None:
        """When something happens next, if nobody calls anything until then: an interruption may take none."""
        while self._due and self._due[0][2] not in self._alive:
            heapq.heappop(self._due)
        due = [self._due[0][0]] if self._due else []
        drawn_ns = self._spot.next_ns()
        if drawn_ns is not None:
            due.append(drawn_ns)
        if self._forced:
            due.append(round(self._forced[0].at_s * 1e9))
        return min(due, default=None)

    def take_changed(self) -> list[Instance]:
        """The instances that changed since the last call, as they are now."""
        self.catch_up()
        changed = [self._instances[identity] for identity in self._changed]
        self._changed.clear()
        return changed

    def interrupt(self, instances: Iterable[InstanceId]) -> None:
        """Give notice to instances: they are taken away when the notice is over."""
        self.catch_up()
        for identity in instances:
            self._give_notice(identity, self._clock.now_ns())

    def interrupt_spot(self, share: float, model: str = "", notice_s: float | None = None) -> Sequence[Instance]:
        """Give notice to a share of the spot instances; see `mark.ports.Interruptible`."""
        self.catch_up()
        now_ns = self._clock.now_ns()
        staying = [each for each in self._alive.values() if each.taken_at_ns is None and model in {"", each.model}]
        hit = self._spot.interrupt_share(staying, share, now_ns)
        for instance in hit:
            self._give_notice(instance.id, now_ns, notice_s)
        return [self._instances[instance.id] for instance in hit]

    def sell_out(self, name: str, until_ns: int) -> None:
        """Sell nothing of an offering or a pool until then."""
        self._spot.sell_out(name, until_ns)

    def bill(self) -> Bill:
        """What every instance has cost so far, and what else was billed, by hours of the clock."""
        self.catch_up()
        return self._billing.bill(self._clock.now_ns())

    def spent_usd(self) -> float:
        """The total of the bill."""
        return self.bill().usd

    def charge(self, instance: InstanceId, usd: float) -> None:
        """Add something to the bill that is no time of an instance, such as surplus credits."""
        rented = self._instances[instance]
        self._billing.add(rented, self._offerings[rented.offering], usd, self._clock.now_ns())

    def usd(self, market: Market) -> float:
        """Dollars spent on a market until now."""
        self.catch_up()
        return self._billing.usd(market, self._clock.now_ns())

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        now_ns = self._clock.now_ns()
        while (at_ns := self.next_change_ns()) is not None and at_ns <= now_ns:
            if self._due and self._due[0][0] == at_ns:
                self._happen(heapq.heappop(self._due)[2], at_ns)
                continue
            if self._forced and round(self._forced[0].at_s * 1e9) == at_ns:
                hit = self._spot.interrupt_share(self._alive.values(), self._forced.popleft().share, at_ns)
            else:
                hit = self._spot.interrupt_next(self._alive.values(), at_ns)
            for instance in hit:
                self._give_notice(instance.id, at_ns)

    def _happen(self, identity: InstanceId, at_ns: int) -> None:
        instance = self._alive[identity]
        if instance.taken_at_ns is not None and instance.taken_at_ns <= at_ns:
            self._end(identity, TAKEN_AWAY, at_ns)
        elif instance.state is InstanceState.PENDING:
            self._put(replace(instance, state=InstanceState.READY, ready_at_ns=at_ns, address=f"simulated:{identity}"))

    def _give_notice(self, identity: InstanceId, now_ns: int, notice_s: float | None = None) -> None:
        instance = self._alive.get(identity)
        if instance is not None and instance.taken_at_ns is None:
            taken_at_ns = now_ns + self._spot.notice_ns(notice_s)
            self._put(replace(instance, taken_at_ns=taken_at_ns))
            heapq.heappush(self._due, (taken_at_ns, self._changes, identity))
            self._interrupted += 1

    def _check(self, name: str) -> Offering:
        if self._closed:
            raise CloudError("the cloud is closed")
        wanted = self._offerings.get(name)
        if wanted is None:
            raise CloudError(f"no offering {name!r}; there are {', '.join(self._offerings)}")
        alive = Counter(instance.offering for instance in self._alive.values())
        if alive[name] >= wanted.max_count:
            raise QuotaExceeded(f"offering {name}: max_count {wanted.max_count} is reached")
        if self._is_sold_out(wanted):
            raise InsufficientCapacity(f"offering {name}: sold out")
        return wanted

    def _is_sold_out(self, offering: Offering) -> bool:
        now_ns, names = self._clock.now_ns(), {offering.name, pool_of(offering)}
        gaps = [gap for gap in self._behaviour.sold_out if gap.name in names]
        return self._spot.is_sold_out(offering, now_ns) or any(gap.from_s <= now_ns / 1e9 < gap.until_s for gap in gaps)

    def _boot_s(self, offering: Offering) -> float:
        variation = self._behaviour.boot_variation
        if variation == 0:
            return offering.boot_s
        return offering.boot_s * self._random.lognormvariate(-(variation**2) / 2, variation)

    def _put(self, instance: Instance) -> None:
        self._instances[instance.id] = self._alive[instance.id] = instance
        self._changed[instance.id] = None
        self._changes += 1

    def _end(self, identity: InstanceId, detail: str, at_ns: int) -> None:
        self._put(replace(self._alive[identity], state=InstanceState.GONE, ended_at_ns=at_ns, detail=detail))
        del self._alive[identity]
        self._billing.closed(identity, at_ns)
