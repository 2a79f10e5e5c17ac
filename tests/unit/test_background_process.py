"""Work in processes of its own: what it returns, what it raises, and that no process is left."""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import psutil
import pytest
from unit.forecast_series import SHORT_DAY, daily

from mark.forecast.background import Background, InlineBackground, Job, Refits
from mark.forecast.linear import fit_linear
from mark.live.background_process import ProcessBackground


class Remembering:
    """Background work whose last piece can be waited for."""

    def __init__(self, background: Background) -> None:
        self.background = background

    def start_work(self, work: Callable[[], object]) -> Job:
        self.job = self.background.start_work(work)
        return self.job


def test_work_is_done_in_another_process_and_hands_over_what_it_returns() -> None:
    job = ProcessBackground().start_work(os.getpid)

    assert job.wait(30)
    assert job.outcome() != os.getpid()


def test_a_refit_in_a_process_of_its_own_ends_as_it_does_here() -> None:
    calendar, load = SHORT_DAY, daily(5)
    outcomes = []
    for background in (Remembering(InlineBackground()), Remembering(ProcessBackground())):
        refits = Refits({"linear": partial(fit_linear, calendar=calendar)}, {"linear": 1000}, background)
        assert refits.poll(np.tile(load, 4), 0, {}) is None
        assert background.job.wait(110)  # of low priority, it waits for whatever else runs on the machine
        outcome = refits.poll(np.tile(load, 4), 0, {})
        assert outcome is not None
        outcomes.append(outcome.promoted)

    here, there = (made.predict(load, 0) for made in outcomes if made is not None)
    assert np.allclose(here.running_max, there.running_max)


def test_what_the_work_raises_is_raised_where_it_is_asked_for() -> None:
    job = ProcessBackground().start_work(partial(operator.truediv, 1, 0))

    assert job.wait(30)
    with pytest.raises(ZeroDivisionError):
        job.outcome()


def test_what_the_work_prints_is_no_answer() -> None:
    job = ProcessBackground().start_work(partial(print, "hello"))

    assert job.wait(30)
    assert job.outcome() is None


def test_what_cannot_be_handed_over_is_an_error() -> None:
    job = ProcessBackground().start_work(partial(open, os.devnull))

    assert job.wait(30)
    with pytest.raises(RuntimeError, match="cannot be handed over"):
        job.outcome()


def test_a_process_that_dies_is_an_error_and_not_a_hang() -> None:
    job = ProcessBackground().start_work(partial(os._exit, 3))

    assert job.wait(30)
    with pytest.raises(RuntimeError, match="without an answer, with status 3"):
        job.outcome()


def test_closing_ends_what_runs_and_nothing_starts_afterwards() -> None:
    background = ProcessBackground()
    job = background.start_work(partial(time.sleep, 1000))
    assert not job.wait(0.0)

    background.close()

    assert job.wait(0.0)
    # Children of other tests may end meanwhile: those have no command line any more.
    children = [each.info for each in psutil.process_iter(["ppid", "cmdline"]) if each.info["ppid"] == os.getpid()]
    assert not [child for child in children if "background_process" in " ".join(child["cmdline"] or ())]
    with pytest.raises(RuntimeError, match="after the end"):
        background.start_work(os.getpid)


def test_it_ends_with_the_process_that_started_it() -> None:
    script = (
        "import functools, time; from mark.live.background_process import ProcessBackground;"
        "ProcessBackground().start_work(functools.partial(time.sleep, 1000)); print('started', flush=True);"
        "time.sleep(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        [child] = psutil.Process(parent.pid).children()
        parent.kill()
    assert psutil.wait_procs([child], timeout=30)[1] == []
