"""Writes records as JSON lines, off the threads that make them."""

from __future__ import annotations

import json
import logging
import queue
import threading
from pathlib import Path

from mark.domain.record import Record
from mark.errors import ConfigError
from mark.live.rotated_lines import RotatedLines

__all__ = ["RecordFile", "RecordLines", "line_of"]

_log = logging.getLogger(__name__)

_WAITING_MAX = 10_000
_CLOSE_S = 5.0
_TELL_EVERY = 1_000  # after the first one that could not be written


class RecordLines:
    """Writes records to a new file as they come, for a run that has an end. Implements `mark.ports.Recorder`.

    Thread safety: none.
    """

    def __init__(self, path: Path) -> None:
        """Begin the file anew.

        Raises:
            ConfigError: it cannot be written.
        """
        self._path = path
        self._failed: OSError | None = None
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error

    def record(self, record: Record) -> None:
        """Write one; what keeps it from that is told by `close`."""
        try:
            if self._failed is None:
                self._file.write(line_of(record) + "\n")
        except OSError as error:
            self._failed = error

    def close(self) -> None:
        """Close the file.

        Raises:
            ConfigError: not all is in it.
        """
        try:
            self._file.close()
        except OSError as error:
            self._failed = self._failed or error
        if self._failed is not None:
            raise ConfigError(f"{self._path}: cannot be written: {self._failed.strerror}") from self._failed


def line_of(record: Record) -> str:
    """A record as one line of JSON, without its end."""
    return json.dumps(record.as_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class RecordFile:
    """Writes records to a file that rotates. Implements `mark.ports.Recorder`.

    What cannot be written is lost, counted and told: a full disk never stops serving, nor makes it wait.

    Thread safety: all of it; one thread writes.

    Invariant: each record is written or counted as lost, once, when `close` has returned.
    """

    def __init__(self, path: Path, bytes_max: int, files_max: int) -> None:
        """Make one that opens nothing, and starts no thread, before the first record; see `RotatedLines`."""
        self._path = path
        self._lines = RotatedLines(path, bytes_max, files_max)
        self._waiting: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._written = self._lost = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def written(self) -> int:
        """Records that are in the file."""
        return self._written

    @property
    def lost(self) -> int:
        """Records that could not be written."""
        return self._lost

    def record(self, record: Record) -> None:
        """Write one record soon."""
        with self._lock:
            if not self._closed and self._waiting.qsize() < _WAITING_MAX:
                self._waiting.put(record)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._write_all, name="decision log", daemon=True)
                    self._thread.start()
                return
        self._lose("it is closed" if self._closed else f"{_WAITING_MAX} records wait to be written already")

    def close(self) -> None:
        """Write what waits, for some seconds at most, and close the file. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        if self._thread is None:
            return
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            _log.error("decision log %s: its disk does not answer; what waits is lost", self._path)

    def _write_all(self) -> None:
        while (record := self._waiting.get()) is not None:
            try:
                self._lines.write(line_of(record))
            except (OSError, ValueError) as error:
                self._lose(str(error))
            else:
                self._written += 1
        self._lines.close()

    def _lose(self, why: str) -> None:
        with self._lock:
            self._lost += 1
            lost = self._lost
        if lost % _TELL_EVERY == 1:
            _log.error("decision log %s: a record is lost, %d in all: %s", self._path, lost, why)
