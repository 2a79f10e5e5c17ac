"""Lines in a file that is put aside when it is full; the oldest file goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

__all__ = ["RotatedLines", "rotated_paths"]


def rotated_paths(path: Path) -> list[Path]:
    """The files that hold what was ever written to `path`, as far as it is there: oldest first, `path` itself last."""
    prefix = f"{path.name}."
    try:
        numbers = sorted(
            int(each.name.removeprefix(prefix))
            for each in path.parent.iterdir()
            if each.name.startswith(prefix) and each.name.removeprefix(prefix).isdecimal()
        )
    except OSError:
        numbers = []
    aside = [path.with_name(f"{prefix}{number}") for number in reversed(numbers)]
    return [*aside, *([path] if path.exists() else [])]


class RotatedLines:
    """Appends lines to `path`; at `bytes_max` it becomes `path.1`, that one `path.2`, and so on.

    A line is written by one call and is never split over two files. One that was cut off when a process died is ended
    before the next is written.

    Thread safety: none.

    Invariant: `_size` is the length of `path` while it is open.
    """

    def __init__(self, path: Path, bytes_max: int, files_max: int) -> None:
        """Make one; nothing is opened before the first line.

        Args:
            path: of the newest file.
            bytes_max: of one file, unless a single line is longer.
            files_max: how many files there are, the newest included.
        """
        self._path, self._bytes_max, self._files_max = path, bytes_max, files_max
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: it is not written, or not all of it.
        """
        data = line.encode("utf-8") + b"\n"
        if self._file is not None and not self._is_there(self._file):
            self.close()
        file = self._file or self._open()
        if self._size and self._size + len(data) > self._bytes_max:
            self.close()
            self._put_aside()
            file = self._open()
        try:
            if file.write(data) != len(data):
                raise OSError("the line was written in part")
        except OSError:
            self.close()  # whatever of it is there is ended when the file is opened again
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("ab+", buffering=0)
        try:
            self._size = file.seek(0, os.SEEK_END)
            if self._size:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    self._size += file.write(b"\n")
        except OSError:
            file.close()
            raise
        self._file = file
        return file

    def _is_there(self, file: BinaryIO) -> bool:
        """Whether what is open is what the path names: others may have moved it, or taken it away."""
        try:
            named, opened = self._path.stat(), os.fstat(file.fileno())
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _put_aside(self) -> None:
        for number in range(self._files_max - 1, 0, -1):
            younger = self._path if number == 1 else self._aside(number - 1)
            if younger.exists():
                younger.replace(self._aside(number))
        if self._files_max == 1:
            self._path.unlink(missing_ok=True)
        # More than there may be now are left by an earlier setting.
        for old in rotated_paths(self._path):
            if old != self._path and int(old.suffix.removeprefix(".")) >= self._files_max:
                old.unlink(missing_ok=True)

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
