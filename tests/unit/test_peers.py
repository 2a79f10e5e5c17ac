"""The parts of bench/peers that need no peer: reading what h2load says, comparing answers, tables, ending servers."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil
import pytest
from bench.peers.__main__ import main
from bench.peers.environments import EnvironmentMissing, environment_of
from bench.peers.load import Loaded, LoadFailed, NothingSent, Target, latencies_ms_of, loaded_of
from bench.peers.measuring import Extent, Figures, p99_at
from bench.peers.mlp import FEATURES, Mlp, mark_model, request_row
from bench.peers.open_loop import open_loaded_of
from bench.peers.processes import NotServing, ServerProcesses, free_port
from bench.peers.results import Results, paced_table, page_of, ratio, ratios_table, servers_table
from bench.peers.subjects import SUBJECTS
from bench.peers.wires import JSON, OIP, RAW, Wire, WrongAnswer, check_answer

from mark._core import write_infer_response

REPORT = """\
finished in 3.00s, 2000.00 req/s, 300.00KB/s
requests: 6012 total, 6064 started, {done} done, {succeeded} succeeded, {failed} failed, {errored} errored, 0 timeout
status codes: 6000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.20MB (1258291) total, 100.00KB (102400) headers (space savings 95.00%), 580.00KB ({data}) data
"""
CORE = min(os.sched_getaffinity(0))


def report(done: int = 6000, succeeded: int = 6000, failed: int = 0, errored: int = 0, data: int = 600_000) -> str:
    return REPORT.format(done=done, succeeded=succeeded, failed=failed, errored=errored, data=data)


def test_a_report_of_h2load_is_read() -> None:
    loaded = loaded_of(report(), 3, 100, 64)
    assert (loaded.requests, loaded.rate_per_s) == (6000, 2000)


def test_answers_that_are_half_there_at_the_end_are_no_failures() -> None:
    assert loaded_of(report(data=600_000 + 64 * 100), 3, 100, 64).requests == 6000
    assert loaded_of(report(data=600_000 - 64 * 100), 3, 100, 64).requests == 6000


def test_calls_that_failed_with_a_status_are_found_by_their_missing_bytes() -> None:
    with pytest.raises(LoadFailed, match="calls failed with a status"):
        loaded_of(report(data=590_000), 3, 100, 64)


def test_bytes_are_not_looked_at_where_answers_differ_in_length() -> None:
    assert loaded_of(report(data=17), 3, None, 64).requests == 6000


@pytest.mark.parametrize("bad", [{"succeeded": 5999}, {"failed": 1}, {"errored": 1}])
def test_an_answer_that_is_an_error_fails_the_load(bad: dict[str, int]) -> None:
    with pytest.raises(LoadFailed, match="not every request"):
        loaded_of(report(**bad), 3, None, 64)


def test_a_load_that_made_no_connection_is_told_apart_since_it_may_be_tried_again() -> None:
    with pytest.raises(NothingSent, match="no request was sent"):
        loaded_of(report(done=0, succeeded=0, data=0), 3, 100, 64)


def test_a_report_of_another_kind_is_refused() -> None:
    with pytest.raises(LoadFailed, match="cannot be read"):
        loaded_of("segmentation fault", 3, None, 64)


def test_latencies_are_read_sorted_and_in_milliseconds() -> None:
    latencies_ms = latencies_ms_of("1700\t200\t1500\n1800\t200\t500\n")
    assert latencies_ms == [0.5, 1.5]
    assert Loaded(2, 1.0, latencies_ms).quantile_ms(0.5) == 1.0


@pytest.mark.parametrize("log", ["", "1700\t200\t1500\n1800\t-1\t500\n", "1700\t503\t10\n"])
def test_a_log_with_a_bad_answer_or_none_is_refused(log: str) -> None:
    with pytest.raises(LoadFailed):
        latencies_ms_of(log)


def answer_of(wire: Wire, rows: np.ndarray) -> bytes:
    if wire is OIP:
        return write_infer_response("mlp", "1", "", [("y", "FP32", rows.shape, rows)])
    return rows.tobytes() if wire is RAW else json.dumps({"y": rows.tolist()}).encode()


@pytest.mark.parametrize("wire", [OIP, RAW, JSON], ids=lambda wire: wire.name)
def test_an_answer_is_compared_with_the_model(wire: Wire) -> None:
    right = Mlp()(request_row())
    check_answer(wire, answer_of(wire, right))
    with pytest.raises(WrongAnswer):
        check_answer(wire, answer_of(wire, right + np.float32(0.01)))
    with pytest.raises(WrongAnswer):
        check_answer(wire, b"no answer")


def test_all_wires_carry_the_same_row() -> None:
    row = request_row()
    assert RAW.message == row.tobytes()
    assert OIP.message.endswith(RAW.message)
    np.testing.assert_array_equal(np.asarray(json.loads(JSON.message)["x"], np.float32), row)
    assert OIP.payload[:5] == b"\0" + len(OIP.message).to_bytes(4, "big")
    assert RAW.payload == RAW.message


def test_the_model_of_mark_is_the_model_of_all() -> None:
    rows = np.ones((3, FEATURES), np.float32)
    np.testing.assert_array_equal(mark_model()({"x": rows})["y"], Mlp()(rows))


def results() -> Results:
    found = Results("python -m bench.peers", "2026-01-01", "a machine")
    for name, factor in (("mark worker", 4.0), ("mark router", 2.0), ("mosec", 1.0)):
        found.versions[name], found.wires[name] = "1.0", "HTTP"
        paced_ms = {3.0: 1.5 if factor > 1 else None}
        found.rounds[name] = {
            number: Figures(factor * speed, 10 / factor, 1.0, 2.0, 1.25, paced_ms)
            for number, speed in enumerate((1, 2, 9))
        }
    found.left_out["triton"] = "no wheel"
    return found


def test_ratios_are_those_of_a_round() -> None:
    found = results()
    found.rounds["mosec"][2].rate_per_s = 1000.0
    assert ratio(found, "mark worker", "mosec", lambda figures: figures.rate_per_s) == 4
    del found.rounds["mosec"][0]
    found.rounds["mosec"][2].rate_per_s = 9.0
    assert ratio(found, "mark worker", "mosec", lambda figures: figures.rate_per_s) == 4
    assert ratio(found, "mark worker", "triton", lambda figures: figures.rate_per_s) is None


def test_tables_say_who_is_better_by_how_much() -> None:
    assert ratios_table(results()).rows[0] == ("mark worker: requests/s", "4.00")
    assert ratios_table(results()).rows[1] == ("mark worker: CPU a request", "4.00")
    assert servers_table(results()).rows[2] == ("mosec, 1.0", "HTTP", "2", "10.0", "1.000", "2.000")


def test_a_server_that_does_not_keep_up_has_no_p99() -> None:
    assert [row[2:] for row in paced_table(results()).rows] == [
        ("1.25", "3", "1.50"), ("1.25", "3", "1.50"), ("1.25", "3", "does not keep up")
    ]  # fmt: skip


def test_a_report_of_the_open_loop_is_read() -> None:
    loaded = open_loaded_of("5 3 1\n1500.0\n500.0\n700.5\n", 2)
    assert (loaded.asked, loaded.requests, loaded.latencies_ms) == (5, 3, [0.5, 0.7005, 1.5])


class Answers:
    """A paced load that went as it is told."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    def paced(self, target: Target, rate_per_s: float, duration_s: int) -> Loaded:
        return self.loaded


