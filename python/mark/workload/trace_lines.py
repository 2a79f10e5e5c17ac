"""The lines of a trace file, one at a time, checked as they come: for files of any size."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mark.errors import ConfigError

__all__ = ["UNIT_SPAN_MAX", "TraceLine", "TraceLines", "trace_lines"]

_UNITS_S = {"second": 1, "minute": 60}
# Three years of seconds. More between two lines is a slip of a digit.
UNIT_SPAN_MAX = 100_000_000
# No line of a trace is as long; a file without ends of lines must not fill the memory.
_LINE_CHARS_MAX = 4096

TraceLine = tuple[int, float]
"""(bin, in units of the header; requests in it)"""


@dataclass(frozen=True, slots=True)
class TraceLines:
    """A trace file that is being read: the unit of its bins, in words and in seconds, and the lines that follow."""

    unit: str
    unit_s: int
    rest: Generator[TraceLine, None, None]


def trace_lines(path: Path) -> TraceLines:
    """Open a trace file, plain or gzipped, read its header, and return the unit of its bins and its lines.

    The lines are read while they are iterated over, and so are their errors raised then. The file is closed when they
    end or are given up.

    Raises:
        ConfigError: naming file, line and what is wrong: no such file, not UTF-8 text or not an archive, another
            header, a line that is no bin and number, a negative or endless one, bins that do not increase or that leap
            further than any trace does, no bins at all.
    """
    lines = _checked(path)
    unit, _ = next(lines)
    return TraceLines(str(unit), _UNITS_S[str(unit)], lines)


def _checked(path: Path) -> Generator[Any, None, None]:
    """The header's unit, and then a `TraceLine` for each line."""
    reader: Any = None
    try:
        with _open(path) as file:
            reader = csv.reader(_bounded(path, file))
            unit = _unit_of(path, next(reader, []))
            yield unit, 0
            yield from _parsed(path, unit, reader)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        after = f" after line {reader.line_num}" if reader is not None and reader.line_num else ""
        raise ConfigError(f"{path}: cannot be read{after}: {error}") from error


def _open(path: Path) -> TextIO:
    # What is no UTF-8 becomes text that is no number, and so an error that names its line.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="backslashreplace", newline="")
    return path.open(encoding="utf-8", errors="backslashreplace", newline="")


def _bounded(path: Path, file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(_LINE_CHARS_MAX):
        number += 1
        if len(line) == _LINE_CHARS_MAX:
            raise ConfigError(f"{path}:{number}: is longer than any line of a trace; is this a trace file?")
        yield line


def _unit_of(path: Path, header: list[str]) -> str:
    names = [name.strip() for name in header]
    if len(names) != 2 or names[0] not in _UNITS_S or names[1] != "requests":
        raise ConfigError(f"{path}:1: the header must be second,requests or minute,requests, not {','.join(names)!r}")
    return names[0]


def _parsed(path: Path, unit: str, reader: Any) -> Iterator[TraceLine]:
    last = None
    for line in reader:
        if not line:
            continue
        try:
            written_index, written_count = line
            index, count = int(written_index), float(written_count)
        except ValueError as error:
            raise ConfigError(
                f"{path}:{reader.line_num}: must be a bin and a number of requests, not {','.join(line)!r}"
            ) from error
        if index < 0 or not 0 <= count < math.inf:
            raise ConfigError(f"{path}:{reader.line_num}: neither may be negative or without end: {','.join(line)!r}")
        if last is not None and not last < index <= last + UNIT_SPAN_MAX:
            raise ConfigError(f"{path}:{reader.line_num}: {_step_error(unit, last, index)}")
        last = index
        yield index, count
    if last is None:
        raise ConfigError(f"{path}: has no bins")


def _step_error(unit: str, last: int, index: int) -> str:
    if index <= last:
        return f"{unit}s must increase, but {index} follows {last}"
    return f"is more than {UNIT_SPAN_MAX} {unit}s after {last}; is {index} a slip?"
