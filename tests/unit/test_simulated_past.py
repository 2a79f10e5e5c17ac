"""What is known when a simulation begins: the first part of the load, and the number of the step."""

from __future__ import annotations

import numpy as np
import pytest

from mark.app.simulated_past import NO_PAST, first_step_of, past_of, scene_s_of
from mark.app.simulated_scenario import simulated_scenario
from mark.domain.load import LoadChunk
from mark.errors import ConfigError
from mark.workload.synthetic import SteppedLoad

SIMULATED = simulated_scenario("paper/nasnet", None)
HOURS = 4
LOAD = SteppedLoad(LoadChunk(3600.0 * np.arange(1, HOURS + 1, dtype=np.float64), np.array([100.0, 400.0, 200.0, 0.0])))


def test_without_a_history_nothing_is_known_and_the_warm_up_goes_before_midnight() -> None:
    past = past_of(LOAD, SIMULATED, 0.0, seed=0)

    assert past is NO_PAST
    assert past.rest_of(LOAD) is LOAD
    assert (scene_s_of(SIMULATED, past), first_step_of(SIMULATED, past)) == (1800.0, -30)


def test_the_last_half_hour_of_a_history_is_the_warm_up() -> None:
    past = past_of(LOAD, SIMULATED, 2 * 3600.0, seed=0)

    assert past.duration_s == 5400.0
    assert (scene_s_of(SIMULATED, past), first_step_of(SIMULATED, past)) == (0.0, 90)
    [rest] = past.rest_of(LOAD).chunks()
    assert rest.ends_s.tolist() == [1800.0, 5400.0, 9000.0]


def test_what_is_known_are_the_maxima_that_a_controller_would_have_seen() -> None:
    past = past_of(LOAD, SIMULATED, 2 * 3600.0, seed=0)

    assert len(past.maxima_per_s) == 90
    # Each is the highest of twelve windows of five seconds, so a little above the rate.
    assert past.maxima_per_s[:60].mean() == pytest.approx(107, abs=3)
    assert past.maxima_per_s[60:].mean() == pytest.approx(415, abs=6)


def test_a_history_that_is_no_longer_than_the_warm_up_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the last 0\.5 hours of it are the warm-up"):
        past_of(LOAD, SIMULATED, 1800.0, seed=0)
