"""Access logs turned into a trace: lines counted by bin, in memory that grows with the bins only."""

from __future__ import annotations

import contextlib
import csv
import enum
import gzip
import io
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mark.errors import ConfigError
from mark.workload._timestamps import BRACKETED, CSV_FIELD, SECOND_WORD, BinCounter
from mark.workload.trace_lines import UNIT_SPAN_MAX

__all__ = ["STDIN", "ImportedTrace", "LogFormat", "LogReading", "TraceUnit", "import_logs", "write_trace"]

STDIN = Path("-")
_BLOCK_BYTES = 1 << 20
_SNIFFED_BYTES = 65_536
_GZIP_MAGIC = b"\x1f\x8b"
# Where a column is guessed, a small number is more likely an id than an instant before the year 2000.
_GUESSED_FROM_S = 946_684_800


class LogFormat(enum.Enum):
    """What the lines of a log look like; AUTO takes for each file the one that reads most of its first lines."""

    AUTO = "auto"
    NGINX = "nginx"
    APACHE = "apache"
    ALB = "alb"
    CSV = "csv"


class TraceUnit(enum.Enum):
    """The bins of a trace file."""

    SECOND = "second"
    MINUTE = "minute"

    @property
    def length_s(self) -> int:
        """Seconds in one."""
        return 60 if self is TraceUnit.MINUTE else 1


@dataclass(frozen=True, slots=True)
class LogReading:
    """How logs are to be read; `column` names or, counted from 0, numbers the field of CSV that holds the time."""

    format: LogFormat = LogFormat.AUTO
    column: str | None = None
    unit: TraceUnit = TraceUnit.SECOND


@dataclass(slots=True)
class ImportedTrace:
    """Requests in bins that are numbered since 1970, UTC, and what could not be read."""

    unit: TraceUnit
    counts: Counter[int] = field(default_factory=Counter)
    lines: int = 0
    unreadable: int = 0
    first_unreadable: str = ""

    def add(self, name: str, counter: BinCounter, header_lines: int) -> None:
        """Take over what was counted in a file, unless most of it could not be read.

        Raises:
            ConfigError: more than half could not; the first such line is named.
        """
        first = f"{name}:{counter.first_unreadable + header_lines}: {counter.first_unreadable_text!r}"
        if 2 * counter.unreadable > counter.lines:
            raise ConfigError(
                f"{name}: {counter.unreadable} of {counter.lines} lines have no timestamp that can be read, first "
                f"{first}; give the right --format, or --column for CSV"
            )
        self.counts.update(counter.counts())
        self.lines += counter.lines
        self.unreadable += counter.unreadable
        if counter.unreadable and not self.first_unreadable:
            self.first_unreadable = first


def import_logs(
    paths: Sequence[Path], reading: LogReading, on_progress: Callable[[int], object] = lambda _: None
) -> ImportedTrace:
    """Count the lines of logs, plain or gzipped by their first bytes, in bins of time; `-` is stdin.

    A log's order does not matter, nor does that of the files. `on_progress` learns how many bytes more of the files, as
    they lie on disk, were read.

    Raises:
        ConfigError: a file cannot be read, most of its lines have no timestamp, or none has any.
    """
    merged = ImportedTrace(reading.unit)
    for path in paths:
        name = "stdin" if path == STDIN else str(path)
        try:
            with _opened(path) as (position, plain):
                _count(name, plain, reading, merged, _further(position, on_progress))
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigError(f"{name}: cannot be read: {error}") from error
    if not merged.counts:
        raise ConfigError(f"{', '.join(map(str, paths))}: no line at all; name a log that has some")
    return merged


def write_trace(imported: ImportedTrace, path: Path) -> None:
    """Write a trace file, every bin from the first to the last; gzipped when its name ends in .gz.

    Raises:
        ConfigError: it cannot be written, or would reach over more than any trace does.
    """
    first, last = min(imported.counts), max(imported.counts)
    unit = imported.unit.value
    if last - first > UNIT_SPAN_MAX:
        raise ConfigError(
            f"the lines reach over {last - first} {unit}s, more than {UNIT_SPAN_MAX}: a wrong clock wrote one of them; "
            "leave it out, or import with --bin minute"
        )
    try:
        with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w", encoding="utf-8") as file:
            file.write(f"{unit},requests\n")
            counts = imported.counts
            file.writelines(f"{number - first},{counts[number]}\n" for number in range(first, last + 1))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Callable[[], int], BinaryIO]]:
    """The bytes of a log, unpacked, and how far its file has been read."""
    with contextlib.ExitStack() as closing:
        raw = sys.stdin.buffer if path == STDIN else closing.enter_context(path.open("rb"))
        position = raw.tell if raw.seekable() else lambda: 0
        peekable = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
        if peekable.peek(2)[:2] == _GZIP_MAGIC:
            yield position, closing.enter_context(gzip.GzipFile(fileobj=peekable))  # type: ignore[misc]
        else:
            yield position, peekable