@pytest.mark.parametrize(
    ("loaded", "p99_ms"),
    [
        (Loaded(2, 1, [3.0, 3.0], asked=2), 3.0),
        (Loaded(1, 1, [3.0], asked=2), None),
        (Loaded(2, 1, [3.0, 900.0], asked=2), None),
        (Loaded(0, 1, [], asked=2), None),
    ],
    ids=["all answered", "one refused", "further and further behind", "none answered"],
)
def test_what_is_refused_or_waits_ever_longer_is_not_kept_up_with(loaded: Loaded, p99_ms: float | None) -> None:
    target = Target("127.0.0.1:1", OIP, OIP.path, None)
    assert p99_at(target, Answers(loaded), 10, Extent(duration_s=1)) == p99_ms


def test_a_page_names_what_was_left_out_and_the_command() -> None:
    page = page_of(results())
    assert "triton is left out, or some of its rounds are: no wheel" in page
    assert "`.venv/bin/python -m bench.peers`" in page
    assert "the median of 3 rounds" in page
    assert json.loads(results().as_json())["left_out"] == {"triton": "no wheel"}


def test_every_peer_pins_its_versions() -> None:
    folder = Path(sys.modules["bench.peers.environments"].__file__ or "").parent / "requirements"
    assert {path.stem for path in folder.glob("*.txt")} == {subject.environment for subject in SUBJECTS} - {None}
    for path in folder.glob("*.txt"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert all("==" in line for line in lines), path


def test_an_environment_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="mosec is not there"):
        environment_of("mosec", tmp_path, make=False)


