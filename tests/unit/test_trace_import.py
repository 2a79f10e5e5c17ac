"""Access logs to traces: timestamps against datetime's own parser, bins, bad lines, and the commands."""

from __future__ import annotations

import ast
import datetime as dt
import gzip
import io
import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import mark
from mark.cli.commands import app
from mark.errors import ConfigError
from mark.workload import _timestamps, trace_import
from mark.workload._timestamps import BRACKETED, CSV_FIELD, SECOND_WORD, BinCounter
from mark.workload.trace_file import read_trace
from mark.workload.trace_import import LogFormat, LogReading, TraceUnit, import_logs, write_trace

COMMON, ISO = "%d/%b/%Y:%H:%M:%S %z", "%Y-%m-%dT%H:%M:%S.%f%z"
MOMENTS = st.datetimes(
    dt.datetime(1970, 1, 2),
    dt.datetime(2199, 12, 31),
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
)


def nginx_line(moment: dt.datetime) -> str:
    return f'203.0.113.7 - bob [{moment.strftime(COMMON)}] "GET /a[1]?b=%20 HTTP/1.1" 200 512 "-" "curl/8"'


def alb_line(moment: dt.datetime) -> str:
    return f'h2 {moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")} app/lb/1 203.0.113.7:4711 - "GET https://x:443/ HTTP/2.0"'


def seconds(layout: int, line: str | bytes, column: int = 0) -> int | None:
    """The second that the compiled parser finds."""
    counter = BinCounter(layout, column, 1)
    counter.feed(line if isinstance(line, bytes) else line.encode())
    assert counter.lines == 1
    return next(iter(counter.counts()), None)


def parsed(text: str, pattern: str) -> int | None:
    """The second that datetime finds."""
    try:
        moment = dt.datetime.strptime(text, pattern)
    except ValueError:
        return None
    return int(moment.replace(microsecond=0).timestamp())


@given(MOMENTS)
def test_timestamps_are_those_that_datetime_reads(moment: dt.datetime) -> None:
    common, iso = moment.strftime(COMMON), moment.strftime(ISO)

    assert seconds(BRACKETED, nginx_line(moment)) == parsed(common, COMMON)
    assert seconds(CSV_FIELD, f'x,"a ""b"", c",{iso},y', 2) == parsed(iso, ISO)
    assert seconds(CSV_FIELD, f'"{iso}"') == parsed(iso, ISO)
    utc = moment.replace(tzinfo=dt.timezone.utc)
    assert seconds(SECOND_WORD, alb_line(utc)) == int(utc.replace(microsecond=0).timestamp())


@given(st.integers(0, 40), st.integers(0, 14), st.integers(1970, 2100), st.tuples(*[st.integers(0, 99)] * 5))
def test_a_date_or_a_clock_that_does_not_exist_is_unreadable(
    day: int, month: int, year: int, rest: tuple[int, int, int, int, int]
) -> None:
    hour, minute, second, zone_hour, zone_minute = rest
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    assert seconds(CSV_FIELD, text) == parsed(text + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    zone = f"-{zone_hour:02}{zone_minute:02}"
    valid = zone_hour < 24 and zone_minute < 60
    found = seconds(BRACKETED, f"[15/Jun/2020:01:02:03 {zone}]")
    assert found == (parsed(f"15/Jun/2020:01:02:03 {zone}", COMMON) if valid else None)


@given(st.binary(max_size=80), st.sampled_from([BRACKETED, SECOND_WORD, CSV_FIELD]), st.integers(0, 3))
def test_garbage_is_counted_and_nothing_else(garbage: bytes, layout: int, column: int) -> None:
    counter = BinCounter(layout, column, 60)
    counter.feed(garbage)

    assert counter.lines == sum(line not in {b"", b"\r"} for line in garbage.split(b"\n"))
    assert sum(counter.counts().values()) == counter.lines - counter.unreadable


@given(MOMENTS, st.data())
def test_a_timestamp_that_is_cut_or_changed_never_becomes_another_length(moment: dt.datetime, data: Any) -> None:
    line = nginx_line(moment).encode()
    cut = data.draw(st.integers(0, line.index(b"]")))

    assert seconds(BRACKETED, line[:cut] or b"x") is None or cut == line.index(b"]")


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("0", 0),
        ("1700000000", 1_700_000_000),
        ("1700000000.999", 1_700_000_000),
        ("1700000000999", 1_700_000_000),
        (" 1700000000999\r", 1_700_000_000),
        ("100000000000", 100_000_000),
        ("1700000000999999", None),
        ("-5", None),
        ("", None),
        ("1.x", None),
        ("2024-02-29 12:00:00", 1_709_208_000),
        ('"2024-02-29T12:00:00,5+01"', 1_709_204_400),
        ("2023-02-29T12:00:00Z", None),
        ("2024-02-29T12:00:00.", None),
        ("2024-02-29T12:00:00.5+1", None),
        ("2024-02-29", None),
    ],
)
def test_a_field_is_iso_8601_or_seconds_or_milliseconds(text: str, second: int | None) -> None:
    assert seconds(CSV_FIELD, f"a,{text},b", 1) == second


