"""Trace files: CSV with the header `second,requests` or `minute,requests`, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from mark.domain.trace import Trace
from mark.errors import ConfigError

__all__ = ["read_trace", "slice_trace"]

_UNITS_S = {"second": 1.0, "minute": 60.0}
# Three years of seconds. A longer trace is a slip of a digit, and would fill the memory.
_SPAN_MAX = 100_000_000


def read_trace(path: Path) -> Trace:
    """Read a trace file.

    A bin is as long as the greatest step that leads to every line: a file with a line every five seconds has bins of
    five seconds. Bins that the file leaves out are empty.

    Raises:
        ConfigError: naming file, line and what is wrong.
    """
    try:
        with _open(path) as file:
            return _parse(path, csv.reader(file))
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def slice_trace(trace: Trace, start_s: float, duration_s: float = math.inf) -> Trace:
    """The bins that begin within `duration_s` from `start_s` on.

    Raises:
        ValueError: no bin does.
    """
    begins_s = np.arange(len(trace.counts)) * trace.bin_s
    kept = (begins_s >= start_s) & (begins_s < start_s + duration_s)
    if not np.any(kept):
        raise ValueError(f"{duration_s} s from {start_s} s on must hold a bin of the trace's {trace.duration_s} s")
    return Trace(trace.bin_s, trace.counts[kept])


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _parse(path: Path, lines: Iterator[list[str]]) -> Trace:
    header = [name.strip() for name in next(lines, [])]
    if len(header) != 2 or header[0] not in _UNITS_S or header[1] != "requests":
        raise ConfigError(f"{path}:1: the header must be second,requests or minute,requests, not {','.join(header)!r}")
    indices: list[int] = []
    requests: list[float] = []
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        index, count = _parse_line(f"{path}:{number}", line)
        if indices and index <= indices[-1]:
            raise ConfigError(f"{path}:{number}: {header[0]}s must increase, but {index} follows {indices[-1]}")
        indices.append(index)
        requests.append(count)
    if not indices:
        raise ConfigError(f"{path}: has no bins")
    if indices[-1] - indices[0] > _SPAN_MAX:
        raise ConfigError(f"{path}: reaches over more than {_SPAN_MAX} {header[0]}s; is {indices[-1]} a slip?")
    step = math.gcd(*(later - earlier for earlier, later in itertools.pairwise(indices))) or 1
    bins = [(index - indices[0]) // step for index in indices]
    counts = np.zeros(bins[-1] + 1, dtype=np.float64)
    counts[bins] = requests
    return Trace(bin_s=_UNITS_S[header[0]] * step, counts=counts)


def _parse_line(where: str, line: list[str]) -> tuple[int, float]:
    try:
        written_index, written_count = line
        index, count = int(written_index), float(written_count)
    except ValueError as error:
        raise ConfigError(f"{where}: must be a bin and a number of requests, not {','.join(line)!r}") from error
    if index < 0 or not 0 <= count < math.inf:
        raise ConfigError(f"{where}: neither may be negative or without end: {','.join(line)!r}")
    return index, count
