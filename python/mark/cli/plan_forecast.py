"""The load that `mark plan` is asked about: one rate, a CSV of rates by step, or a trace of requests."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mark.cli.option_checks import check_within
from mark.domain.forecast import Forecast
from mark.domain.scenario import Scenario
from mark.domain.trace import Trace
from mark.errors import ConfigError
from mark.workload.trace_file import read_trace

__all__ = ["flat_forecast", "read_forecast"]

_RATE_MAX = 1_000_000_000  # requests per second; more is a slip of a digit
_STEPS_HEADER = "step,rate"
_TRACE_HEADERS = ("second,requests", "minute,requests")
_SLACK = 1e-6  # of a bin: where steps and bins end together, they do so but for rounding


def flat_forecast(rate_per_s: float, scenario: Scenario) -> Forecast:
    """The same rate in every step of the scenario's horizon.

    Raises:
        ConfigError: the rate is negative, no number, or beyond all reason.
    """
    check_within("--rate", rate_per_s, 0, _RATE_MAX)
    return Forecast(scenario.step_s, (rate_per_s,) * scenario.horizon_steps, "--rate")


def read_forecast(path: Path, scenario: Scenario) -> tuple[Forecast, tuple[str, ...]]:
    """The forecast of a file, with a note where it is not as long as the scenario's horizon.

    With the header `step,rate`, a line has the number of a step, from 0 on, and requests per second. A trace file
    (`second,requests` or `minute,requests`) counts with the highest rate that its bins have in each step.

    Raises:
        ConfigError: naming file, line and what is wrong.
    """
    header = _header(path)
    if header == _STEPS_HEADER:
        rates, steps = _rates_by_step(path, scenario.horizon_steps)
    elif header in _TRACE_HEADERS:
        rates, steps = _rates_of_trace(read_trace(path), scenario)
    else:
        known = ", ".join((_STEPS_HEADER, *_TRACE_HEADERS))
        raise ConfigError(f"{path}:1: the header must be one of {known}, not {header!r}")
    if max(rates) > _RATE_MAX:
        raise ConfigError(f"{path}: {max(rates):g} requests per second are beyond {_RATE_MAX:,}; is it a slip?")
    notes: tuple[str, ...] = ()
    if steps > len(rates):
        notes = (f"the first {len(rates)} of {steps} steps of {path} are planned; --horizon-steps takes more",)
    elif steps < scenario.horizon_steps:
        notes = (f"{path} ends after {steps} of {scenario.horizon_steps} steps, and so does the plan",)
    return Forecast(scenario.step_s, rates, str(path)), notes


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _header(path: Path) -> str:
    return ",".join(name.strip() for name in next(_lines(path), []))


def _lines(path: Path) -> Iterator[list[str]]:
    """The lines of a CSV.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with _open(path) as file:
            yield from csv.reader(file)
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _rates_by_step(path: Path, steps_max: int) -> tuple[tuple[float, ...], int]:
    """The rates of the first `steps_max` steps; and how many there are."""
    rates: list[float] = []
    for number, line in enumerate(_lines(path), start=1):
        if number == 1 or not line:
            continue
        try:
            written_step, written_rate = line
            step, rate = int(written_step), float(written_rate)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: must be a step and a rate, not {','.join(line)!r}") from error
        if step != len(rates):
            raise ConfigError(f"{path}:{number}: steps must count up from 0: step {len(rates)} is due, not {step}")
        if not 0 <= rate < math.inf:
            raise ConfigError(f"{path}:{number}: a rate may not be negative or without end: {','.join(line)!r}")
        rates.append(rate)
    if not rates:
        raise ConfigError(f"{path}: has no steps")
    return tuple(rates[:steps_max]), len(rates)


def _rates_of_trace(trace: Trace, scenario: Scenario) -> tuple[tuple[float, ...], int]:
    """The highest rate of the bins within each of the first steps of the horizon; and how many steps there are."""
    bins_per_step = scenario.step_s / trace.bin_s
    steps = _up(len(trace.counts) / bins_per_step)
    rates = []
    for step in range(min(steps, scenario.horizon_steps)):
        first = min(math.floor(step * bins_per_step + _SLACK), len(trace.counts) - 1)
        rates.append(float(trace.counts[first : _up((step + 1) * bins_per_step)].max()) / trace.bin_s)
    return tuple(rates), steps


def _up(bins: float) -> int:
    return max(1, math.ceil(bins - _SLACK))
