"""The command line as a person meets it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from integration.router_process import RouterProcess

from mark._core import native_available
from mark.cli.demo import demo
from mark.cli.load import load
from mark.cli.worker import worker
from mark.demo import run
from mark.errors import ConfigError


def mark(*arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mark", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )


@pytest.mark.parametrize("command", ["serve", "worker", "load", "status", "top", "demo", "plan", "version"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = mark(command, "--help")

    assert done.returncode == 0
    assert f"Example: mark {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows_max": 0}, "^--rows-max must be from 1 to 65536, not 0$"),
        ({"threads": 5_000_000_000}, "^--threads must be from 1 to 1024"),
        ({"inputs": "x:FP32:2"}, "^--input 'x:FP32:2': must have the form"),
        ({"inputs": "x:FP32:-1,0"}, "must have the form"),
        ({"inputs": "x:FP32:-1,--2"}, "must have the form"),
        ({"inputs": ":FP32:-1"}, "must have the form"),
        ({"inputs": "x:FP32:-1 x:FP32:-1"}, "each with a name of its own"),
        ({"outputs": ""}, "^--output '': must name one tensor or more"),
    ],
)
def test_worker_refuses_what_no_model_takes(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        worker("m.pt", "m", **{"inputs": "x:FP32:-1", "outputs": "y:FP32:-1", **options})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration_s": -1.0}, "^--duration-s must be positive and finite, not -1.0$"),
        ({"peak_rate": 0.0}, "^--peak-rate must be positive"),
        ({"peak_rate": 1e12}, "requests: at most 100,000,000"),
        ({"seed": -1}, "^--seed must be 0 or more"),
        ({"folder": Path("/dev/null/x")}, "^--folder /dev/null/x: cannot be written to: Not a directory$"),
    ],
)
def test_demo_refuses_what_cannot_be_run_before_it_trains(
    options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(path: Path) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(run, "train_digits_model", train)

    with pytest.raises(ConfigError, match=words):
        demo(**{"folder": tmp_path, **options})


def test_version_tells_what_it_runs_on() -> None:
    done = mark("version")

    assert done.stdout.startswith("mark ")
    assert "grpcio" in done.stdout
    assert ("; native data plane)" in done.stdout) == native_available


def test_status_shows_promise_fleet_and_cost(router: RouterProcess) -> None:
    shown, as_json = mark("status", router.address), mark("status", router.address, "--json")

    for words in ("doubler version 1  90% within 2000 ms", "small (on demand)  2 ready", "$0.2000 an hour"):
        assert words in shown.stdout
    (model,) = json.loads(as_json.stdout)["models"]
    assert model["slo"] == {"rt_max_ms": 2000.0, "sl_min": 0.9}
    assert [instance["state"] for instance in model["instances"]] == ["ready", "ready"]
    assert model["cost_usd_per_hour"] == pytest.approx(0.2)


def test_status_tells_how_the_promise_was_kept_of_late_and_what_is_expected(router: RouterProcess) -> None:
    model: dict[str, Any] = {}
    while not model.get("windows") or "forecast" not in model:  # until the router has looked, and planned
        (model,) = json.loads(mark("status", router.address, "--json").stdout)["models"]
    shown = mark("status", router.address).stdout

    assert [window["window_s"] for window in model["windows"]] == [60, 300, 1800, 3600, 21600]
    assert {window["attainment"] for window in model["windows"]} == {1.0}
    assert model["error_budget_left"] == 1.0
    assert model["forecast"]["step_s"] == 1.0
    assert 1 <= len(model["forecast"]["rates_per_s"]) <= 5
    assert "in time  1 min 100.00%" in shown
    assert "in steps of 1 s" in shown


def test_status_tells_what_the_ingress_turned_away(router: RouterProcess) -> None:
    host, _, port = router.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
        while stranger.recv(4096):
            pass

    shown, as_json = mark("status", router.address), mark("status", router.address, "--json")

    counts = {name: int(count) for name, count in json.loads(as_json.stdout)["ingress"].items()}
    if not counts:  # grpcio counts nothing
        assert "ingress" not in shown.stdout
        return
    assert counts["connections_hostile"] == 1
    assert counts["connections"] > counts["connections_open"] >= 1  # that of the status itself
    assert "turned away: 1 hostile connections" in " ".join(shown.stdout.split())


def test_a_decision_says_who_forecasts_and_how_surely(router: RouterProcess) -> None:
    decision = ""
    while "forecast" not in decision or "at 50 %" not in decision:  # of the second step: nothing was seen in the first
        (model,) = json.loads(mark("status", router.address, "--json").stdout)["models"]
        decision = model["last_decision"]

    assert "rows/s by moving maximum at 50 %" in decision  # sl_min 0.9


def test_status_of_nobody_is_one_line_and_exit_code_two() -> None:
    done = mark("status", "127.0.0.1:1")

    assert done.returncode == 2
    assert done.stderr.startswith("mark: no mark router answers at 127.0.0.1:1")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("arrival", [("--arrival", "poisson"), ("--arrival", "constant"), ("--trace",)])
def test_load_reports_every_request(router: RouterProcess, tmp_path: Path, arrival: tuple[str, ...]) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("second,requests\n0,20\n1,10\n", encoding="utf-8")
    if arrival == ("--trace",):
        arrival = ("--trace", str(trace), "--scale", "2", "--speed", "4")
    output = tmp_path / "report.json"

    done = mark(
        "load", router.address, "--model", "doubler", "--rate", "60", "--duration-s", "1", "--rt-max-ms", "2000",
        "--rows", "2", "--json", "--output", str(output), *arrival,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads(output.read_text(encoding="utf-8"))
    assert report["requests"] == report["answered"] > 30
    assert report["attainment"] == 1.0
    assert report["by_status"] == {"OK": report["requests"]}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rate", 0.0),
        ("rate", float("nan")),
        ("duration_s", 0.0),
        ("duration_s", float("inf")),
        ("scale", -1.0),
        ("speed", 0.0),
        ("rows", 0),
        ("rows", 100_000),
        ("deadline_ms", -5.0),
        ("rt_max_ms", float("nan")),
        ("seed", -1),
        ("start_s", -1.0),
    ],
)
def test_load_refuses_a_number_that_makes_no_sense_before_it_calls_anybody(option: str, value: float) -> None:
    options: dict[str, Any] = {option: value}

    with pytest.raises(ConfigError, match=f"^--{option.replace('_', '-')} must be .*, not {value}$"):
        load("127.0.0.1:1", "doubler", **options)


@pytest.mark.parametrize("output", ["absent/report.json", "", "file/report.json"])
def test_load_asks_for_a_place_for_the_report_before_it_calls_anybody(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"^--output .*/"):
        load("127.0.0.1:1", "doubler", output=tmp_path / output)


def test_a_report_that_cannot_be_written_is_printed_all_the_same(router: RouterProcess) -> None:
    done = mark(
        "load", router.address, "--model", "doubler", "--rate", "50", "--duration-s", "0.2", "--json",
        "--output", "/dev/full",
    )  # fmt: skip

    assert json.loads(done.stdout)["requests"] > 0
    assert done.returncode == 2
    assert done.stderr == "mark: --output /dev/full: cannot be written: No space left on device\n"


def test_load_on_an_unknown_model_or_with_nothing_to_send_is_one_line(router: RouterProcess) -> None:
    unknown = mark("load", router.address, "--model", "tripler", "--json")
    nothing = mark("load", router.address, "--model", "doubler", "--rate", "0", "--json")

    assert (unknown.returncode, nothing.returncode) == (2, 2)
    assert "unknown model 'tripler'" in unknown.stderr
    assert "must be positive" in nothing.stderr
    assert len(nothing.stderr.strip().splitlines()) == 1
