"""Whether a profile comes true: a model is measured, served by its profile, and answers under load as predicted.

Each request fills a batch of the size at which the profile has the worker serve most. Alone it takes T, the profile's
p99 of that size; the second of two that come together waits for the first, and takes 2 T at most: on a quiet machine
just that, on a busy one less, for two slow batches seldom meet. Load is open loop, through a router process and its
worker process. Figures for a person: pytest bench/bench_profile_accuracy.py -s
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from bench.models.served import MODELS
from pytest_benchmark.fixture import BenchmarkFixture

from mark import AsyncClient, app
from mark.config import Config
from mark.domain.profile_text import measured_model_to_json
from mark.policies.batching_advice import batching_advice
from mark.worker.measuring import Effort
from mark.workload.open_loop import OpenLoop
from mark.workload.random_requests import random_requests
from mark.workload.report import OK

torch = pytest.importorskip("torch")

RATIO_MAX = 0.15
ONCE = Effort(runs_min=1, runs_max=1)


@dataclass(frozen=True)
class Case:
    """A model, the offering that it is served on, and how often each load is repeated."""

    offering: str
    rows_max: int
    effort: Effort
    repeats: int


CASES = {
    # A share of the machine as the demo has it: an answer takes so long that what the router adds is small beside it.
    "digits": Case("cpu_share: 0.05", 8, Effort(time_max_s=30.0), 400),
    "inception-shaped": Case("cpu_share: 1", 4, Effort(time_max_s=40.0), 40),
}


@contextmanager
def router(text: str, folder: Path) -> Iterator[str]:
    """The address of a router process that serves the configuration; it must stop in order."""
    (folder / "mark.yaml").write_text(text, encoding="utf-8")
    with (folder / "router.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mark", "serve", "--exit-with-parent", str(folder / "mark.yaml")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ),
        )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rpartition(" at ")[2]
        assert address, (folder / "router.log").read_text(encoding="utf-8")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)  # its stdin stays open: the end of it would be another signal
        process.communicate()
    assert process.returncode == 0, (folder / "router.log").read_text(encoding="utf-8")


async def drive(address: str, name: str, rows: int, instants_s: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Milliseconds from each instant to the answer of the request that was to be sent then."""
    async with AsyncClient(address) as client:
        requests = random_requests(await client.model_metadata(name), rows, seed=3)
        report = await OpenLoop(client, requests).run(instants_s)
    assert set(report.statuses) == {OK}, report.statuses
    return report.latencies_ms


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(CASES))
def test_an_answer_under_load_takes_as_long_as_the_profile_says(
    name: str, tmp_path: Path, benchmark: BenchmarkFixture
) -> None:
    if not benchmark.enabled and name == "inception-shaped":
        pytest.skip("a network of this size would take half of the time that all benches have among the tests")
    case, served = CASES[name], MODELS[name]
    torch.set_num_threads(1)
    rows_max, repeats = (case.rows_max, case.repeats) if benchmark.enabled else (1, 2)
    config = served.config(served.export(tmp_path), case.offering, rows_max, rt_max_ms=10_000)
    options = app.ProfileOptions(effort=case.effort if benchmark.enabled else ONCE)
    model = config.models[0]
    measured = asyncio.run(app.measure_model(config, model, options))
    (tmp_path / "model.profile").write_text(measured_model_to_json(measured), encoding="utf-8")
    advice = batching_advice(measured.profiles[0].profile, model.as_slo(), model.batching.margin_ms, rows_max)
    rows = advice.n_sustained
    assert rows is not None
    taken_ms = 1e3 * rows / advice.capacity_rows_per_s

    alone_s = np.arange(repeats) * 1.25 * taken_ms / 1e3
    pairs_s = np.repeat(np.arange(repeats // 2), 2) * 2.5 * taken_ms / 1e3
    with router(text_of(config, rows), tmp_path) as address:
        alone_ms, pairs_ms = benchmark.pedantic(  # type: ignore[no-untyped-call]
            lambda: [asyncio.run(drive(address, name, rows, instants_s)) for instants_s in (alone_s, pairs_s)],
            rounds=1,
        )

    seconds_ms = np.maximum(pairs_ms[0::2], pairs_ms[1::2])
    waits = {"no wait": (taken_ms, alone_ms), "a batch's wait": (2 * taken_ms, seconds_ms)}
    ratios = {}
    for wait, (predicted_ms, latencies_ms) in waits.items():
        p99_ms = float(np.quantile(latencies_ms, 0.99))
        ratios[wait] = predicted_ms / p99_ms
        print(
            f"\n{name}, batches of {rows}, {wait}: predicted p99 {predicted_ms:.1f} ms, measured {p99_ms:.1f} ms "
            f"(p50 {np.median(latencies_ms):.1f} ms, {len(latencies_ms)} answers): {predicted_ms / p99_ms - 1:+.1%}"
        )
    benchmark.extra_info.update(rows=rows, predicted_over_measured=ratios)
    if benchmark.enabled:
        assert abs(ratios["no wait"] - 1) <= RATIO_MAX, ratios
        assert ratios["a batch's wait"] >= 1 - RATIO_MAX, ratios


def text_of(config: Config, rows: int) -> str:
    """The configuration with the file for its profile, and batches of so many rows."""
    data = config.model_dump(exclude_none=True)
    data["models"][0]["batching"]["rows_max"] = rows
    data["models"][0]["profiles"] = {"machine": "model.profile"}
    return yaml.safe_dump(data)
