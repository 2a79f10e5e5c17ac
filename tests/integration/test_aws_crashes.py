"""A controller on AWS that is killed at any line neither loses capacity nor leaks money."""

from __future__ import annotations

import os

import pytest
from integration.aws_crash_run import crash_world

KILLS = int(os.environ.get("MARK_KILLS", "40"))  # MARK_KILLS=200 pytest -s tests/integration/test_aws_crashes.py


@pytest.mark.timeout(60 + 5 * KILLS)
@pytest.mark.slow
def test_whatever_call_it_is_killed_at_the_next_controller_finishes_and_buys_nothing_twice() -> None:
    with crash_world(seed=1) as world:
        for kill in range(KILLS):
            world.crash()
            if kill % 10 == 9:
                world.recover(load_per_s=35.0)
        world.recover(load_per_s=20.0)
        world.teardown()

    print(world.figures)
    assert world.figures.killed_at.total() == KILLS
    assert world.figures.most_beyond_plan == 0
    assert world.figures.bought_twice == 0
    assert world.figures.most_standbys <= 2
