"""Trace files as a load: the same bins as `read_trace`, whatever the size, and errors that name the line."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.domain.load import Load
from mark.errors import ConfigError
from mark.workload import trace_load
from mark.workload.trace_file import read_trace
from mark.workload.trace_load import TraceLoad, mean_per_s, survey_trace

GIB = 1 << 30


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return path


def stretches(load: Load) -> list[tuple[float, float]]:
    return [
        pair for chunk in load.chunks() for pair in zip(chunk.ends_s.tolist(), chunk.rates_per_s.tolist(), strict=True)
    ]


def test_a_bin_is_a_stretch_at_its_rate(tmp_path: Path) -> None:
    load = TraceLoad(write(tmp_path, "minute,requests\n7,30\n8,0\n9,120\n"), scale=2.0)

    assert stretches(load) == [(60.0, 1.0), (120.0, 0.0), (180.0, 4.0)]
    assert stretches(load) == stretches(load)


def test_bins_that_are_left_out_are_one_silence(tmp_path: Path) -> None:
    path = write(tmp_path, "second,requests\n10,50\n15,10\n90000000,5\n")

    assert stretches(TraceLoad(path)) == [(5.0, 10.0), (10.0, 2.0), (89999990.0, 0.0), (89999995.0, 1.0)]
    assert survey_trace(path).gaps == 1


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=40),
    st.integers(1, 7),
    st.sampled_from(["second", "minute"]),
    st.integers(1, 5),
)
def test_it_is_what_read_trace_reads(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], every: int, unit: str, lines_in_chunk: int
) -> None:
    indices = np.cumsum(steps) * every
    text = "".join(f"{index},{index % 13}\n" for index in indices)
    path = write(tmp_path_factory.mktemp("trace"), f"{unit},requests\n{text}")
    trace = read_trace(path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace_load, "_LINES_IN_CHUNK", lines_in_chunk)
        chunks = list(TraceLoad(path).chunks())

    ends_s = np.concatenate([chunk.ends_s for chunk in chunks])
    rates_per_s = np.concatenate([chunk.rates_per_s for chunk in chunks])
    middles_s = (np.arange(len(trace.counts)) + 0.5) * trace.bin_s
    assert ends_s[-1] == trace.duration_s
    np.testing.assert_allclose(rates_per_s[np.searchsorted(ends_s, middles_s)], trace.counts / trace.bin_s)
    survey = survey_trace(path)
    assert (survey.bin_s, survey.bins, survey.requests) == (trace.bin_s, len(trace.counts), trace.counts.sum())
    assert survey.peak_per_s == pytest.approx(trace.counts.max() / trace.bin_s)
    written = np.unique((indices - indices[0]) * (60 if unit == "minute" else 1) / trace.bin_s)
    gaps = np.diff(written)
    assert survey.bins_left_out == int((gaps - 1).sum())
    assert survey.gaps == int((gaps > 1).sum())
    assert survey.longest_gap_s == ((gaps.max() - 1) * trace.bin_s if len(gaps) else 0)


def test_hours_cut_inside_a_bin(tmp_path: Path) -> None:
    path = write(tmp_path, "minute,requests\n" + "".join(f"{minute},60\n" for minute in range(10)))

    assert stretches(TraceLoad(path, hours=2.5 / 60)) == [(60.0, 1.0), (120.0, 1.0), (150.0, 1.0)]
    assert survey_trace(path, hours=2.5 / 60).bins == 3


def test_nothing_is_read_behind_the_hours_that_are_wanted(tmp_path: Path) -> None:
    path = write(tmp_path, "second,requests\n" + "".join(f"{second},2\n" for second in range(50_000)) + "no bin\n")

    assert stretches(TraceLoad(path, hours=0.5))[-1] == (1800.0, 2.0)
    assert mean_per_s(path, hours=0.5) == 2.0
    with pytest.raises(ConfigError, match=r"trace\.csv:50002: must be a bin"):
        mean_per_s(path)


def test_the_mean_counts_silence(tmp_path: Path) -> None:
    assert mean_per_s(write(tmp_path, "second,requests\n0,10\n1,10\n9,20\n")) == 4.0


@pytest.mark.parametrize("archived", [False, True])
def test_a_long_file_takes_little_memory(tmp_path: Path, archived: bool) -> None:
    path = tmp_path / ("trace.csv.gz" if archived else "trace.csv")
    lines = 70_000
    with gzip.open(path, "wt", compresslevel=1) if archived else path.open("w") as file:
        file.write("second,requests\n")
        file.writelines(f"{number},7\n" for number in range(lines))

    tracemalloc.start()
    try:
        load = TraceLoad(path)
        ends_s = [float(chunk.ends_s[-1]) for chunk in load.chunks()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert ends_s[-1] == lines
    assert len(ends_s) == 5
    assert peak < 6_000_000  # one chunk; all lines together take 10 MB, and those of a longer file more


def test_ten_gigabytes_without_a_line_are_refused_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "second,requests\n" + "".join(f"{second},1\n" for second in range(4000)))
    os.truncate(path, 10 * GIB)  # sparse: takes no room

    assert stretches(TraceLoad(path, hours=1))[-1] == (3600.0, 1.0)
    with pytest.raises(ConfigError, match=r"trace\.csv:4002: is longer than any line"):
        mean_per_s(path)


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", r"trace\.csv:1: the header must be"),
        (b"hour,requests\n0,1\n", r"trace\.csv:1: the header must be"),
        (b"second,requests\n", "has no bins"),
        (b"second,requests\n0,1\n1,x\n", r"trace\.csv:3: must be a bin and a number"),
        (b"second,requests\n0,1\n\n2,-1\n", r"trace\.csv:4: neither may be negative"),
        (b"second,requests\n0,nan\n", r"trace\.csv:2: neither may be negative"),
        (b"second,requests\n0,inf\n", r"trace\.csv:2: neither may be negative"),
        (b"minute,requests\n3,1\n2,1\n", r"trace\.csv:3: minutes must increase, but 2 follows 3"),
        (b"second,requests\n0,1\n99999999999999999999,1\n", r"trace\.csv:3: .*is 99999999999999999999 a slip"),
        (b"second,requests\n0,1\n\xff\xfe\x00,1\n", r"trace\.csv:3: must be a bin"),
        (bytes(range(256)) * 64, r"trace\.csv"),
    ],
)
def test_what_is_wrong_is_named_while_it_streams(tmp_path: Path, contents: bytes, words: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(contents)
    load = TraceLoad(path)

    with pytest.raises(ConfigError, match=words):
        list(load.chunks())


def truncated(path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 1_000_000, 20_000).tolist()
    text = "second,requests\n" + "".join(f"{second},{count}\n" for second, count in enumerate(random))
    path.write_bytes(gzip.compress(text.encode())[:-20_000])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, r"trace\.csv\.gz: cannot be read: .*No such file"),
        (lambda path: path.mkdir(), r"trace\.csv\.gz: cannot be read: .*Is a directory"),
        (os.mkfifo, r"trace\.csv\.gz: is no regular file"),
        (lambda path: path.write_bytes(b"second,requests\n0,1\n"), r"trace\.csv\.gz: cannot be read: Not a gzip"),
        (truncated, r"trace\.csv\.gz: cannot be read after line \d{5}: .*ended before"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    path = tmp_path / "trace.csv.gz"
    make(path)

    with pytest.raises(ConfigError, match=words):
        list(TraceLoad(path).chunks())


def test_a_file_that_changes_between_two_readings_is_noticed(tmp_path: Path) -> None:
    load = TraceLoad(write(tmp_path, "second,requests\n0,1\n5,1\n"))
    list(load.chunks())
    write(tmp_path, "second,requests\n0,1\n1,1\n")

    with pytest.raises(ConfigError, match="did the file change"):
        list(load.chunks())


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"scale": float("nan")}, {"hours": 0.0}, {"hours": float("inf")}])
def test_a_scale_or_length_that_makes_no_sense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        TraceLoad(Path("trace.csv"), **options)