def test_the_stub_names_what_the_module_has() -> None:
    stub = ast.parse((Path(mark.__file__).parent / "workload" / "_timestamps.pyi").read_text())
    classes = [node for node in stub.body if isinstance(node, ast.ClassDef)]
    constants = {
        node.target.id for node in stub.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    assert {node.name for node in classes} | constants == {name for name in vars(_timestamps) if name[0] != "_"}
    members = {node.name for node in classes[0].body if isinstance(node, ast.FunctionDef)}
    assert {name for name in members if name[0] != "_"} == {name for name in vars(BinCounter) if name[0] != "_"}


NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def at(*offsets_s: float) -> list[dt.datetime]:
    return [NOON + dt.timedelta(seconds=offset_s) for offset_s in offsets_s]


def write(path: Path, lines: list[str]) -> Path:
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_files_of_several_kinds_are_merged_and_order_does_not_matter(tmp_path: Path) -> None:
    logs = [
        write(tmp_path / "a.log", [nginx_line(moment) for moment in at(5, 3, 4, 3)]),
        write(tmp_path / "b.log.gz", [alb_line(moment.astimezone(dt.timezone.utc)) for moment in at(0, 3)]),
        write(tmp_path / "c.csv", ["id,time", *(f"1,{moment.isoformat()}" for moment in at(3.7, 7))]),
    ]

    imported = import_logs(logs, LogReading())
    write_trace(imported, tmp_path / "trace.csv.gz")

    trace = read_trace(tmp_path / "trace.csv.gz")
    assert (trace.bin_s, trace.counts.tolist()) == (1.0, [1, 0, 0, 4, 1, 1, 0, 1])
    assert (imported.lines, imported.unreadable) == (8, 0)


@pytest.mark.parametrize("block_bytes", [200, 333, 1 << 20])
def test_lines_are_whole_wherever_a_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    log = write(tmp_path / "a.log", [nginx_line(moment) for moment in at(*range(30))] + ["bad one", "x"])
    monkeypatch.setattr(trace_import, "_BLOCK_BYTES", block_bytes)

    imported = import_logs([log], LogReading(LogFormat.NGINX))

    assert imported.counts == Counter({int(NOON.timestamp()) + second: 1 for second in range(30)})
    assert imported.first_unreadable == f"{log}:31: b'bad one'"
    assert imported.unreadable == 2


def test_minutes_and_columns_by_name_or_number(tmp_path: Path) -> None:
    rows = [
        f'{index},"{int(moment.timestamp() * 1000)}",2020-01-01T00:00:00Z' for index, moment in enumerate(at(0, 59, 60))
    ]
    log = write(tmp_path / "a.csv", ["id,asked at,made", *rows])

    for column in ("asked at", "1"):
        imported = import_logs([log], LogReading(LogFormat.CSV, column, TraceUnit.MINUTE))
        assert [imported.counts[minute] for minute in sorted(imported.counts)] == [2, 1]
        assert min(imported.counts) == int(NOON.timestamp()) // 60
    with pytest.raises(ConfigError, match=r"a\.csv:1: has no column 'when'; it has id, asked at, made"):
        import_logs([log], LogReading(column="when"))


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "no line at all"),
        (b"\n\n", "no line at all"),
        (bytes(range(256)) * 40, "have no timestamp that can be read"),
        (b"a\nb\n[01/Jan/2020:00:00:00 +0000]\n", r"2 of 3 lines have no .*log:1: b'a'; give the right --format"),
        (gzip.compress(b"[01/Jan/2020:00:00:00 +0000]\n" * 1000)[:-9], "cannot be read: Compressed file ended"),
        (b"x" * 3_000_000, "has a line of more than"),
    ],
)
@pytest.mark.parametrize("log_format", [LogFormat.APACHE, LogFormat.AUTO])
def test_a_log_that_is_none_is_named(tmp_path: Path, contents: bytes, words: str, log_format: LogFormat) -> None:
    log = tmp_path / "log"
    log.write_bytes(contents)

    with pytest.raises(ConfigError, match=words):
        import_logs([log], LogReading(log_format))


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent: cannot be read: .*No such file"):
        import_logs([tmp_path / "absent"], LogReading())
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        import_logs([tmp_path], LogReading())


