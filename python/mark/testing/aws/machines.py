"""Every instance of the fake EC2, and what moves it from state to state."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mark.testing.aws.machine import LaunchSpec, Machine, Span, State, aws_time
from mark.testing.aws.params import FakeAwsParams
from mark.testing.aws.timers import Timers
from mark.testing.aws.wire import AwsError

__all__ = ["Computer", "Machines"]

_POLL_S = 0.02


class Computer(Protocol):
    """What runs inside an instance."""

    def start(self, machine: Machine, ended: Callable[[], None]) -> None:
        """Boot; call `ended` if what runs ends by itself."""

    def shut_down(self, machine_id: str) -> None:
        """Ask what runs to end."""

    def is_off(self, machine_id: str, kill: bool) -> bool:
        """Whether nothing runs any more; kill what does, if told to."""

    def forget(self, machine_id: str) -> None:
        """Remove its disk."""


class Machines:
    """The instances, oldest first.

    Thread safety: every method may be called from any thread.

    Invariants: machines are read and changed with `lock` held only. An instance that is terminated stays so. A timer
    of an earlier state does nothing: it carries the generation that it was set for.
    """

    def __init__(self, params: FakeAwsParams, timers: Timers, computer: Computer) -> None:
        self.lock = threading.RLock()
        self.changed: Callable[[Machine], None] = lambda _: None
        self._params = params
        self._timers = timers
        self._computer = computer
        self._machines: dict[str, Machine] = {}
        self._addresses = itertools.count(250 * secrets.randbelow(100))
        self._network = 1 + secrets.randbelow(250)

    def all(self) -> list[Machine]:
        """Every instance that ever was."""
        with self.lock:
            return list(self._machines.values())

    def get(self, machine_id: str) -> Machine:
        """One instance.

        Raises:
            AwsError: there is none of that name.
        """
        with self.lock:
            if machine_id not in self._machines:
                raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{machine_id}' does not exist")
            return self._machines[machine_id]

    def named(self, machine_ids: Iterable[str]) -> list[Machine]:
        """Several, all of which must be there."""
        with self.lock:
            return [self.get(machine_id) for machine_id in machine_ids]

    def launch(self, specs: Sequence[LaunchSpec]) -> list[Machine]:
        """Instances of one reservation, pending."""
        reservation = f"r-{secrets.token_hex(8)[:17]}"
        with self.lock:
            made = [self._make(spec, reservation, index) for index, spec in enumerate(specs)]
            for machine in made:
                self._machines[machine.id] = machine
                self._begin(machine)
            return made

    def start(self, machines: Sequence[Machine]) -> list[tuple[Machine, State]]:
        """Start stopped ones again; the states before.

        Raises:
            AwsError: one of them is in no state that can be started, or a spot instance.
        """
        with self.lock:
            for machine in machines:
                if machine.state not in {State.STOPPED, State.RUNNING, State.PENDING}:
                    raise _wrong_state(machine, "started")
            before = [(machine, machine.state) for machine in machines]
            for machine in machines:
                if machine.state is State.STOPPED:
                    machine.reason, machine.state_reason = "", {}
                    self._begin(machine)
            return before

    def stop(self, machines: Sequence[Machine]) -> list[tuple[Machine, State]]:
        """Stop running ones; the states before.

        Raises:
            AwsError: one of them is in no state that can be stopped, or a spot instance.
        """
        with self.lock:
            for machine in machines:
                if machine.state not in {State.RUNNING, State.STOPPING, State.STOPPED}:
                    raise _wrong_state(machine, "stopped")
                if machine.spec.market == "spot":
                    message = f"You can't stop the Spot Instance '{machine.id}' of a one-time request"
                    raise AwsError("UnsupportedOperation", message)
            before = [(machine, machine.state) for machine in machines]
            for machine in machines:
                if machine.state is State.RUNNING:
                    self._end(machine, State.STOPPING, "User initiated", "Client.UserInitiatedShutdown")
            return before

    def terminate(self, machines: Sequence[Machine]) -> list[tuple[Machine, State]]:
        """End them for good; the states before. What ended already stays as it is."""
        with self.lock:
            before = [(machine, machine.state) for machine in machines]
            for machine in machines:
                if machine.alive:
                    self._end(machine, State.SHUTTING_DOWN, "User initiated", "Client.UserInitiatedShutdown")
            return before

    def take(self, machine_id: str) -> None:
        """End a spot instance as EC2 does when the notice is over."""
        with self.lock:
            machine = self.get(machine_id)
            if machine.alive:
                if machine.spans and machine.spans[-1].ended_s is None:
                    machine.spans[-1].taken = True
                self._end(machine, State.SHUTTING_DOWN, "Service initiated", "Server.SpotInstanceTermination")

    def _make(self, spec: LaunchSpec, reservation: str, index: int) -> Machine:
        number = next(self._addresses)
        options = {"HttpTokens": "optional", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1}
        options |= {"InstanceMetadataTags": "disabled", **spec.settings.get("MetadataOptions", {})}
        return Machine(
            id=f"i-{secrets.token_hex(9)[:17]}",
            reservation_id=reservation,
            spec=spec,
            address=f"127.{self._network}.{number // 250}.{1 + number % 250}",
            tags=dict(spec.tags),
            volumes={f"vol-{secrets.token_hex(9)[:17]}": dict(spec.volume_tags)},
            spot_request_id=f"sir-{secrets.token_hex(4)}" if spec.market == "spot" else "",
            launch_index=index,
            metadata_options=options,
        )

    def _begin(self, machine: Machine) -> None:
        machine.begun_s = time.time()
        machine.spans.append(Span(machine.begun_s))
        self._move(machine, State.PENDING)
        self._later(machine, self._params.dwell.pending_s, self._run)

    def _run(self, machine: Machine) -> None:
        self._move(machine, State.RUNNING)
        generation = machine.generation
        self._computer.start(machine, lambda: self._ended_by_itself(machine, generation))

    def _ended_by_itself(self, machine: Machine, generation: int) -> None:
        with self.lock:
            if machine.generation != generation:
                return
            state = State.SHUTTING_DOWN if machine.spec.ends_terminated else State.STOPPING
            self._end(machine, state, "User initiated", "Client.InstanceInitiatedShutdown")

    def _end(self, machine: Machine, state: State, reason: str, code: str) -> None:
        now_s = time.time()
        if machine.spans and machine.spans[-1].ended_s is None:
            machine.spans[-1].ended_s = now_s
        machine.reason = f"{reason} ({aws_time(now_s):%Y-%m-%d %H:%M:%S} GMT)"
        machine.state_reason = {"Code": code, "Message": f"{code}: {reason}"}
        self._move(machine, state)
        self._computer.shut_down(machine.id)
        stopping = state is State.STOPPING
        dwell_s = self._params.dwell.stopping_s if stopping else self._params.dwell.shutting_down_s
        kill_at_s = now_s + max(dwell_s, self._params.kill_after_s)
        self._later(machine, dwell_s, lambda each: self._finish(each, kill_at_s))

    def _finish(self, machine: Machine, kill_at_s: float) -> None:
        if not self._computer.is_off(machine.id, kill=time.time() >= kill_at_s):
            self._later(machine, _POLL_S, lambda each: self._finish(each, kill_at_s))
        elif machine.state is State.STOPPING:
            self._move(machine, State.STOPPED)
        else:
            self._computer.forget(machine.id)
            self._move(machine, State.TERMINATED)

    def _move(self, machine: Machine, state: State) -> None:
        machine.state = state
        machine.generation += 1
        self.changed(machine)

    def _later(self, machine: Machine, seconds: float, action: Callable[[Machine], None]) -> None:
        generation = machine.generation

        def act() -> None:
            with self.lock:
                if machine.generation == generation:
                    action(machine)

        self._timers.after(seconds, act)


def _wrong_state(machine: Machine, verb: str) -> AwsError:
    message = f"The instance '{machine.id}' is not in a state from which it can be {verb}."
    return AwsError("IncorrectInstanceState", message)
