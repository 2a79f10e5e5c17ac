"""Access logs to a trace: lines per second, and how many times as many as the same loop in Python reads."""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections import Counter
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from mark.workload.trace_import import LogFormat, LogReading, import_logs

LINES = 400_000
LINES_OF_REFERENCE = 20_000
RATIO_MIN = 10.0
BEGIN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def write_log(path: Path, lines: int) -> None:
    """Some hundred requests a second, as nginx writes them."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(lines):
            moment = BEGIN + dt.timedelta(seconds=number // 137)
            file.write(
                f"203.0.113.{number % 256} - - [{moment:%d/%b/%Y:%H:%M:%S %z}] "
                f'"GET /items/{number} HTTP/1.1" 200 {number % 9000} "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'
            )


def count_in_python(path: Path) -> Counter[int]:
    """The reference: one line at a time, by datetime's parser."""
    counts: Counter[int] = Counter()
    with path.open("rb") as file:
        for line in file:
            begin = line.index(b"[") + 1
            written = line[begin : line.index(b"]", begin)].decode()
            counts[int(dt.datetime.strptime(written, "%d/%b/%Y:%H:%M:%S %z").timestamp())] += 1
    return counts


def test_logs_are_read_many_times_as_fast_as_in_python(
    benchmark: BenchmarkFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = LINES_OF_REFERENCE if benchmark.disabled else LINES
    log, short = tmp_path / "access.log", tmp_path / "short.log"
    write_log(log, lines)
    write_log(short, LINES_OF_REFERENCE)
    spent_s = []

    def imported() -> Counter[int]:
        began_s = time.perf_counter()
        counts = import_logs([log], LogReading(LogFormat.NGINX)).counts
        spent_s.append(time.perf_counter() - began_s)
        return counts

    counts = benchmark.pedantic(imported, rounds=5)  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
    began_s = time.perf_counter()
    expected = count_in_python(short)
    python_lines_per_s = LINES_OF_REFERENCE / (time.perf_counter() - began_s)

    assert import_logs([short], LogReading()).counts == expected
    assert counts.total() == lines
    lines_per_s = lines / statistics.median(spent_s)
    ratio = lines_per_s / python_lines_per_s
    benchmark.extra_info.update(lines_per_s=lines_per_s, ratio=ratio)
    with capsys.disabled():
        print(f"\n{lines_per_s / 1e6:.1f} million lines per second, {ratio:.0f} times as many as Python's own loop")
    # Run once among the tests, on whatever machine, a time is no answer.
    assert benchmark.disabled or ratio >= RATIO_MIN
