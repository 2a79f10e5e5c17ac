"""mark's worker beside mosec, where `python -m bench.peers` has installed it: both answer rightly, and how much."""

from __future__ import annotations

import os
import shutil
import statistics

import pytest
from bench.peers.environments import Environment, EnvironmentMissing, default_folder, environment_of
from bench.peers.load import H2load
from bench.peers.measuring import IN_FLIGHT, serving
from bench.peers.subjects import SUBJECTS
from pytest_benchmark.fixture import BenchmarkFixture

CORES = sorted(os.sched_getaffinity(0))
WORKER, MOSEC = (next(subject for subject in SUBJECTS if subject.name == name) for name in ("mark worker", "mosec"))

pytestmark = [
    pytest.mark.skipif(len(CORES) < 2, reason="a core for the server and one for the load are needed"),
    pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not on the path"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def mosec() -> Environment:
    try:
        return environment_of("mosec", default_folder(), make=False)
    except EnvironmentMissing as error:
        pytest.skip(f"{error}: python -m bench.peers --only mosec")


def test_rate_of_marks_worker_over_mosecs(benchmark: BenchmarkFixture, mosec: Environment) -> None:
    seconds, rounds = (5, 3) if benchmark.enabled else (1, 1)
    load = H2load(CORES[1])
    rates_per_s: dict[str, list[float]] = {"mark": [], "mosec": []}

    def measure() -> None:
        for name, subject, environment in (("mark", WORKER, None), ("mosec", MOSEC, mosec)):
            with serving(subject, CORES[0], environment) as served:
                load.closed(served.target, IN_FLIGHT, 1)
                rates_per_s[name].append(load.closed(served.target, IN_FLIGHT, seconds).rate_per_s)

    benchmark.pedantic(measure, rounds=rounds)  # type: ignore[no-untyped-call]
    ratios = [ours / theirs for ours, theirs in zip(rates_per_s["mark"], rates_per_s["mosec"], strict=True)]
    benchmark.extra_info.update(rates_per_s=rates_per_s, of_mosec=statistics.median(ratios))
    assert min(rates_per_s["mark"]) > 0  # every answer was checked on the way; what the ratio has to be, issues say
