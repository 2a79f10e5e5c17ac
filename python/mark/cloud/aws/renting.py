"""Launches: a standby where one is ready, or what EC2 sells; within max_count, and not where EC2 has just refused."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mark.cloud.aws import tags
from mark.cloud.aws.buying import Buying, Purchase
from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.launch_template import LaunchTemplates
from mark.cloud.aws.launching import Order
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.places import Places
from mark.cloud.aws.pools import Pool, pools_of
from mark.cloud.aws.session import Client
from mark.cloud.aws.settings import AwsOffering
from mark.cloud.aws.standby import Standby
from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance
from mark.domain.offering import Market
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded

__all__ = ["Renting"]

_log = logging.getLogger(__name__)

_NO_TEMPLATE = {"InvalidLaunchTemplateName.NotFoundException", "InvalidLaunchTemplateId.NotFound"}


class Renting:
    """Turns launch tokens into instances.

    Thread safety: every method may be called from any thread; the state's lock is never held during a call.

    Invariant: `_coming` counts the instances of each offering that are being bought, so that together with those that
    live they never exceed `max_count`.
    """

    def __init__(
        self,
        state: ClusterState,
        client: Callable[[], Client],
        buying: Buying,
        lease: Lease,
        ground: tuple[str, Places, LaunchTemplates],
    ) -> None:
        """Rent nothing yet. `ground` is the cluster's name, and what launches need of the account."""
        self._state = state
        self._client = client
        self._buying = buying
        self._lease = lease
        self._cluster, self._places, self._templates = ground
        self._coming: Counter[str] = Counter()

    def rent(self, offering: str, artifact: ModelArtifact, tokens: Sequence[str]) -> Sequence[Instance | CloudError]:
        """See `mark.ports.Wholesale`."""
        found: dict[str, Instance | CloudError] = {}
        with self._room(offering, tokens, found) as (wanted, allowed):
            left = list(allowed)
            if left and wanted.offering.stopped:
                left = self._start(wanted, artifact, left, found)
            if left:
                self._buy(wanted, artifact, left, found)
        return [found[token] for token in tokens]

    def buy_standbys(self, offering: AwsOffering, artifact: ModelArtifact, count: int, token: str) -> None:
        """Buy machines that will be kept stopped.

        Raises:
            CloudError: none was bought.
        """
        tokens = tuple(f"{token}/{ordinal}" for ordinal in range(count))
        order = self._order(offering, artifact, tokens, tags.STANDBY)
        self.register(self._fulfil(order))

    def register(self, purchase: Purchase) -> None:
        """Take note of what a call bought, once or again."""
        intent, state = purchase.intent, self._state
        with state.lock:
            now_ns = state.present_ns()
            for token, machine in purchase.by_token.items():
                pool = state.pool_of[machine] = purchase.bought.instances[machine]
                state.pools.bought(pool)
                if _is_for_standbys(purchase):
                    state.standbys.created(machine, (intent.offering, intent.model), pool, now_ns)
                else:
                    launched = state.fleet.launched(machine, intent.offering, intent.model, token, now_ns)
                    state.price(launched, pool)
            state.announce()

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until no launch is under way; False when some still is."""
        with self._state.lock:
            return self._state.lock.wait_for(lambda: not self._coming.total(), timeout_s)

    @contextmanager
    def _room(
        self, offering: str, tokens: Sequence[str], found: dict[str, Instance | CloudError]
    ) -> Iterator[tuple[AwsOffering, Sequence[str]]]:
        state = self._state
        with state.lock:
            for token in tokens:
                known = state.fleet.of_token(token)
                if known is not None:
                    found[token] = known
            new = [token for token in dict.fromkeys(tokens) if token not in found]
            wanted = self._check(offering, is_needed=bool(new))
            alive = sum(each.offering == offering for each in state.fleet.alive) + self._coming[offering]
            room = max(0, wanted.offering.max_count - alive)
            reached = QuotaExceeded(f"offering {offering}: max_count {wanted.offering.max_count} is reached")
            found.update(dict.fromkeys(new[room:], reached))
            self._coming[offering] += len(new[:room])
        try:
            yield wanted, new[:room]
        finally:
            with state.lock:
                self._coming[offering] -= len(new[:room])
                state.lock.notify_all()

    def _check(self, offering: str, *, is_needed: bool) -> AwsOffering:
        if self._state.closed and is_needed:
            raise CloudError("the cloud is closed")
        wanted = self._state.offerings.get(offering)
        if wanted is None:
            raise CloudError(f"no offering {offering!r}; there are {', '.join(self._state.offerings)}")
        return wanted

    def _start(
        self,
        offering: AwsOffering,
        artifact: ModelArtifact,
        tokens: list[str],
        found: dict[str, Instance | CloudError],
    ) -> list[str]:
        """Start standbys; the tokens that there were none for are returned."""
        state, left = self._state, list(tokens)
        key = (offering.offering.name, artifact.signature.name)
        with state.lock:
            now_ns = state.present_ns()
            open_ones = [each for each in state.standbys.ready_for(key) if state.pools.available([each.pool], now_ns)]
            # Taken before the call, so that no other launch takes them, too.
            for standby in (candidates := open_ones[: len(left)]):
                state.standbys.rented(standby.machine, now_ns)
        for standby in candidates:
            error = self._start_one(standby)
            with state.lock:
                if error is None:
                    token = left.pop(0)
                    launched = state.fleet.rented(standby.machine, *key, token, state.present_ns())
                    found[token] = state.price(launched, standby.pool)
                    state.announce()
                    continue
                state.standbys.not_started(standby.machine, state.present_ns())
                if isinstance(error, InsufficientCapacity):
                    state.pools.refused(standby.pool, state.present_ns())
            _log.warning("standby %s does not start: %s", standby.machine, error)
        return left

    def _start_one(self, standby: Standby) -> CloudError | None:
        try:
            self._lease.check()
            self._client().start_instances(InstanceIds=[standby.machine])
        except CloudError as error:
            return error
        except Exception as error:  # noqa: BLE001 - boto3's errors have no closed set; others are raised by translated
            return translated(error, f"starting {standby.machine}")
        return None

    def _buy(
        self,
        offering: AwsOffering,
        artifact: ModelArtifact,
        tokens: list[str],
        found: dict[str, Instance | CloudError],
    ) -> None:
        purchase = self._fulfil(self._order(offering, artifact, tuple(tokens), tags.WORKER))
        self.register(purchase)
        why = _why_not_all(purchase, len(tokens))
        with self._state.lock:
            for token in tokens:
                found[token] = self._state.fleet.of_token(token) or why

    def _order(self, offering: AwsOffering, artifact: ModelArtifact, tokens: tuple[str, ...], role: str) -> Order:
        self._lease.check()  # before what a launch needs is made, too
        name, state = offering.offering.name, self._state
        subnets = self._places.subnets()
        every = pools_of(offering, subnets)
        if not every:
            raise CloudError(f"offering {name}: the cluster has no subnet in {', '.join(offering.zones)}")
        with state.lock:
            pools = state.pools.available(every, state.present_ns())
            if not pools:
                wait_s = state.pools.wait_s(every, state.present_ns())
                if state.pools.is_quota_reached(every, state.present_ns()):
                    raise QuotaExceeded(
                        f"offering {name}: the account's quota is reached; tried again in {wait_s:.0f} s"
                    )
                raise InsufficientCapacity(f"offering {name}: EC2 has none; tried again in {wait_s:.0f} s")
        template = self._templates.of(offering, artifact)
        is_burstable = offering.offering.market is Market.BURSTABLE and all(t.startswith("t") for t in offering.types)
        if role == tags.STANDBY:
            pools = pools[:1]
        return Order(self._cluster, name, artifact.signature.name, tokens, template, pools, subnets, role, is_burstable)

    def _fulfil(self, order: Order) -> Purchase:
        state = self._state
        try:
            purchase = self._buying.buy(order)
        except CloudError as error:
            self._mask(order.pools, error)
            if isinstance(error.__cause__, Exception) and code_of(error.__cause__) in _NO_TEMPLATE:
                self._templates.forget(order.template)
            raise
        with state.lock:
            for refusal in purchase.bought.refusals:
                for pool in (refusal.pool,) if refusal.pool else order.pools:
                    if refusal.is_quota:
                        state.pools.quota_reached(pool, state.present_ns())
                    elif refusal.is_capacity:
                        state.pools.refused(pool, state.present_ns())
                    else:
                        _log.warning("%s: %s: %s", order.offering, refusal.code, refusal.message)
        return purchase

    def _mask(self, pools: Sequence[Pool], error: CloudError) -> None:
        with self._state.lock:
            for pool in pools:
                if isinstance(error, QuotaExceeded):
                    self._state.pools.quota_reached(pool, self._state.present_ns())
                elif isinstance(error, InsufficientCapacity):
                    self._state.pools.refused(pool, self._state.present_ns())


def _is_for_standbys(purchase: Purchase) -> bool:
    carried = [
        tag
        for specification in purchase.intent.request.get("TagSpecifications", ())
        for tag in specification["Tags"]
        if specification["ResourceType"] == "instance"
    ]
    return tags.tags_of(carried).get(tags.ROLE) == tags.STANDBY


def _why_not_all(purchase: Purchase, wanted: int) -> CloudError:
    refusals = purchase.bought.refusals
    words = "; ".join(dict.fromkeys(f"{each.pool or 'EC2'}: {each.code}: {each.message}" for each in refusals))
    had = f"offering {purchase.intent.offering}: EC2 sold {len(purchase.bought.instances)} of {wanted}"
    if not refusals or any(each.is_capacity for each in refusals):
        return InsufficientCapacity(f"{had}: {words}" if words else had)
    if any(each.is_quota for each in refusals):
        return QuotaExceeded(f"{had}: {words}")
    return CloudError(f"{had}: {words}")
