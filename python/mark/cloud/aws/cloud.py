"""The cloud of AWS: EC2 instances of one cluster, led by one router at a time."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mark.cloud.aws.buying import Buying
from mark.cloud.aws.clearing import Clearing
from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.giving_back import GivingBack
from mark.cloud.aws.intents import Intents
from mark.cloud.aws.launch_template import LaunchTemplates, UserData
from mark.cloud.aws.leading import Leading
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.notices import NoticeQueue
from mark.cloud.aws.noticing import NoticeNotes, Noticing
from mark.cloud.aws.pace import Pace
from mark.cloud.aws.places import Places
from mark.cloud.aws.price_book import ListedPrices, PriceBook
from mark.cloud.aws.prober import Prober
from mark.cloud.aws.renting import Renting
from mark.cloud.aws.rounds import Rounds
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.aws.standby_keeper import StandbyKeeper
from mark.cloud.aws.watching import Watching
from mark.domain.artifact import ModelArtifact
from mark.domain.bill import Bill
from mark.domain.fleet import Instance, InstanceId
from mark.domain.offering import Offering
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError
from mark.ports import Clock

__all__ = ["AwsCloud", "AwsParts", "LinkIdentity"]

_log = logging.getLogger(__name__)

_REFRESH_LINK_S = 600.0
_LAUNCHES_END_S = 90.0
_GAP_S = 0.5


class LinkIdentity(Protocol):
    """What the router shows to workers. Safe to call from any thread."""

    def link_tls(self) -> TlsIdentity:
        """As of now."""
        ...

    def refresh(self) -> None:
        """Look whether it was replaced."""
        ...


@dataclass(frozen=True, slots=True)
class AwsParts:
    """What `AwsCloud` is put together from.

    Attributes:
        session: makes its clients.
        user_data: what an instance is told to do when it boots.
        link: certificates of the links to workers; None for links that are not encrypted, in tests alone.
        prices: what things cost now.
        models: those that the configuration has; others' instances are orphans. None when every model is known.
    """

    session: AwsSession
    user_data: UserData
    link: LinkIdentity | None = None
    prices: PriceBook = ListedPrices()  # noqa: RUF009 - it has no state
    models: Collection[str] | None = None


class AwsCloud:
    """Rents EC2 instances. Implements `mark.ports.Cloud`, `Wholesale`, `SecuresLinks` and `Led`.

    What runs is what the tags say: a router that comes after another takes its lease, finishes the launches that it
    began, and goes on with its instances. See docs/decisions/0021-ec2-by-tags-tokens-and-a-lease.md.

    Thread safety: every method may be called from any thread. No lock is held while AWS is asked.

    Invariants:
        - nothing is bought, started, stopped or terminated unless the lease is held;
        - threads run from `open` until `close`, and end with neither of AWS's errors.
    """

    def __init__(self, settings: AwsSettings, clock: Clock, parts: AwsParts) -> None:
        """Ask AWS for nothing yet."""
        self._settings = settings
        self._parts = parts
        session = parts.session

        def bucket() -> str:
            return settings.bucket(session.account)

        def ec2() -> object:
            return session.client("ec2")

        def s3() -> object:
            return session.client("s3")

        rhythm = settings.rhythm
        self._state = state = ClusterState(settings, clock, parts.prices, parts.models)
        self._lease = Lease(s3, bucket, rhythm.lease_s)
        self._buying = Buying(ec2, self._lease, Intents(s3, bucket))
        self._giving_back = GivingBack(ec2, self._lease)
        places = Places(settings, session)
        templates = LaunchTemplates(settings, ec2, places, parts.user_data)
        self._renting = Renting(state, ec2, self._buying, self._lease, (settings.cluster, places, templates))
        self._keeper = StandbyKeeper(state, ec2, self._lease, self._renting, self._giving_back)
        trade = (self._buying, self._renting, self._giving_back)
        self._watching = Watching(settings, state, ec2, trade, self._keeper)
        self._clearing = Clearing(state, self._watching, self._buying, self._giving_back)
        queue, notes = NoticeQueue(lambda: session.client("sqs"), settings.queue), NoticeNotes(s3, bucket)
        self._noticing = Noticing(state, self._watching, queue, notes, settings.rebalances_per_hour)
        self._leading = Leading(state, self._lease, self._buying, self._watching, self._noticing)
        self._prober = Prober(lambda: None if parts.link is None else parts.link.link_tls(), self._answered)
        self._watcher = Rounds("watch", self._watch, gap_s=min(_GAP_S, rhythm.describe_soon_s))
        self._probes = Rounds("probe", self._probe)
        self._notices = Rounds("notices", self._receive)
        # Not slower after failures than in peace: what could not be renewed runs out.
        self._renewals = Rounds("lease", self._renew, Pace(min(1.0, rhythm.lease_s / 6), rhythm.lease_s / 3))
        self._prices = Rounds("prices", self._refresh_prices)
        self._links = Rounds("certificates", self._refresh_links)
        self._rounds = (
            self._watcher, self._probes, self._notices, self._renewals, self._prices, self._links
        )  # fmt: skip
        self._opened = False

    def open(self) -> None:
        """Adopt what runs, and take the lease and finish what was begun; see `mark.ports.Cloud.open`.

        While another router holds the lease, or a dead one's has not run out, this one serves through what runs, and
        changes nothing.
        """
        self._leading.open()
        self._renewals.start()
        try:
            self._noticing.check()
            self._leading.look_first()
        except BaseException:
            self._renewals.end()
            self._lease.release()
            raise
        with self._state.lock:
            if self._state.closed:
                raise CloudError("the cloud is closed")
            self._opened = True
            for each in self._rounds:
                if each is not self._renewals:
                    each.start()

    def offerings(self) -> Sequence[Offering]:
        """What can be rented, at the present prices."""
        price = self._parts.prices.price
        return tuple(replace(each.offering, price_usd_per_hour=price(each)) for each in self._settings.offerings)

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        """Rent one instance; see `mark.ports.Cloud.launch`."""
        (found,) = self.launch_many(offering, artifact, [token])
        if isinstance(found, CloudError):
            raise found
        return found

    def launch_many(
        self, offering: str, artifact: ModelArtifact, tokens: Sequence[str]
    ) -> Sequence[Instance | CloudError]:
        """Rent one instance for each token, with one call; see `mark.ports.Wholesale`."""
        found = self._renting.rent(offering, artifact, tokens)
        self._watcher.soon()
        return found

    def prepare(self, artifact: ModelArtifact) -> None:
        """Keep stopped what the offerings say; see `mark.ports.Cloud.prepare`."""
        with self._state.lock:
            self._state.artifacts[artifact.signature.name] = artifact
        self._watcher.soon()

    def terminate(self, instance: InstanceId) -> None:
        """Give an instance back; a standby is stopped again; see `mark.ports.Cloud.terminate`."""
        state = self._state
        with state.lock:
            machine = state.fleet.machine_of(instance)
            if machine is None:
                return
            if state.standbys.given_back(machine, state.present_ns()):
                state.fleet.given_back(instance, "terminated", state.present_ns())
                state.announce()
                self._watcher.soon()
                return
            seen = state.fleet.of_machine(machine)
        if seen is not None:
            self._watching.end([seen], "terminated")

    def list_instances(self) -> Sequence[Instance]:
        """Every instance ever rented or adopted, oldest first."""
        with self._state.lock:
            return self._state.fleet.instances

    def bill(self) -> Bill:
        """What instances and standbys have cost so far, each at its own price where that is known."""
        with self._state.lock:
            return self._state.bill_now()

    def spent_usd(self) -> float:
        """The total of the bill."""
        return self.bill().usd

    def wait_for_change(self, since: int, timeout_s: float) -> int:
        """Block until an instance has changed; see `mark.ports.Cloud.wait_for_change`."""
        state = self._state
        with state.lock:
            state.lock.wait_for(lambda: state.changes > since or state.closed, timeout_s)
            return state.changes

    def leads(self) -> bool:
        """Whether this router may change what runs; see `mark.ports.Led`."""
        return self._leading.leads()

    def check_leads(self) -> None:
        """Return only while the lease is held; see `mark.ports.Led`."""
        self._lease.check()

    def link_tls(self) -> TlsIdentity:
        """What the router shows to workers; see `mark.ports.SecuresLinks`."""
        if self._parts.link is None:
            raise CloudError("this cluster's links are not encrypted: the cloud was put together without certificates")
        return self._parts.link.link_tls()

    def close(self, grace_s: float | None = None) -> None:
        """Terminate everything, unless the fleet is to be kept, and give the lease up; see `mark.ports.Cloud.close`.

        What another router leads is left to it. A router that does not lead yet waits for as long as a lease lasts to
        see whether the one before lives, but for a `grace_s` of 0.
        """
        if grace_s == 0:
            self._lease.stop_waiting()
        with self._state.lock:
            first, self._state.closed = not self._state.closed, True
            was_open = self._opened
            self._state.announce()
        if not first:
            return
        if was_open:
            self._notices.tell_end()  # its long poll ends by itself, and what comes is left for the next router
            for each in (self._watcher, self._probes, self._prices, self._links):
                each.end()
            self._prober.close()
            if not self._renting.wait_until_idle(_LAUNCHES_END_S):
                _log.error("a launch does not end; the next router finishes it")
            if not self._settings.keep_on_stop and self._leading.is_ours():
                self._clearing.run()
        self._renewals.end() if was_open else self._renewals.tell_end()
        self._lease.release()

    def _watch(self) -> float:
        pause_s = self._leading.look()
        self._probes.soon()
        return pause_s

    def _probe(self) -> float:
        port, state = self._settings.worker_port, self._state
        with state.lock:
            instances, standbys = state.fleet.booting(), state.standbys.booting()
        targets = {str(key): f"{address}:{port}" for key, address in (*instances.items(), *standbys.items())}
        self._prober.ask(targets)
        return self._settings.rhythm.probe_s if targets else self._settings.rhythm.describe_s

    def _answered(self, key: str, address: str) -> None:
        state = self._state
        with state.lock:
            if state.fleet.ready(InstanceId(key), address, state.present_ns()):
                state.announce()
            elif state.standbys.is_one(key):
                state.standbys.loaded(key)
                self._watcher.soon()

    def _receive(self) -> float:
        # What another router's messages say is in its notes; taken from the queue they would be lost to it.
        if not self._leading.has_begun:
            return self._settings.rhythm.describe_soon_s
        self._noticing.receive(self._watcher.soon)
        return 0.0

    def _renew(self) -> float:
        led = self._lease.is_taken
        pause_s = self._leading.renew()
        if not led and self._lease.is_taken:
            self._watcher.soon()
        return pause_s

    def _refresh_prices(self) -> float:
        self._parts.prices.refresh()
        return self._settings.rhythm.prices_s

    def _refresh_links(self) -> float:
        if self._parts.link is not None:
            self._parts.link.refresh()
        return _REFRESH_LINK_S
