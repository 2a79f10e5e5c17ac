"""`mark profile` on real workers, and what then serves, plans and simulates by its file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from integration.router_process import CONFIG, RouterProcess, environment, workers_started_in

from mark.config import load_config
from mark.domain.profile_text import measured_model_from_json

# Fast enough to be measured in a moment, and so slow, beside what a row adds, that a busy machine does not hide it.
MODEL = '''
import time


class Doubler:
    """Takes 10 ms and a tenth of a millisecond a row."""

    def __call__(self, inputs):
        time.sleep(0.010 + 0.0001 * len(inputs["x"]))
        return {"y": inputs["x"] * 2}


def make():
    return Doubler()


def endless():
    time.sleep(3600)
'''


def write_config(folder: Path, *changes: tuple[str, str]) -> Path:
    text = CONFIG.replace("    profiles: {small: [[1, 4.0], [8, 8.0]]}\n", "")
    text = text.replace("doubler_model:make", "timed_model:make")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "timed_model.py").write_text(MODEL, encoding="utf-8")
    (folder / "mark.yaml").write_text(text, encoding="utf-8")
    return folder / "mark.yaml"


def mark(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mark", *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_it_measures_is_what_the_file_is_served_planned_and_simulated_by(tmp_path: Path) -> None:
    config = write_config(tmp_path)

    done = mark(tmp_path, "profile", "mark.yaml", "--seconds", "1", "-o", "doubler.profile", "--json")

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    (worker,) = answer["workers"]
    assert [batch["rows"] for batch in worker["batches"]] == [1, 2, 4, 8]
    for batch in worker["batches"]:
        assert batch["p50_ms"] >= 10.0 + 0.1 * batch["rows"]
        assert batch["runs"] >= 3
    assert worker["batching_pays"], worker  # 10.1 ms for one row, 10.8 ms for eight
    assert worker["offerings"][0]["name"] == "small"
    measured = measured_model_from_json((tmp_path / "doubler.profile").read_text(encoding="utf-8"))
    assert (measured.name, measured.version) == ("doubler", "1")

    config.write_text(config.read_text(encoding="utf-8") + "    profiles: {small: doubler.profile}\n", encoding="utf-8")
    points = load_config(config).models[0].profiles["small"]
    assert [latency_ms for _, latency_ms in points] == [batch["latency_ms"] for batch in worker["batches"]]
    planned = mark(tmp_path, "plan", "mark.yaml", "--rate", str(1.5 * worker["capacity_rows_per_s"]), "--json")
    assert json.loads(planned.stdout)["launch"] == {"small": 2}
    assert workers_started_in(tmp_path) == []


def test_a_promise_that_no_batch_keeps_is_measured_and_said(tmp_path: Path) -> None:
    write_config(tmp_path, ("rt_max_ms: 2000", "rt_max_ms: 2"), ("margin_ms: 5", "margin_ms: 1"))

    done = mark(tmp_path, "profile", "mark.yaml", "--seconds", "0.2")

    assert done.returncode == 0, done.stderr
    assert "no batch meets the promise: a single row takes" in done.stdout
    assert "leaves 1 ms; raise rt_max_ms, or take a faster worker" in done.stdout


def test_a_router_refuses_the_profile_of_another_model(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    done = mark(tmp_path, "profile", "mark.yaml", "--seconds", "0.2", "-o", "doubler.profile")
    assert done.returncode == 0, done.stderr
    text = config.read_text(encoding="utf-8").replace('version: "1"', 'version: "2"')
    config.write_text(text + "    profiles: {small: doubler.profile}\n", encoding="utf-8")

    refused = mark(tmp_path, "serve", "mark.yaml")

    assert refused.returncode == 2
    assert "is of model 'doubler' version '1', not of 'doubler' version '2'; measure again" in refused.stderr


def test_a_device_that_is_absent_is_said_with_what_to_do(tmp_path: Path) -> None:
    write_config(tmp_path)

    done = mark(tmp_path, "profile", "mark.yaml", "--device", "cuda")

    assert done.returncode == 2
    assert "model doubler does not start on offering small" in done.stderr
    assert "device cuda:0: timed_model:make takes no device; give the factory a parameter named device" in done.stderr


@pytest.mark.parametrize("source", ["timed_model:make", "timed_model:endless"])
def test_ctrl_c_ends_it_and_its_worker(tmp_path: Path, source: str) -> None:
    write_config(tmp_path, ("timed_model:make", source))
    process = subprocess.Popen(
        [sys.executable, "-m", "mark", "profile", "mark.yaml", "--seconds", "60"],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    running = RouterProcess(process, tmp_path / "log")
    deadline_s = time.monotonic() + 30
    while process.poll() is None and not running.workers:
        assert time.monotonic() < deadline_s, "no worker was started"

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "Traceback" not in said
    assert workers_started_in(tmp_path) == []
