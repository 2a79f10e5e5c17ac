"""A trace file as a load, read as far and as fast as it is needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mark.domain.load import LoadChunk
from mark.errors import ConfigError
from mark.workload.trace_lines import TraceLine, TraceLines, trace_lines

__all__ = ["TraceLoad", "TraceSurvey", "mean_per_s", "survey_trace"]

_LINES_IN_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class TraceSurvey:
    """What one pass over a trace file finds.

    Attributes:
        bin_s: length of a bin, by the rule of `read_trace`: the greatest step that leads to every line.
        bins: from the first line to the last, those that the file leaves out included.
        requests: in all bins.
        peak_per_s: rate of the busiest bin.
        gaps: stretches of bins that the file leaves out.
        bins_left_out: in all gaps together.
        longest_gap_s: length of the longest of them.
    """

    bin_s: float
    bins: int
    requests: float
    peak_per_s: float
    gaps: int
    bins_left_out: int
    longest_gap_s: float

    @property
    def duration_s(self) -> float:
        """From the beginning of the first bin to the end of the last."""
        return self.bin_s * self.bins

    @property
    def mean_per_s(self) -> float:
        """Requests per second over the whole duration."""
        return self.requests / self.duration_s


class TraceLoad:
    """The load that a trace file recorded: in each bin the rate that its requests make.

    The file is read in bounded memory, twice: the first `chunks` needs the length of a bin, which all lines together
    say (`read_trace` has the same rule). Bins that the file leaves out are silence, in one stretch.
    """

    def __init__(self, path: Path, *, scale: float = 1.0, hours: float | None = None) -> None:
        """Read nothing yet.

        Args:
            path: a trace file, plain or gzipped; a regular one, since it is read more than once.
            scale: what every rate is multiplied by.
            hours: where to cut the trace; no line is read after the first one behind it.

        Raises:
            ValueError: scale or hours is not positive and finite.
        """
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be positive and finite, not {scale}")
        self._path = path
        self._scale = scale
        self._limit_s = _limit_s(hours)
        self._bin_s: float | None = None

    def chunks(self) -> Iterator[LoadChunk]:
        """The stretches of the trace, some ten thousand lines in a chunk.

        Raises:
            ConfigError: while it is iterated over, naming file, line and what is wrong: see `trace_lines`.
        """
        if self._bin_s is None:
            self._bin_s = _survey(self._path, self._limit_s).bin_s
        lines = trace_lines(self._path)
        first, within = _cut(lines, self._limit_s)
        end_s = 0.0
        while batch := list(itertools.islice(within, _LINES_IN_CHUNK)):
            chunk = self._chunk_of(batch, first, lines.unit_s, end_s)
            end_s = float(chunk.ends_s[-1])
            yield chunk

    def _chunk_of(self, batch: list[TraceLine], first: int, unit_s: int, end_s: float) -> LoadChunk:
        bin_s = self._bin_s or unit_s
        begins_s = np.array([index - first for index, _ in batch], dtype=np.float64) * unit_s
        counts = np.array([count for _, count in batch], dtype=np.float64)
        # Before each bin a stretch of silence, which is dropped where the bin before reaches as far.
        ends_s = np.column_stack([begins_s, np.minimum(begins_s + bin_s, self._limit_s)]).ravel()
        rates_per_s = np.column_stack([np.zeros_like(counts), counts * (self._scale / bin_s)]).ravel()
        lengths_s = np.diff(ends_s, prepend=end_s)
        if np.any(lengths_s < 0) or not np.all(np.isfinite(rates_per_s)):
            raise ConfigError(
                f"{self._path}: bins of {bin_s:g} s overlap, or a rate is without end; did the file change while "
                "it was read, or is a number a slip?"
            )
        kept = lengths_s > 0
        return LoadChunk(ends_s[kept], rates_per_s[kept])


def mean_per_s(path: Path, hours: float | None = None) -> float:
    """Mean rate of a trace file, or of its first `hours`, in one pass and bounded memory.

    Raises:
        ConfigError: naming file, line and what is wrong.
        ValueError: hours is not positive and finite.
    """
    return survey_trace(path, hours).mean_per_s


def survey_trace(path: Path, hours: float | None = None) -> TraceSurvey:
    """Read a trace file, or its first `hours`, once and in bounded memory.

    Raises:
        ConfigError: naming file, line and what is wrong.
        ValueError: hours is not positive and finite.
    """
    return _survey(path, _limit_s(hours))


def _limit_s(hours: float | None) -> float:
    if hours is None:
        return math.inf
    if not 0 < hours < math.inf:
        raise ValueError(f"hours must be positive and finite, not {hours}")
    return hours * 3600.0


def _cut(lines: TraceLines, limit_s: float) -> tuple[int, Iterator[TraceLine]]:
    """The first bin, and the lines whose bins begin before `limit_s`; the file is closed at the first that does not."""
    head = next(lines.rest)
    behind = head[0] + limit_s / lines.unit_s

    def within() -> Iterator[TraceLine]:
        yield head
        for line in lines.rest:
            if line[0] >= behind:
                lines.rest.close()
                return
            yield line

    return head[0], within()


def _survey(path: Path, limit_s: float) -> TraceSurvey:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ConfigError(f"{path}: is no regular file, and a trace is read more than once; write it to a file first")
    lines = trace_lines(path)
    first, peak = next(lines.rest)
    last, written, requests = first, 1, peak
    step = shortest = longest = shortest_seen = 0
    for index, count in lines.rest:
        difference = index - last
        if difference != step:
            step = math.gcd(step, difference)
        if index - first >= limit_s / lines.unit_s:
            lines.rest.close()
            break
        if not shortest or difference < shortest:
            shortest, shortest_seen = difference, 0
        shortest_seen += difference == shortest
        longest = max(longest, difference)
        last, written, requests, peak = index, written + 1, requests + count, max(peak, count)
    step = step or 1
    bins = (last - first) // step + 1
    bin_s = float(step * lines.unit_s)
    return TraceSurvey(
        bin_s=bin_s,
        bins=bins,
        requests=requests,
        peak_per_s=peak / bin_s,
        gaps=written - 1 - (shortest_seen if shortest == step else 0),
        bins_left_out=bins - written,
        longest_gap_s=max(0, longest - step) * float(lines.unit_s),
    )
