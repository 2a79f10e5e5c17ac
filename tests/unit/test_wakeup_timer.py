"""The timer that drives the request path."""

from __future__ import annotations

import select
import time

from mark._core import WakeupTimer


def fires_within(timer: WakeupTimer, seconds: float) -> bool:
    return bool(select.select([timer.fileno()], [], [], seconds)[0])


def test_it_fires_after_its_delay_and_once() -> None:
    timer = WakeupTimer()
    began_ns = time.monotonic_ns()

    timer.arm(2_000_000)

    assert fires_within(timer, 5.0)
    assert time.monotonic_ns() - began_ns >= 2_000_000
    timer.acknowledge()
    assert not fires_within(timer, 0.0)


def test_a_delay_that_has_passed_fires_at_once() -> None:
    timer = WakeupTimer()

    timer.arm(-5)

    assert fires_within(timer, 5.0)


def test_setting_it_anew_replaces_what_was_set() -> None:
    timer = WakeupTimer()
    timer.arm(1)
    assert fires_within(timer, 5.0)

    timer.arm(3_600_000_000_000)

    assert not fires_within(timer, 0.0)
    timer.acknowledge()  # nothing to read is no error
    timer.disarm()