def test_a_peer_that_cannot_be_installed_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(peer: str, folder: Path) -> NoReturn:
        raise EnvironmentMissing("pip: no network")

    monkeypatch.setattr("bench.peers.__main__.environment_of", no_network)
    monkeypatch.setattr("bench.peers.__main__.H2load", lambda core: None)
    monkeypatch.setattr("bench.peers.__main__.OpenLoop", lambda core, folder: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    figures = tmp_path / "figures.json"

    assert main(["--only", "mosec", "--rounds", "1", "--json", str(figures)]) == 1

    out, err = capsys.readouterr()
    assert "mosec is left out: pip: no network" in err
    assert "mosec is left out, or some of its rounds are: pip: no network" in out
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["left_out"] == {"mosec": "pip: no network"}
    assert found["command"] == "python -m bench.peers --rounds 1 --seconds 8 --only mosec --page"


def test_a_server_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "mosec,nginx"])
    assert "nginx is none of mark-worker, mark-router, mosec" in capsys.readouterr().err


# A server that leaves a daemon behind, deaf to SIGTERM and with a session and a parent of its own.
DAEMON = """\
import os, signal, sys, time
while time.process_time() < 0.1: pass  # it is told in hundredths of a second
if os.fork():
    time.sleep(60)
os.setsid()
if os.fork():
    os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # nor is there a moment between two looks in which it may go
        return False


def test_a_server_ends_with_all_that_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = ServerProcesses([sys.executable, "-c", DAEMON], os.environ, CORE, log)
    try:
        deadline_s = time.monotonic() + 20
        while "up" not in log.read_text(encoding="utf-8") or len(server.all()) != 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        server.check_alive()
        server.check_pinned()
        left = server.all()
        assert server.cpu_s() >= 0.09
    finally:
        server.end(grace_s=0.1)
    assert not any(map(lives, left))


def test_a_server_that_ended_says_its_last_words(tmp_path: Path) -> None:
    server = ServerProcesses([sys.executable, "-c", "raise SystemExit('no model')"], os.environ, CORE, tmp_path / "log")
    deadline_s = time.monotonic() + 20

    def until_it_has_ended() -> None:
        # Not until it has no processes: between two programs, a process is for a moment nobody's.
        while time.monotonic() < deadline_s:
            server.check_alive()
            time.sleep(0.01)

    try:
        with pytest.raises(NotServing, match="ended with 1: no model"):
            until_it_has_ended()
    finally:
        server.end()


def test_a_free_port_is_one_that_nobody_has() -> None:
    assert 1024 <= free_port() < 65536
