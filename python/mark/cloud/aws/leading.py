"""Which of a cluster's routers changes it: this one takes the lease when it can be had, and keeps it."""

from __future__ import annotations

import logging
import time

from mark.cloud.aws.buying import Buying
from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.noticing import Noticing
from mark.cloud.aws.watching import Watching
from mark.errors import CloudError, Throttled

__all__ = ["Leading"]

_log = logging.getLogger(__name__)

_FIRST_PAUSES_S = (1.0, 2.0, 4.0, 8.0)


class Leading:
    """Looks at what runs, and does what follows from it only while the lease is held.

    Thread safety: `open`, `look` and `renew` from one thread at a time each; the others from any.

    Invariant: `_has_begun` is set once what the router before had begun is taken up, and stays set.
    """

    def __init__(
        self, state: ClusterState, lease: Lease, buying: Buying, watching: Watching, noticing: Noticing
    ) -> None:
        """Follow at first."""
        self._state = state
        self._lease = lease
        self._buying = buying
        self._watching = watching
        self._noticing = noticing
        self._has_recalled = False  # notices of earlier routers
        self._has_followed = False
        self._has_begun = False

    @property
    def has_begun(self) -> bool:
        """Whether this router ever led, and took up what the one before had begun."""
        return self._has_begun

    def leads(self) -> bool:
        """Whether this router may change what runs; see `mark.ports.Led`."""
        self._lease.raise_if_lost()
        return self._has_begun and self._lease.is_held

    def open(self) -> None:
        """Take the lease if it can be had at once.

        Raises:
            CloudError: S3 cannot be asked.
        """
        if not self._lease.try_to_take():
            self._has_followed = True
            _log.warning(
                "another router leads the cluster, or was killed less than %g s ago; until its lease is over, this one "
                "serves through what runs and launches nothing", self._lease.lease_s,
            )  # fmt: skip

    def look_first(self) -> None:
        """Look, again for some seconds while AWS throttles; see `look`.

        Raises:
            CloudError: AWS does not say what runs.
        """
        for pause_s in _FIRST_PAUSES_S:
            try:
                self.look()
            except Throttled as error:
                _log.warning("opening: %s", error)
                time.sleep(pause_s)
            else:
                return
        self.look()

    def look(self) -> float:
        """Look at what runs; the first time that the lease is held, take up what the router before had begun, too.

        Returns:
            How long nothing needs to be looked at.

        Raises:
            CloudError: AWS does not say what runs, or what was begun; the next look tries again.
        """
        is_held = self._lease.is_held
        begins = is_held and not self._has_begun
        if begins:
            self._recover()
        pause_s = self._watching.look(leads=is_held)
        if begins or not self._has_recalled:
            self._noticing.recall()
            self._has_recalled = True
        if begins:
            if self._has_followed:
                _log.info("this router leads the cluster now")
            with self._state.lock:
                self._has_begun = True
                self._state.announce()
        return pause_s

    def renew(self) -> float:
        """Keep the lease, or try to take it; returns how long to wait before the next time.

        Raises:
            LeaseLost: another router took it from this one.
            CloudError: S3 cannot be asked.
        """
        if self._lease.is_taken:
            self._lease.renew()
        elif not self._lease.try_to_take():
            return self._lease.try_again_s
        return self._lease.lease_s / 3

    def is_ours(self) -> bool:
        """Whether what runs is this router's to give back; may take as long as a lease lasts."""
        if self._lease.is_lost:
            _log.warning("another router leads the cluster: what runs is left to it")
            return False
        if self._lease.is_taken:
            return True
        _log.warning("waiting up to %g s: is what runs another router's?", self._lease.lease_s)
        if not self._lease.outlast():
            _log.warning("this router never led the cluster: what runs is left; `mark aws teardown` ends it")
            return False
        try:
            self._recover()
        except CloudError as error:
            _log.error("%s; the next router finishes what was begun", error)
        return True

    def _recover(self) -> None:
        self._buying.recover(lambda intent: self._state.is_known(intent.offering, intent.model))
