"""A surge on real processes, with functions and without: attainment in the worst ten seconds, and a picture.

`python -m pytest bench/bench_surge.py` runs 40 seconds of each and draws docs/pictures/surge.svg.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.surge_picture import picture_of
from bench.undisturbed import undisturbed
from integration.router_process import start_router
from integration.surge_run import SurgeRun, config_of, drive_surge, surge_instants
from pytest_benchmark.fixture import BenchmarkFixture

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "surge.svg"
ATTAINMENT_MIN = 0.9


@contextmanager
def routed(folder: Path, *, serverless: bool) -> Iterator[str]:
    folder.mkdir()
    router = start_router(config_of(serverless=serverless), folder)
    try:
        yield router.address
    finally:
        assert router.stop() == 0, router.log.read_text(encoding="utf-8")


@pytest.mark.timeout(300)
def test_functions_carry_a_surge_until_instances_do(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    calm_s, surge_s = (10.0, 30.0) if benchmark.enabled else (0.5, 3.0)
    instants_s = surge_instants(calm_s, surge_s)

    numbers = itertools.count()

    def run(*, serverless: bool) -> SurgeRun:
        with routed(tmp_path / str(next(numbers)), serverless=serverless) as address:
            return asyncio.run(drive_surge(address, instants_s))

    def is_kept(run: SurgeRun) -> bool:
        return run.worst_window() >= ATTAINMENT_MIN

    # Of a few seconds, one in which the machine does something else is more than the load can miss.
    tries = 1 if benchmark.enabled else 5
    helped: SurgeRun = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: undisturbed(lambda: run(serverless=True), is_kept, tries), rounds=1
    )
    benchmark.extra_info.update(
        worst_window=helped.worst_window(),
        by_functions=helped.carried[-1].by_functions,
        functions_usd=helped.status.bursts.cost_usd,
    )
    assert is_kept(helped)
    assert helped.carried[-1].by_functions > 0
    if benchmark.enabled:
        alone = run(serverless=False)
        benchmark.extra_info.update(worst_window_without=alone.worst_window())
        assert alone.worst_window() < helped.worst_window()
        PICTURE.write_text(picture_of({"with functions": helped, "without": alone}, calm_s), encoding="utf-8")
