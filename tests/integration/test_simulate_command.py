"""`mark simulate` and `mark compare` as processes: what a user types, and what comes out."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

MARK = [sys.executable, "-m", "mark"]
CONFIG = """
offerings:
  - {name: small, price_usd_per_hour: 0.1, boot_s: 60, max_count: 20}
  - {name: cheap, market: spot, price_usd_per_hour: 0.03, boot_s: 60, max_count: 20}
models:
  - name: toy
    runtime: python
    source: nobody.loads:this
    inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
    slo: {rt_max_ms: 200, sl_min: 0.95}
    profiles: {small: [[1, 20], [8, 60]], cheap: [[1, 20], [8, 60]]}
"""


@pytest.fixture(name="trace", scope="module")
def _trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "waves.csv"
    lines = [f"{minute},{round(3000 + 1500 * math.sin(minute / 20))}" for minute in range(90)]
    path.write_text("\n".join(["minute,requests", *lines]), encoding="utf-8")
    return path


def mark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MARK, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)


def answer(*arguments: str | Path) -> dict[str, Any]:
    done = mark(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_history_is_known_and_not_simulated(trace: Path) -> None:
    later = answer("simulate", "paper/lstm-ptb", "--trace", trace, "--history-hours", "1")
    moving = answer(
        "simulate", "paper/lstm-ptb", "--trace", trace, "--history-hours", "1", "--policy", "mark-moving-maximum"
    )

    assert later["requests"] == moving["requests"]
    assert later["requests"] == pytest.approx(30 * 4000 * 6 / 3, rel=0.05)  # of the last half hour
    assert later["attainment"] > 0.98
    # Half an hour is too little for anybody but the newcomers' moving maximum.
    assert later["cost_usd"] == moving["cost_usd"]


def test_a_forecast_model_needs_a_history(trace: Path) -> None:
    done = mark("simulate", "paper/lstm-ptb", "--trace", trace, "--forecast-model", "x")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mark: --forecast-model x: a forecast needs a past; give --history-hours, too\n"


def test_json_has_the_promised_keys_and_adds_up(trace: Path) -> None:
    report = answer("simulate", "paper/lstm-ptb", "--trace", trace, "--policy", "mark")

    assert set(report) >= {
        "policy", "requests", "cost_usd", "attainment", "latency_ms", "served", "interruptions",
        "simulated_requests_per_second",
    }  # fmt: skip
    assert set(report["cost_usd"]) == {"total", "on_demand", "spot", "burstable", "serverless"}
    assert set(report["latency_ms"]) == {"mean", "p50", "p98", "p99"}
    assert sum(report["served"].values()) == report["requests"]
    parts = [usd for name, usd in report["cost_usd"].items() if name != "total"]
    assert report["cost_usd"]["total"] == pytest.approx(sum(parts))
    # The trace's mean is brought to 4,000 a minute, three times that for this model.
    assert report["requests"] == pytest.approx(90 * 12_000, rel=0.01)
    assert report["attainment"] >= 0.98


def test_the_same_seed_gives_the_same_bytes_but_for_the_speed_of_the_machine(trace: Path) -> None:
    arguments = ("simulate", "paper/inception-v3", "--trace", trace, "--policy", "mark-spot", "--hours", "1")

    def said(seed: str) -> str:
        report = answer(*arguments, "--seed", seed)
        del report["simulated_requests_per_second"]
        return json.dumps(report)

    first = said("3")
    assert said("3") == first
    assert said("4") != first


def test_scale_takes_the_trace_as_it_is_times_that(trace: Path) -> None:
    report = answer("simulate", "paper/lstm-ptb", "--trace", trace, "--hours", "0.5", "--scale", "0.1")

    in_half_an_hour = sum(round(3000 + 1500 * math.sin(minute / 20)) for minute in range(30))
    assert report["requests"] == pytest.approx(0.1 * in_half_an_hour, rel=0.03)
    assert report["duration_s"] == 1800


def test_prices_of_another_catalogue(trace: Path) -> None:
    arguments = ("simulate", "paper/inception-v3", "--trace", trace, "--hours", "0.5", "--policy", "mark-spot")
    paper, today = answer(*arguments), answer(*arguments, "--catalog", "aws-us-east-1")

    assert today["cost_usd"]["total"] != paper["cost_usd"]["total"]
    assert any("2026-07-20" in note for note in today["notes"])


def test_a_load_that_no_fleet_could_carry_can_be_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    path.write_text("minute,requests\n0,4000\n1,4000\n", encoding="utf-8")
    command = [
        *MARK,
        "simulate",
        "paper/lstm-ptb",
        "--trace",
        str(path),
        "--scale",
        "1e6",
        "--policy",
        "serverless-only",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4.0)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == 130


def test_compare_writes_one_page_and_names_the_cheapest(trace: Path, tmp_path: Path) -> None:
    page = tmp_path / "policies.html"
    done = mark(
        "compare", "paper/lstm-ptb", "--trace", trace, "--hours", "0.5",
        "--policies", "mark,mark-spot,oracle,peak-static,serverless-only,sagemaker", "--html", page,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "keeps the promise" in done.stdout
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") >= 5
    assert "http" not in text.replace("http://www.w3.org", "")  # nothing from outside
    for policy in ("mark-spot", "sagemaker"):
        assert policy in text


def test_a_configuration_is_simulated_with_its_own_profiles(trace: Path, tmp_path: Path) -> None:
    config = tmp_path / "toy.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    on_demand = answer("simulate", config, "--trace", trace, "--hours", "1")
    with_spot = answer("simulate", config, "--trace", trace, "--hours", "1", "--policy", "mark-spot")

    assert on_demand["attainment"] > 0.95
    assert on_demand["cost_usd"]["spot"] == 0
    assert with_spot["cost_usd"]["spot"] > 0
    assert with_spot["cost_usd"]["total"] < on_demand["cost_usd"]["total"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", "paper/nasnet", "--policy", "serverless-only"), "no serverless that meets its SLO"),
        (("simulate", "paper/nasnett"), "did you mean 'paper/nasnet'"),
        (("simulate", "nowhere.yaml"), "nowhere.yaml"),
        (("simulate", "paper/nasnet", "--policy", "marc"), "mark"),
        (("compare", "paper/nasnet", "--policies", "mark,mark"), "twice"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_a_line(arguments: tuple[str, ...], words: str, trace: Path) -> None:
    done = mark(*arguments, "--trace", trace)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "header"),
        ("minute,requests\n", "no bins"),
        ("hour,requests\n0,1\n", "header"),
        ("minute,requests\n0,5\n1,-3\n", "bad.csv:3"),
        ("minute,requests\n5,5\n4,3\n", "must increase"),
        ("minute,requests\n0,5\n1,nan\n", "bad.csv:3"),
        ("minute,requests\n0,0\n1,0\n", "has no requests"),
    ],
)
def test_a_bad_trace_is_an_error_that_names_the_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    done = mark("simulate", "paper/lstm-ptb", "--trace", path)

    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_long_run_at_once_and_leaves_no_page(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("\n".join(["minute,requests", *(f"{n},4000" for n in range(60_000))]), encoding="utf-8")
    page = tmp_path / "page.html"
    command = [
        *MARK,
        "compare",
        "paper/lstm-ptb",
        "--trace",
        str(path),
        "--policies",
        "peak-static",
        "--html",
        str(page),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        reading = psutil.Process(process.pid)
        while str(path) not in {file.path for file in reading.open_files()}:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == [path]
