"""Trace files: CSV with the header `second,requests` or `minute,requests`, plain or gzipped."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np

from mark.domain.trace import Trace
from mark.errors import ConfigError
from mark.workload.trace_lines import UNIT_SPAN_MAX, trace_lines

__all__ = ["read_trace", "slice_trace"]


def read_trace(path: Path) -> Trace:
    """Read a trace file.

    A bin is as long as the greatest step that leads to every line: a file with a line every five seconds has bins of
    five seconds. Bins that the file leaves out are empty.

    Raises:
        ConfigError: naming file, line and what is wrong.
    """
    lines = trace_lines(path)
    indices: list[int] = []
    requests: list[float] = []
    for index, count in lines.rest:
        indices.append(index)
        requests.append(count)
    if indices[-1] - indices[0] > UNIT_SPAN_MAX:
        raise ConfigError(f"{path}: reaches over more than {UNIT_SPAN_MAX} {lines.unit}s; is {indices[-1]} a slip?")
    step = math.gcd(*(later - earlier for earlier, later in itertools.pairwise(indices))) or 1
    bins = [(index - indices[0]) // step for index in indices]
    counts = np.zeros(bins[-1] + 1, dtype=np.float64)
    counts[bins] = requests
    return Trace(bin_s=float(lines.unit_s * step), counts=counts)


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
