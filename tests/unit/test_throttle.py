"""How a worker is held to the share of a burstable machine: full with credits, a part of it without."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from contract.cloud_world import ARTIFACT

from mark.app.clouds import worker_command
from mark.domain.offering import Market, Offering
from mark.worker.main import parse_options
from mark.worker.throttle import CpuCredits, CpuShare, CpuUse


class Worker:
    """A worker that is busy for a while at its full speed, batch after batch; time is the test's."""

    def __init__(self, baseline_share: float = 0.2, credits_s: float = 10.0, share: float = 0.5) -> None:
        self.now_s = 1000.0
        self.share = CpuShare(share)
        self.credits = CpuCredits(self.share, baseline_share, credits_s, self.now_s)

    def batch(self, busy_s: float) -> float:
        """Compute for so long; how long it took, with the idle time after it."""
        began_s = self.now_s
        self.now_s += busy_s
        self.now_s += self.credits.idle_s(CpuUse(busy_s, busy_s, busy_s), self.now_s)
        return self.now_s - began_s


def test_with_credits_it_is_as_fast_as_its_share() -> None:
    assert Worker().batch(0.1) == pytest.approx(0.2)


def test_without_it_is_as_fast_as_its_baseline() -> None:
    worker = Worker(credits_s=0.0)

    assert worker.batch(0.1) == pytest.approx(0.2 / 0.2)
    assert worker.batch(0.1) == pytest.approx(0.2 / 0.2)


def test_credits_last_as_long_as_they_say_and_what_is_earned_meanwhile() -> None:
    worker = Worker(baseline_share=0.2, credits_s=8.0)

    spells_s = [worker.batch(0.1) for _ in range(60)]

    # Busy all the time it spends 0.8 of a credit a second, so eight last for ten seconds: fifty batches of 0.2 s.
    assert spells_s[:49] == pytest.approx([0.2] * 49)
    assert spells_s[51:] == pytest.approx([1.0] * 9)


def test_idle_time_earns_credits() -> None:
    worker = Worker(credits_s=0.0)
    worker.batch(0.1)
    worker.now_s += 50.0

    assert worker.credits.credits_s(worker.now_s) == pytest.approx(10.0)
    assert worker.batch(0.1) == pytest.approx(0.2)


def test_no_more_than_a_days_credits_are_kept() -> None:
    worker = Worker(baseline_share=0.2, credits_s=0.0)

    assert worker.credits.credits_s(worker.now_s + 30 * 86_400) == pytest.approx(0.2 * 86_400)


def test_that_credits_are_used_up_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(credits_s=0.1)

    for _ in range(5):
        worker.batch(0.1)

    assert caplog.text.count("out of credits") == 1


@pytest.mark.parametrize(("baseline_share", "credits_s"), [(0.0, 1.0), (1.5, 1.0), (0.2, -1.0)])
def test_what_makes_no_sense_is_refused(baseline_share: float, credits_s: float) -> None:
    with pytest.raises(ValueError, match="credits"):
        Worker(baseline_share, credits_s)


def test_a_local_worker_is_told_of_its_credits_and_one_without_of_none() -> None:
    metered = Offering("t", Market.BURSTABLE, 1.0, boot_s=0.0, max_count=1, baseline_share=0.2, credits_s=60.0)

    command = worker_command(ARTIFACT, metered, "unix:/w")
    options = parse_options(command[command.index("mark.worker") + 1 :])
    plain = worker_command(ARTIFACT, replace(metered, credits_s=math.inf), "unix:/w")

    assert (options.baseline_share, options.credits_s, options.exit_with_parent) == (0.2, 60.0, True)
    assert "--credits-s" not in plain
    assert parse_options(plain[plain.index("mark.worker") + 1 :]).credits_s is None
