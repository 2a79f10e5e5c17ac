"""The fake AWS's CPU credits: earned, spent, lost and kept."""

from __future__ import annotations

import pytest

from mark.testing.aws.credits import balance
from mark.testing.aws.machine import LaunchSpec, Machine, Span

HOUR_S = 3600.0


def machine(kind: str, *spans: tuple[float, float | None]) -> Machine:
    spec = LaunchSpec(kind, "on-demand", "us-east-1a", "", "", {}, {}, {})
    return Machine("i-1", "r-1", spec, "", {}, {}, spans=[Span(*span) for span in spans])


@pytest.mark.parametrize(
    ("kind", "hours", "share", "left"),
    [
        ("t3.medium", 1, 0.0, 24),
        ("t3.medium", 100, 0.0, 576),
        ("t3.medium", 1, 0.1, 12),
        ("t3.medium", 5, 1.0, 0),
        ("t2.medium", 1, 0.0, 60 + 24),
        ("t3a.large", 2, 0.0, 72),
    ],
)
def test_credits_are_earned_for_a_day_and_spent(kind: str, hours: float, share: float, left: float) -> None:
    assert balance(machine(kind, (1.0, None)), 1.0 + hours * HOUR_S, share) == pytest.approx(left)


def test_a_stop_costs_a_t2_its_credits_and_a_t3_only_after_a_week() -> None:
    week_s = 7 * 24 * HOUR_S
    for pause_s, t2, t3 in [(HOUR_S, 60.0, 48.0), (week_s + 1, 60.0, 0.0)]:
        again_s = 1.0 + 2 * HOUR_S + pause_s
        spans = ((1.0, 1.0 + 2 * HOUR_S), (again_s, None))
        assert balance(machine("t2.medium", *spans), again_s, 0.0) == pytest.approx(t2)
        assert balance(machine("t3.medium", *spans), again_s, 0.0) == pytest.approx(t3)
