"""What it costs to be looked at: throughput while a router is scraped once a second, against while it is not.

Slices of both kinds take turns, and each pair is compared by itself: what else the machine does falls on both. What a
scrape takes of the router's CPU is measured apart, for it is what throughput can lose at the most, and hardly varies.
"""

from __future__ import annotations

import math
import re
import statistics
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from bench.noop_servers import CORES, Process, closed_loop, worker_process
from prometheus_client.parser import text_string_to_metric_families
from pytest_benchmark.fixture import BenchmarkFixture

from mark import _core

pytestmark = [
    pytest.mark.skipif(not _core.native_available, reason="built without the native data plane"),
    pytest.mark.timeout(600),
]

IN_FLIGHT = 64
SLICE_S = 2.0
PAIRS = 20
RATIO_MIN = 0.99
SCRAPES = 50
SCRAPE_CPU_S_MAX = 0.01  # a hundredth of a second's, once a second
CONFIG = """\
server: {{port: 0, ingress: native}}
http: {{address: '127.0.0.1:0'}}
models:
  - name: noop
    inputs: [{{name: x, datatype: FP32, shape: [-1, 64]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1, 64]}}]
    slo: {{rt_max_ms: 10000}}
    batching: {{rows_max: 64}}
    workers: [{{address: '{address}', profile: [[1, 1.2], [64, 1.6]]}}]
"""

Scrape = Callable[[], bytes]


@contextmanager
def router_and_scrape(folder: Path) -> Iterator[tuple[Process, Scrape]]:
    """A router on core 0 before a worker on the same, and how to scrape it."""
    log = folder / "router.log"

    def scrape() -> bytes:
        said = re.search(r"the page is at (\S+)/", log.read_text(encoding="utf-8"))
        assert said is not None
        with urllib.request.urlopen(f"{said[1]}/metrics", timeout=10) as answer:
            return bytes(answer.read())

    with worker_process("native", folder, 0) as worker:
        file = folder / "mark.yaml"
        file.write_text(CONFIG.format(address=worker.address), encoding="utf-8")
        router = Process((0,), "-m", "mark", "serve", "--exit-with-parent", str(file), log=log)
        try:
            yield router, scrape
        finally:
            router.end()


@contextmanager
def scraped_once_a_second(scrape: Scrape) -> Iterator[None]:
    """From half a second on, so that a slice of so many seconds has as many scrapes."""
    ended = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        wait_s = 0.5
        while not ended.wait(wait_s):
            try:
                scrape()
            except OSError as error:
                failed.append(error)
            wait_s = 1.0

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failed


def answered(exposition: bytes) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
        if sample.name == "mark_requests_total" and sample.labels["outcome"] == "answered"
    )


def error_of_median(values: Sequence[float]) -> float:
    """Standard error of the median of values that are about normally distributed."""
    return math.sqrt(math.pi / 2 / len(values)) * statistics.stdev(values) if len(values) > 1 else math.inf


def test_being_scraped_once_a_second_takes_less_than_a_hundredth_of_the_throughput(
    benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    pairs = PAIRS if benchmark.enabled else 1
    rates: dict[bool, list[float]] = {True: [], False: []}
    sent = 0
    with router_and_scrape(tmp_path) as (router, scrape):
        warm_up = closed_loop(router.address, IN_FLIGHT, 0.5, core=1)[1]

        def run(*, scraped: bool) -> None:
            nonlocal sent
            if scraped:
                with scraped_once_a_second(scrape):
                    rate, count = closed_loop(router.address, IN_FLIGHT, SLICE_S, core=1)
            else:
                rate, count = closed_loop(router.address, IN_FLIGHT, SLICE_S, core=1)
            rates[scraped].append(rate)
            sent += count

        def pair() -> None:
            # Whichever comes first has its turn to, in case the machine warms up or tires.
            first = len(rates[True]) % 2 == 0
            run(scraped=first)
            run(scraped=not first)

        benchmark.pedantic(pair, rounds=pairs)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        assert answered(scrape()) == warm_up + sent

    ratios = [with_it / without for with_it, without in zip(rates[True], rates[False], strict=True)]
    ratio, error = statistics.median(ratios), error_of_median(ratios)
    benchmark.extra_info.update(
        ratio=ratio, ratio_error=error, rates_per_s={str(scraped): each for scraped, each in rates.items()}
    )
    if benchmark.enabled and not _core.assertions_enabled and len(CORES) > 1:
        # Where much else runs the error is large, and the ratio says little either way.
        assert ratio + 2 * error > RATIO_MIN


def test_a_scrape_takes_less_than_a_hundredth_of_a_second_of_the_routers_cpu(
    benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    with router_and_scrape(tmp_path) as (router, scrape):
        closed_loop(router.address, IN_FLIGHT, 0.2, core=1)
        scrape()
        process = psutil.Process(router.process.pid)

        def cpu_s() -> float:
            times = process.cpu_times()
            return float(times.user + times.system)

        began_s = cpu_s()
        scrapes = 0

        def run() -> None:
            nonlocal scrapes
            for _ in range(SCRAPES):
                found = scrape()
                scrapes += 1
            assert b"mark_request_latency_seconds_bucket" in found

        benchmark.pedantic(run, rounds=4 if benchmark.enabled else 1)  # type: ignore[no-untyped-call]
        each_s = (cpu_s() - began_s) / scrapes

    benchmark.extra_info.update(cpu_ms=each_s * 1e3)
    if not _core.assertions_enabled:
        assert each_s < SCRAPE_CPU_S_MAX
