"""The clock that moves only when told to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.testing import ManualClock


def test_it_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(now_ns=7)

    assert (clock.now_ns(), clock.now_ns()) == (7, 7)
    clock.advance_s(1.5)
    assert clock.now_ns() == 1_500_000_007


def test_it_does_not_go_back() -> None:
    clock = ManualClock()

    with pytest.raises(ValueError, match="does not go back by 1 s"):
        clock.advance_s(-1)
    assert clock.now_ns() == 0


@given(st.lists(st.floats(0, 1e6)))
def test_it_never_runs_backwards(steps: list[float]) -> None:
    clock, seen = ManualClock(), [0]
    for step in steps:
        clock.advance_s(step)
        seen.append(clock.now_ns())

    assert seen == sorted(seen)
