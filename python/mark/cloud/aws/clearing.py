"""Giving everything back when a router stops for good."""

from __future__ import annotations

import logging
import time

from mark.cloud.aws.buying import Buying
from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.giving_back import GivingBack
from mark.cloud.aws.watching import Watching
from mark.errors import CloudError

__all__ = ["Clearing"]

_log = logging.getLogger(__name__)

_TRIES = 6


class Clearing:
    """Terminates all that the cluster has.

    Thread safety: belongs to one thread, when no other launches or looks any more.
    """

    def __init__(self, state: ClusterState, watching: Watching, buying: Buying, giving_back: GivingBack) -> None:
        """Terminate nothing yet."""
        self._state = state
        self._watching = watching
        self._buying = buying
        self._giving_back = giving_back

    def run(self) -> None:
        """Try several times; what still runs then is told in the log."""
        error: CloudError | None = None
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(min(8.0, 0.5 * 2.0**attempt))
            try:
                self._try()
            except CloudError as raised:
                error = raised
                _log.warning("not everything is given back yet: %s", raised)
            else:
                return
        _log.error("some of the cluster may still run; `mark aws teardown` ends it: %s", error)

    def _try(self) -> None:
        self._watching.settle()
        # What has ended meanwhile may have lost its tags, and one that may not be ended keeps all others of its call.
        listed = self._watching.machines()
        ended = {each.id for each in listed if each.is_ended}
        with self._state.lock:
            fleet = self._state.fleet
            fleet.see([each for each in listed if fleet.of_machine(each.id)], self._state.present_ns())  # adopts none
            alive = fleet.alive
            kept = [each.machine for each in self._state.standbys.all if each.machine not in ended]
        self._watching.end(alive, "terminated")
        self._giving_back.terminate(kept)
        # What was bought and never told of carries the tags.
        listed = self._watching.machines()
        self._giving_back.terminate(each.id for each in listed if not each.is_ended)
        self._buying.listed(each.id for each in listed)
        with self._state.lock:
            self._state.standby_bill.see(listed, time.time())
            self._state.standby_bill.end_all(time.time())
