"""What a worker knows of its parent, and what it removes when it ends; ending by force is tried on real processes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mark.protocol.parent import Parent
from mark.worker.ending import Ending


class Pipe:
    """The parent's end of this process's stdin."""

    def __init__(self, write: int) -> None:
        self._write: int | None = write

    def send(self, data: bytes) -> None:
        assert self._write is not None
        os.write(self._write, data)

    def close(self) -> None:
        if self._write is not None:
            os.close(self._write)
            self._write = None


@pytest.fixture
def parent_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    read, write = os.pipe()
    pipe = Pipe(write)
    with open(read, encoding="utf-8") as stdin:  # noqa: PTH123 - a descriptor has no path
        monkeypatch.setattr(sys, "stdin", stdin)
        yield pipe
    pipe.close()


def test_a_parent_has_ended_when_its_end_of_the_pipe_has(parent_pipe: Pipe) -> None:
    parent = Parent()
    assert not parent.has_ended()

    parent_pipe.close()

    assert parent.has_ended()


def test_what_a_parent_says_is_not_its_end(parent_pipe: Pipe) -> None:
    parent, ended = Parent(), threading.Event()
    parent.when_ended(ended.set)
    parent_pipe.send(b"words")
    assert not parent.has_ended()
    assert not ended.is_set()

    parent_pipe.close()

    assert ended.wait(10)


def test_closing_stdin_is_not_the_end_of_the_parent(parent_pipe: Pipe) -> None:
    parent, ended = Parent(), threading.Event()
    parent.when_ended(ended.set)
    sys.stdin.close()
    assert not parent.has_ended()

    parent_pipe.close()

    assert ended.wait(10)


def test_no_stdin_is_no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    parent, ended = Parent(), threading.Event()

    parent.when_ended(ended.set)

    assert parent.has_ended()
    assert ended.wait(10)


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    file = tmp_path / "run" / "worker"
    file.parent.mkdir()
    file.touch()
    return file


def test_a_socket_that_another_worker_is_bound_to_is_left_to_it(socket: Path) -> None:
    Ending(f"unix:{socket}", 1.0).remove_files()

    assert socket.exists()


def test_the_folder_is_left_to_a_parent_that_lives(socket: Path, parent_pipe: Pipe) -> None:
    ending = Ending(f"unix:{socket}", 1.0)
    ending._parent = Parent()
    ending.bound()

    ending.remove_files()

    assert list(socket.parent.iterdir()) == []


def test_the_last_orphan_removes_the_folder(socket: Path, parent_pipe: Pipe) -> None:
    parent_pipe.close()
    ending = Ending(f"unix:{socket}", 1.0)
    ending._parent = Parent()
    ending.bound()

    ending.remove_files()

    assert not socket.parent.exists()


def test_an_orphan_that_is_not_the_last_leaves_the_folder(socket: Path, parent_pipe: Pipe) -> None:
    parent_pipe.close()
    other = socket.with_name("other")
    other.touch()
    ending = Ending(f"unix:{socket}", 1.0)
    ending._parent = Parent()
    ending.bound()

    ending.remove_files()

    assert list(socket.parent.iterdir()) == [other]


def test_a_port_has_no_files(parent_pipe: Pipe) -> None:
    Ending("127.0.0.1:0", 1.0).remove_files()
