"""Reads a decision log from its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mark.domain.record import Record
from mark.errors import ConfigError
from mark.live.rotated_lines import rotated_paths

__all__ = ["ReadLog", "read_log"]


@dataclass(frozen=True, slots=True)
class ReadLog:
    """What a decision log holds.

    Attributes:
        records: in the order in which they were written.
        faults: what is wrong with lines that are no records, with file and line; a process that dies may leave one.
    """

    records: tuple[Record, ...]
    faults: tuple[str, ...]


def read_log(path: Path) -> ReadLog:
    """Read a log with the files that were put aside before it.

    Raises:
        ConfigError: it cannot be read, or there is no record in it.
    """
    records: list[Record] = []
    faults: list[str] = []
    paths = rotated_paths(path)
    if not paths:
        raise ConfigError(f"{path}: cannot be read: there is no such file")
    for each in paths:
        try:
            with each.open(encoding="utf-8", errors="replace") as lines:
                for number, line in enumerate(lines, start=1):
                    try:
                        records.append(Record.from_dict(json.loads(line)))
                    except ValueError as error:
                        faults.append(f"{each}:{number}: is no record: {error}")
        except OSError as error:
            raise ConfigError(f"{each}: cannot be read: {error.strerror}") from error
    if not records:
        raise ConfigError(f"{path}: has no record" + (f"; {faults[0]}" if faults else ""))
    return ReadLog(tuple(records), tuple(faults))
