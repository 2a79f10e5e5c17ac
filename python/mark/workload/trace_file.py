"""Trace files: CSV with the header `second,requests` or `minute,requests`, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from mark.domain.trace import Trace
from mark.errors import ConfigError

__all__ = ["read_trace"]

_BINS_S = {"second": 1.0, "minute": 60.0}


def read_trace(path: Path) -> Trace:
    """Read a trace file. Bins that the file leaves out are empty.

    Raises:
        ConfigError: naming file, line and what is wrong.
    """
    try:
        with _open(path) as file:
            return _parse(path, csv.reader(file))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _parse(path: Path, lines: Iterator[list[str]]) -> Trace:
    header = [name.strip() for name in next(lines, [])]
    if len(header) != 2 or header[0] not in _BINS_S or header[1] != "requests":
        raise ConfigError(f"{path}:1: the header must be second,requests or minute,requests, not {','.join(header)!r}")
    bins: list[int] = []
    requests: list[float] = []
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            index, count = int(line[0]), float(line[1])
        except (ValueError, IndexError) as error:
            raise ConfigError(
                f"{path}:{number}: must be a bin and a number of requests, not {','.join(line)!r}"
            ) from error
        if not 0 <= count < float("inf") or index <= (bins[-1] if bins else -1):
            raise ConfigError(f"{path}:{number}: bins must increase and requests must not be negative")
        bins.append(index)
        requests.append(count)
    if not bins:
        raise ConfigError(f"{path}: has no bins")
    counts = np.zeros(bins[-1] - bins[0] + 1, dtype=np.float64)
    counts[np.asarray(bins) - bins[0]] = requests
    return Trace(bin_s=_BINS_S[header[0]], counts=counts)
