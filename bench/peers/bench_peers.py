"""mark's worker beside mosec, where `python -m bench.peers` has installed it; and the load that both are given."""

from __future__ import annotations

import os
import shutil
import statistics
from pathlib import Path

import pytest
from bench.peers.environments import Environment, EnvironmentMissing, default_folder, environment_of
from bench.peers.load import H2load, LoadFailed
from bench.peers.measuring import IN_FLIGHT, serving
from bench.peers.open_loop import OpenLoop
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


def test_an_open_loop_is_answered_whole_by_a_server_that_keeps_up(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    try:
        load = OpenLoop(CORES[1], tmp_path)
    except LoadFailed as error:
        pytest.skip(str(error))
    rate_per_s, seconds = 200, 5 if benchmark.enabled else 1
    with serving(WORKER, CORES[0]) as served:
        loaded = benchmark.pedantic(  # type: ignore[no-untyped-call]
            load.paced, args=(served.target, rate_per_s, seconds), rounds=1
        )
    assert loaded.requests == loaded.asked == len(loaded.latencies_ms)
    assert abs(loaded.asked - rate_per_s * seconds) < 5 * (rate_per_s * seconds) ** 0.5
    benchmark.extra_info.update(p50_ms=loaded.quantile_ms(0.5), p99_ms=loaded.quantile_ms(0.99))
