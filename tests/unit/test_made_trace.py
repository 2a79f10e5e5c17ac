"""Loads that nobody recorded, as traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mark.cli.commands import app
from mark.errors import ConfigError
from mark.workload.made_trace import MadeUp, load_of, trace_of
from mark.workload.synthetic import surge
from mark.workload.trace_file import read_trace


@pytest.mark.parametrize("kind", list(MadeUp))
def test_a_trace_has_about_the_rate_that_was_asked_for(kind: MadeUp) -> None:
    trace = trace_of(load_of(kind, 50.0, 3 * 86_400, seed=1), 60.0, seed=1)

    assert len(trace.counts) == 3 * 1440
    assert trace.counts.mean() / 60 == pytest.approx(50.0 if kind is not MadeUp.SURGE else 75.0, rel=0.3)


def test_a_surge_doubles_in_the_middle() -> None:
    counts = trace_of(load_of(MadeUp.SURGE, 100.0, 7200.0, seed=0), 60.0, seed=0).counts

    assert counts[:60].mean() == pytest.approx(6000, rel=0.02)
    assert counts[63:].mean() == pytest.approx(12_000, rel=0.02)
    assert 6000 < counts[60] < counts[61] < 12_300


def test_bins_cut_stretches_where_they_must() -> None:
    # 10 a second for 90 s, then 30: the second minute has half of each.
    counts = trace_of(surge(10_000.0, 2.0, at_s=90.0, rise_s=0.001, duration_s=150.0), 60.0, seed=0).counts

    assert counts == pytest.approx(np.array([600_000, 1_200_000, 900_000]), rel=0.01)


def test_a_seed_makes_it_reproducible() -> None:
    def drawn(seed: int) -> list[float]:
        return [float(count) for count in trace_of(load_of(MadeUp.DAILY, 5.0, 7200.0, seed), 60.0, seed).counts]

    assert drawn(3) == drawn(3) != drawn(4)


def test_the_command_writes_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "made.csv"
    done = CliRunner().invoke(app, ["trace", "make", "mmpp", "--rate", "20", "--hours", "2", "-o", str(path)])

    assert done.exit_code == 0, done.output
    trace = read_trace(path)
    assert (trace.bin_s, len(trace.counts)) == (60.0, 120)
    assert trace.counts.mean() / 60 == pytest.approx(20, rel=0.6)


@pytest.mark.parametrize(
    "options", [["--rate", "0"], ["--hours", "-1"], ["--seed", "-1"], ["--rate", "1e9"], ["--hours", "1e9"]]
)
def test_what_makes_no_sense_is_refused(options: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["trace", "make", "daily", "-o", str(tmp_path / "x.csv"), *options])

    assert isinstance(done.exception, ConfigError)
    assert options[0] in str(done.exception)
    assert not list(tmp_path.iterdir())