def _further(position: Callable[[], int], on_progress: Callable[[int], object]) -> Callable[[], None]:
    """What tells how much further a file has been read than when it was last called."""
    last = 0

    def tell() -> None:
        nonlocal last
        here = position()
        on_progress(here - last)
        last = here

    return tell


def _count(
    name: str, file: BinaryIO, reading: LogReading, merged: ImportedTrace, on_block: Callable[[], object]
) -> None:
    blocks = _whole_lines(name, file)
    block = next(blocks, b"")
    layout, column, header_bytes = _layout_of(name, block[:_SNIFFED_BYTES], reading)
    counter = BinCounter(layout, column, reading.unit.length_s)
    header_lines = block[:header_bytes].count(b"\n")
    block = block[header_bytes:]
    while block:
        counter.feed(block)
        on_block()
        block = next(blocks, b"")
    merged.add(name, counter, header_lines)


def _whole_lines(name: str, file: BinaryIO) -> Iterator[bytes]:
    """Blocks that end where a line does."""
    rest = b""
    while read := file.read(_BLOCK_BYTES):
        cut = read.rfind(b"\n") + 1
        if cut:
            yield rest + read[:cut]
            rest = read[cut:]
        else:
            rest += read
        if len(rest) > _BLOCK_BYTES:
            raise ConfigError(f"{name}: has a line of more than {_BLOCK_BYTES} bytes; is it a log?")
    if rest:
        yield rest


def _layout_of(name: str, sample: bytes, reading: LogReading) -> tuple[int, int, int]:
    """Layout, number of the column, and length of the header of CSV."""
    sample = sample[: sample.rfind(b"\n") + 1] or sample
    fixed = {LogFormat.NGINX: BRACKETED, LogFormat.APACHE: BRACKETED, LogFormat.ALB: SECOND_WORD}
    if reading.format in fixed:
        return fixed[reading.format], 0, 0
    candidates = [_csv_layout(name, sample, reading.column)]
    if reading.format is LogFormat.AUTO and reading.column is None:
        candidates += [(BRACKETED, 0, 0), (SECOND_WORD, 0, 0)]
    return max(candidates, key=lambda candidate: _readable(sample, candidate))


def _readable(sample: bytes, candidate: tuple[int, int, int], from_s: int = 0) -> int:
    """Lines of a sample that hold a time, at or after `from_s`, where the candidate says."""
    layout, column, header_bytes = candidate
    counter = BinCounter(layout, column, 1)
    counter.feed(sample[header_bytes:])
    return sum(lines for second, lines in counter.counts().items() if second >= from_s)


def _csv_layout(name: str, sample: bytes, wanted: str | None) -> tuple[int, int, int]:
    """The column that is wanted, or the first that holds a time; a first line that holds none there is a header."""
    first = sample[: sample.find(b"\n") + 1] or sample
    try:
        fields = [field.strip() for field in next(csv.reader([first.decode("utf-8", "backslashreplace").strip()]), [])]
    except csv.Error:
        fields = []  # no CSV at all
    if wanted is None:
        readable = [
            _readable(sample, (CSV_FIELD, column, 0), _GUESSED_FROM_S) for column in range(min(len(fields), 64))
        ]
        column = readable.index(max(readable)) if readable else 0
    elif wanted in fields:
        column = fields.index(wanted)
    elif wanted.isdecimal():
        column = int(wanted)
    else:
        raise ConfigError(f"{name}:1: has no column {wanted!r}; it has {', '.join(fields)}")
    header_bytes = 0 if _readable(first, (CSV_FIELD, column, 0)) else len(first)
    return CSV_FIELD, column, header_bytes
