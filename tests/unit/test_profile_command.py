"""`mark profile` without a worker: its report, and the options that it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner
from unit.test_measured_profile import GOOD, batch
from unit.test_profile_files import CONFIG

from mark import app
from mark.cli.commands import app as commands
from mark.cli.profile_report import ProfileReport, priced_type
from mark.config import Config, parse_config
from mark.domain.measured_profile import MeasuredModel, MeasuredProfile, WorkerKind
from mark.errors import ConfigError, MarkError
from mark.worker.measuring import Effort

BATCHES = (batch(1, 10.0), batch(2, 12.0), batch(8, 24.0))
MEASURED = MeasuredModel(
    "m", "1", GOOD.signature_hash, GOOD.measured_at, "a machine", (MeasuredProfile(WorkerKind(), BATCHES),)
)


def config_of(rt_max_ms: float) -> Config:
    return parse_config(CONFIG.replace("m.profile", "[[1, 3.0]]"), overrides=[f"models.0.slo.rt_max_ms={rt_max_ms}"])


def report(rt_max_ms: float = 102.0, catalog: str | None = None) -> ProfileReport:
    config = config_of(rt_max_ms)
    priced = [] if catalog is None else priced_type(catalog, "c5.large")
    return ProfileReport(config.models[0], MEASURED, config.offerings, priced, Effort())


def text_of(asked: ProfileReport) -> str:
    console = Console(file=io.StringIO(), width=100)
    for table, lines in asked.as_tables():
        console.print(table)
        for line in lines:
            console.print(line, markup=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_json_has_the_batches_the_limits_and_the_prices() -> None:
    answer = json.loads(json.dumps(report(catalog="aws-2018").as_dict()))

    assert set(answer) == {
        "model", "version", "signature_hash", "measured_at", "machine", "slo", "margin_ms", "rows_max", "workers",
    }  # fmt: skip
    (worker,) = answer["workers"]
    assert (worker["device"], worker["threads"], worker["cpu_share"]) == ("cpu", 1, 1.0)
    assert worker["batches"][2] == {
        "rows": 8, "runs": 400, "p50_ms": 12.0, "p95_ms": pytest.approx(21.6), "p99_ms": 24.0,
        "p99_low_ms": pytest.approx(22.8), "p99_high_ms": pytest.approx(26.4), "settled": False, "latency_ms": 24.0,
        "rows_per_s": pytest.approx(8 / 0.024),
    }  # fmt: skip
    assert worker["meets_slo"]
    assert worker["batching_pays"]
    assert worker["unbatched_rows_per_s"] == pytest.approx(100.0)
    # rows_max is 32: the profile goes on as its last segment does, to 72 ms.
    assert (worker["n_batch"], worker["n_sustained"]) == (32, 21)
    assert [(each["name"], each["market"]) for each in worker["offerings"]] == [
        ("small", "on_demand"),
        ("large", "on_demand"),
        ("aws-2018/c5.large", "on_demand"),
        ("aws-2018/c5.large", "spot"),
    ]
    cheapest = worker["offerings"][3]
    assert cheapest["usd_per_million_rows"] == pytest.approx(
        cheapest["price_usd_per_hour"] / 3600 / worker["capacity_rows_per_s"] * 1e6
    )


def test_a_person_reads_the_same() -> None:
    text = text_of(report())

    assert "m on cpu, 1 thread: 0.98 of answers within 102 ms" in text
    assert "22.80 - 26.40" in text
    assert "one row at a time: 100.0 rows/s by the p99, 200.0 by the median" in text
    assert "N_batch 32, W_batch 28.0 ms" in text
    assert "the p99 of 1, 2, 8 rows is not known within 5%" in text


def test_a_promise_that_nothing_keeps_is_said_and_has_no_price() -> None:
    answer = report(rt_max_ms=11.0).as_dict()["workers"][0]

    assert not answer["meets_slo"]
    assert answer["n_batch"] is None
    assert answer["offerings"][0]["usd_per_million_rows"] is None
    assert "no batch meets the promise: a single row takes 10 ms" in text_of(report(rt_max_ms=11.0))


def test_a_type_of_the_catalogue_is_found_by_name() -> None:
    with pytest.raises(ConfigError, match=r"no type in catalogue aws-2018 'c5.larg'; did you mean 'c5.large'"):
        priced_type("aws-2018", "c5.larg")
    with pytest.raises(ConfigError, match="there is no catalogue 'gcp'"):
        priced_type("gcp", "c5.large")
    assert [each.market for each in priced_type("aws-2018", "t2.medium")] == ["burstable"]


class TestOfferings:
    def test_they_are_measured_as_asked(self) -> None:
        config = config_of(100.0)

        assert [each.name for each in app.profiled_offerings(config, app.ProfileOptions())] == ["small", "large"]
        (asked,) = app.profiled_offerings(config, app.ProfileOptions(("large",), device="cuda:1", threads=4))
        assert (asked.name, asked.device, asked.threads) == ("large", "cuda:1", 4)

    def test_an_unknown_one_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="--offering huge: there is no such offering; known are small, large"):
            app.profiled_offerings(config_of(100.0), app.ProfileOptions(("huge",)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "gpu"], "--device must be cpu, cuda or cuda:N, not 'gpu'"),
        (["--threads", "0"], "--threads must be from 1 to 1024, not 0"),
        (["--seconds", "0"], "--seconds must be positive and finite"),
        (["--stands-for", "c5.larg"], "did you mean 'c5.large'"),
        (["--model", "n"], "--model n: .* has no such model; known are m"),
        (["-o", "no/such/folder/file"], "there is no folder no/such/folder; make it first"),
        (["--offering", "huge"], "--offering huge: there is no such offering"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_measured(tmp_path: Path, options: list[str], words: str) -> None:
    (tmp_path / "mark.yaml").write_text(CONFIG, encoding="utf-8")

    result = CliRunner().invoke(commands, ["profile", str(tmp_path / "mark.yaml"), *options])

    assert isinstance(result.exception, MarkError)
    with pytest.raises(MarkError, match=words):
        raise result.exception
