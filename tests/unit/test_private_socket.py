"""The socket between both halves of a process: reached by this process alone, and left behind by none."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mark.protocol.private_socket import PrivateSocket


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        yield made


def path_of(address: str) -> str:
    assert address.startswith("unix:/")
    return address.removeprefix("unix:")


def held_below(folder: Path) -> list[str]:
    """What is below a folder and held open by this process: how many files that has open, other threads change, too."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.append(str(descriptor.readlink()))
    return [each for each in found if each.startswith(str(folder.resolve()))]


def test_it_is_reached_when_nothing_is_left_of_it_in_the_file_system(folder: Path, listener: socket.socket) -> None:
    private = PrivateSocket()
    listener.bind(path_of(private.listen_at))
    listener.listen()

    private.hide()

    assert list(folder.iterdir()) == []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path_of(private.connect_to))
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"in private")
            assert accepted.recv(16) == b"in private"
    private.close()


def test_where_it_is_reached_is_known_before_it_listens(folder: Path, listener: socket.socket) -> None:
    private = PrivateSocket()
    connect_to = private.connect_to
    listener.bind(path_of(private.listen_at))
    private.hide()

    assert private.connect_to == connect_to
    private.close()


def test_until_then_nobody_else_may_reach_it(folder: Path) -> None:
    private = PrivateSocket()
    made = next(folder.iterdir())

    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    private.close()


def test_it_is_handed_to_no_process_that_this_one_starts(folder: Path, listener: socket.socket) -> None:
    private = PrivateSocket()
    descriptor = int(private.connect_to.rpartition("/")[2])
    assert not os.get_inheritable(descriptor)
    listener.bind(path_of(private.listen_at))

    private.hide()

    assert not os.get_inheritable(descriptor)
    private.close()


@pytest.mark.parametrize("hidden", [False, True])
def test_closing_leaves_neither_a_file_nor_a_descriptor(folder: Path, listener: socket.socket, hidden: bool) -> None:
    private = PrivateSocket()
    listener.bind(path_of(private.listen_at))
    if hidden:
        private.hide()
    assert len(held_below(folder)) == 1

    private.close()
    private.close()

    assert list(folder.iterdir()) == []
    assert held_below(folder) == []


def test_hiding_before_it_listens_is_an_error_and_loses_nothing(folder: Path) -> None:
    private = PrivateSocket()

    with pytest.raises(FileNotFoundError):
        private.hide()

    private.close()
    assert list(folder.iterdir()) == []
