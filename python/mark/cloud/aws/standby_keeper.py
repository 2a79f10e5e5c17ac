"""Does what `Standbys` says is to be done."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from mark.cloud.aws.cluster_state import ClusterState
from mark.cloud.aws.errors import translated
from mark.cloud.aws.giving_back import GivingBack
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.renting import Renting
from mark.cloud.aws.session import Client
from mark.cloud.aws.standby import Phase
from mark.errors import CloudError

__all__ = ["StandbyKeeper"]

_log = logging.getLogger(__name__)


class StandbyKeeper:
    """Creates, stops and lets go. What fails is tried again in the next round.

    Thread safety: `step` from one thread at a time.
    """

    def __init__(
        self,
        state: ClusterState,
        client: Callable[[], Client],
        lease: Lease,
        renting: Renting,
        giving_back: GivingBack,
    ) -> None:
        """Keep none yet."""
        self._state = state
        self._client = client
        self._lease = lease
        self._renting = renting
        self._giving_back = giving_back

    def step(self) -> None:
        """Do what is to be done now."""
        state = self._state
        with state.lock:
            if state.closed:
                return
            steps = state.standbys.steps(state.artifacts, state.present_ns())
            artifacts = dict(state.artifacts)
        for (offering, model), count in steps.create.items():
            self._create(offering, count, model, artifacts)
        standbys = state.standbys
        self._change("stop_instances", steps.stop, standbys.stopping, standbys.not_stopped)
        self._change("start_instances", steps.start, standbys.recharging, standbys.not_started)
        self.let_go(steps.let_go)

    def let_go(self, machines: Sequence[str]) -> None:
        """Terminate standbys that nobody rents."""
        standbys = self._state.standbys
        with self._state.lock:
            rented = {each.machine for each in standbys.all if each.phase is Phase.RENTED}
            chosen = [machine for machine in machines if machine not in rented]
            for machine in chosen:
                standbys.gone(machine, self._state.present_ns())
        try:
            self._giving_back.terminate(chosen)
        except CloudError as error:
            _log.warning("standbys are not let go yet: %s", error)
            with self._state.lock:
                for machine in chosen:
                    standbys.not_gone(machine)

    def _create(self, offering: str, count: int, model: str, artifacts: dict[str, Any]) -> None:
        wanted = self._state.offerings[offering]
        token = f"standby/{model}/{offering}/{uuid.uuid4().hex}"
        try:
            self._renting.buy_standbys(wanted, artifacts[model], count, token)
        except CloudError as error:
            _log.warning("no %s is kept stopped for %s yet: %s", offering, model, error)
            with self._state.lock:
                self._state.standbys.refused((offering, model), self._state.present_ns())

    def _change(
        self,
        operation: str,
        machines: Sequence[str],
        begin: Callable[[str, int], bool],
        undo: Callable[[str, int], None],
    ) -> None:
        # They are marked before the call, so that no launch takes them meanwhile.
        with self._state.lock:
            chosen = [machine for machine in machines if begin(machine, self._state.present_ns())]
        if not chosen:
            return
        try:
            self._lease.check()
            try:
                getattr(self._client(), operation)(InstanceIds=chosen)
            except Exception as error:
                raise translated(error, f"{operation} of {len(chosen)} standbys") from error
        except CloudError as error:
            _log.warning("%s", error)
            with self._state.lock:
                for machine in chosen:
                    undo(machine, self._state.present_ns())
