"""How far the refined plan is from the proven optimum: a sample of what bench/bench_planning.py measures."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from properties.gap_cases import TRACES, GapCase, gap_case, made_up_rates, rates_of

from mark import _core
from mark.policies.optimum import optimal_schedule

TWITTER = "twitter_2021_08_per_minute.csv"
BOUNDS = {0.25: (0.02, 0.12), 1.0: (0.005, 0.05)}  # mean and worst, by the size of the load


def gap_of(case: GapCase) -> float:
    problem = case.problem()
    refined, optimum = _core.refined_plan(problem), optimal_schedule(problem)
    assert optimum.proven
    assert (refined.missed_rows, optimum.missed_rows) == (0, 0)
    assert refined.usd >= optimum.usd * (1 - 1e-6)
    return refined.usd / optimum.usd - 1


def check_gaps(rates: list[float], scale: float, seeds: tuple[int, ...]) -> None:
    gaps = [gap_of(gap_case(rates, scale, random.Random(seed))) for seed in seeds]
    mean_max, worst_max = BOUNDS[scale]
    assert fmean(gaps) <= mean_max, gaps
    assert max(gaps) <= worst_max, gaps


# The seeds are of cases that the solver is done with in about a second.
@pytest.mark.parametrize(("scale", "seeds"), [(0.25, (0, 2, 4, 6)), (1.0, (0, 5, 8, 10))])
def test_the_refined_plan_is_within_a_hair_of_the_optimum(scale: float, seeds: tuple[int, ...]) -> None:
    check_gaps(made_up_rates(random.Random(3)), scale, seeds)


@pytest.mark.skipif(not (TRACES / TWITTER).is_file(), reason="the shared traces are not here")
@pytest.mark.parametrize(("scale", "seeds"), [(0.25, (0, 2, 4, 11)), (1.0, (1, 2, 9, 10))])
def test_so_it_is_on_a_recorded_load(scale: float, seeds: tuple[int, ...]) -> None:
    check_gaps(rates_of(TWITTER), scale, seeds)
