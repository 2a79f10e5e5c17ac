"""Work on threads of its own."""

from __future__ import annotations

import threading

import pytest

from mark.live.background import ThreadBackground


def test_work_runs_beside_the_caller_and_hands_over_what_it_returns() -> None:
    release = threading.Event()

    job = ThreadBackground().start_work(lambda: release.wait(30) and threading.current_thread().daemon)

    assert not job.wait(0.0)
    release.set()
    assert job.wait(30)
    assert job.outcome() is True


def test_what_the_work_raises_is_raised_where_it_is_asked_for() -> None:
    def fail() -> None:
        raise ValueError("no")

    job = ThreadBackground().start_work(fail)

    assert job.wait(30)
    with pytest.raises(ValueError, match="no"):
        job.outcome()
