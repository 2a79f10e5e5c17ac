"""The demo's parts: the model it trains, the watcher, and what it says of a run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from rich.console import Console

from mark.client import AsyncClient
from mark.config import Config, parse_config
from mark.demo.digits_model import train_digits_model
from mark.demo.interruption import interrupt_at
from mark.demo.judge import judge
from mark.demo.picture import draw_picture
from mark.demo.report import DemoReport
from mark.demo.series import Interruption, Sample, Series
from mark.demo.watch import Watcher, run_watched
from mark.domain.slo import Slo
from mark.protocol import messages
from mark.worker.runtimes import load_model
from mark.workload.open_loop import OpenLoop
from mark.workload.report import OK, LoadReport

SAMPLE = Sample(
    at_s=0.5, load_per_s=10.0, forecast_per_s=15.0, capacity_per_s=80.0, ready={}, pending=2, p98_ms=0.0,
    attainment=1.0, cost_usd=1e-5, sent=5, violations=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def config() -> Config:
    text = resources.files("mark.demo").joinpath("digits.yaml").read_text(encoding="utf-8")
    profiles = "{small: &s [[1, 54], [8, 103]], large: [[1, 24], [8, 45]], small-spot: *s, small-burst: *s}"
    return parse_config(f"{text}    profiles: {profiles}\n")


@pytest.fixture
def two_threads() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_model_is_good_and_leaves_torch_as_it_was(config: Config, two_threads: None, tmp_path: Path) -> None:
    import torch

    model = train_digits_model(tmp_path / "digits.pt")

    assert model.accuracy >= 0.975
    assert torch.get_num_threads() == 2
    artifact = config.models[0].model_copy(update={"source": str(model.path)}).artifact()
    assert artifact is not None
    served = load_model(artifact, threads=1)({"image": model.images})
    np.testing.assert_allclose(served["logits"], model.logits, atol=1e-3)


class NoClient(AsyncClient):
    """Of a load that is never sent."""

    def __init__(self) -> None:
        pass


class Router:
    """Answers for its status as the test says: with a message, or by raising."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def ask(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def status(**fields: Any) -> Any:
    return messages.StatusResponse(models=[fields])


class TestWatcher:
    def make(self, router: Router, series: Series) -> Watcher:
        load = OpenLoop(NoClient(), [b""])
        return Watcher(router.ask, load, series, lambda: None)

    async def test_a_look_is_a_sample(self) -> None:
        series = Series()
        instances = [{"offering": "small", "state": "ready"}, {"offering": "small", "state": "pending"}]

        await self.make(Router(status(forecast_per_s=9.0, instances=instances)), series).look()

        assert series.last is not None
        assert (series.last.forecast_per_s, series.last.ready, series.last.pending) == (9.0, {"small": 1}, 1)

    async def test_a_call_that_fails_is_a_sample_less_and_not_the_end(self) -> None:
        failed = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        series, router = Series(), Router(failed, status(cost_usd=1.0), KeyError("a mistake of ours"))

        with pytest.raises(KeyError, match="a mistake of ours"):
            await self.make(router, series).run(every_s=0.0)

        assert [sample.cost_usd for sample in series.samples] == [1.0]

    async def test_the_work_ends_the_watching(self) -> None:
        watching = asyncio.ensure_future(asyncio.Event().wait())

        async def watch() -> None:
            await watching

        async def work() -> str:
            return "done"

        assert await run_watched(work(), watch()) == "done"
        assert watching.cancelled()

    async def test_an_error_of_the_watching_ends_the_work_and_is_raised(self) -> None:
        work = asyncio.ensure_future(asyncio.Event().wait())

        async def watch() -> None:
            raise KeyError("a mistake of ours")

        with pytest.raises(KeyError, match="a mistake of ours"):
            await run_watched(work, watch())
        assert work.cancelled()


def load_of(requests: int) -> LoadReport:
    """All in one second, all answered at once."""
    return LoadReport(
        instants_s=np.linspace(0.0, 0.99, requests),
        latencies_ms=np.ones(requests),
        lags_ms=np.zeros(requests),
        statuses=(OK,) * requests,
        answers_wrong=0,
        duration_s=1.0,
    )


def table_of(report: DemoReport) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(report.as_table())
    return captured.get()


class TestJudge:
    def test_a_fleet_for_the_peak_is_compared_with(self, config: Config, tmp_path: Path) -> None:
        dear = replace(SAMPLE, cost_usd=2.5e-5)
        report = judge(load_of(100), Series([dear]), config, tmp_path / "demo.png")

        assert report.peak_per_s == 150.0
        assert report.peak_fleet == {"large": 1}  # spot is cheaper, and taken away
        assert report.cost_usd_peak_sized == pytest.approx(0.160 * 0.5 / 3600)
        assert not report.kept  # the run cost slightly more
        assert "(1 x large)" in table_of(report)
        assert judge(load_of(100), Series([SAMPLE]), config, tmp_path / "demo.png").kept

    def test_a_peak_that_no_fleet_carries_is_said_and_not_judged(self, config: Config, tmp_path: Path) -> None:
        report = judge(load_of(5000), Series([SAMPLE]), config, tmp_path / "demo.png")

        figures = json.loads(json.dumps(report.as_dict(), allow_nan=False))
        assert (figures["peak_fleet"], figures["cost_usd_peak_sized"], figures["peak_per_s"]) == (None, None, 7500.0)
        assert report.kept
        assert "all of them together do not carry 7500 requests/s" in table_of(report)

    def test_a_run_without_a_sample_has_a_report_and_a_picture(self, config: Config, tmp_path: Path) -> None:
        picture = tmp_path / "demo.png"

        report = judge(load_of(0), Series(), config, picture)

        assert report.requests == 0
        assert "requests" in table_of(report)
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_drawn_when_no_instance_was_ever_ready(tmp_path: Path) -> None:
    draw_picture(Series([SAMPLE, SAMPLE]), Slo(300.0, 0.98), tmp_path / "demo.png")

    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


class TestInterruption:
    def response(self, *workers: str) -> Any:
        return messages.InterruptResponse(instances=[{"id": each, "notice_s": 8.0} for each in workers])

    async def test_it_is_noted_and_told(self) -> None:
        series, told = Series(), list[str]()

        async def interrupt() -> Any:
            return self.response("spot-1", "spot-2")

        await interrupt_at(0.0, interrupt, series, told.append)

        assert series.interruption == Interruption(at_s=0.0, notice_s=8.0, workers=2)
        assert told == ["At 0 s the cloud takes 2 spot workers away, with 8 s of notice: spot-1, spot-2"]

    async def test_where_nothing_runs_on_spot_that_is_told(self) -> None:
        series, told = Series(), list[str]()

        async def interrupt() -> Any:
            return self.response()

        await interrupt_at(0.0, interrupt, series, told.append)

        assert series.interruption is None
        assert told == ["At 0 s nothing runs on spot that could be taken away"]

    def test_it_is_part_of_the_report_and_of_the_picture(self, config: Config, tmp_path: Path) -> None:
        series = Series([SAMPLE, SAMPLE], Interruption(at_s=0.4, notice_s=0.1, workers=4))

        report = judge(load_of(100), series, config, tmp_path / "demo.png")

        assert report.as_dict()["workers_taken"] == 4
        assert "spot workers taken away" in table_of(report)
        assert report.picture.read_bytes() != b""