def test_a_wrong_clock_does_not_fill_the_disk(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [nginx_line(NOON), nginx_line(NOON.replace(year=2099))])

    with pytest.raises(ConfigError, match="a wrong clock wrote one of them"):
        write_trace(import_logs([log], LogReading()), tmp_path / "trace.csv")


def test_import_and_info_are_commands(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [*map(nginx_line, at(0, 0, 9)), "oops"])
    trace = tmp_path / "trace.csv"

    done = CliRunner().invoke(app, ["trace", "import", str(log), "-o", str(trace), "--format", "nginx"])
    shown = CliRunner().invoke(app, ["trace", "info", str(trace)])
    figures = json.loads(CliRunner().invoke(app, ["trace", "info", str(trace), "--json"]).stdout)

    assert done.exit_code == 0, done.output
    assert "3 requests from 2026-03-01 10:00:00 UTC on" in done.stderr
    assert f"1 of 4 lines could not be read, first {log}:4: b'oops'" in done.stderr
    assert "10 of 1 s" in shown.stdout
    assert (figures["bins"], figures["mean_per_s"], figures["peak_per_s"], figures["gaps"]) == (10, 0.3, 2.0, 0)
    trace.write_text("minute,requests\n0,1\n1,1\n5,1\n", encoding="utf-8")
    assert "1: 3 bins are left out, the longest 180 s" in CliRunner().invoke(app, ["trace", "info", str(trace)]).stdout


def test_stdin_is_a_log_archived_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(nginx_line(moment) + "\n" for moment in at(0, 1)).encode()
    for contents in (text, gzip.compress(text)):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(contents)))

        assert import_logs([trace_import.STDIN], LogReading()).lines == 2


def test_a_place_for_the_trace_is_asked_for_first(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["trace", "import", str(tmp_path / "absent"), "-o", str(tmp_path / "no" / "t.csv")])

    assert isinstance(done.exception, ConfigError)
    assert "--output" in str(done.exception)


def test_a_log_is_not_overwritten(tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [nginx_line(NOON)])

    done = CliRunner().invoke(app, ["trace", "import", str(log), "-o", str(tmp_path / "." / "a.log")])

    assert "is one of the logs" in str(done.exception)
    assert log.read_text().startswith("203.0.113.7")


@pytest.mark.parametrize("command", ["import", "info"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, ["trace", command, "--help"])

    assert f"Example: mark trace {command}" in " ".join(shown.stdout.split())
