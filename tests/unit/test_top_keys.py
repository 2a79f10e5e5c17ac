"""What a terminal's bytes mean."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.cli.top.keys import Key, KeyReader


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", [Key.QUIT]),
        (b"\r", [Key.ENTER]),
        (b"\n", [Key.ENTER]),
        (b"\t", [Key.NEXT]),
        (b"\x1b[Z", [Key.PREVIOUS]),
        (b"\x1b[A\x1b[B", [Key.UP, Key.DOWN]),
        (b"\x1bOA\x1bOB", [Key.UP, Key.DOWN]),  # of a terminal in application mode
        (b"\x1b[5~\x1b[6~", [Key.PAGE_UP, Key.PAGE_DOWN]),
        (b"\x1b[H\x1b[F\x1bOH\x1bOF", [Key.HOME, Key.END, Key.HOME, Key.END]),
        (b"kj", [Key.UP, Key.DOWN]),
        (b"x7\x00\xff", []),
        (b"\x1b\x1b[A", [Key.ESCAPE, Key.UP]),
        (b"\x1bq", [Key.ESCAPE, Key.QUIT]),
    ],
)
def test_keys_are_read(data: bytes, keys: list[Key]) -> None:
    assert KeyReader().feed(data) == keys


@pytest.mark.parametrize("data", [b"\x1b[1;5q", b"\x1b[200~", b"\x1b[<0;3;4q", b"\x1bOq"])
def test_the_letters_of_an_unknown_sequence_are_no_commands(data: bytes) -> None:
    assert KeyReader().feed(data) == []


def test_escape_by_itself_is_known_when_nothing_follows() -> None:
    reader = KeyReader()

    assert reader.feed(b"\x1b") == []
    assert (reader.waits, reader.flush(), reader.waits, reader.flush()) == (True, [Key.ESCAPE], False, [])


def test_half_a_sequence_is_no_key() -> None:
    reader = KeyReader()

    assert reader.feed(b"\x1b[") == []
    assert reader.flush() == []
    assert reader.feed(b"A") == []


def test_a_sequence_without_an_end_is_thrown_away() -> None:
    reader = KeyReader()

    assert reader.feed(b"\x1b[" + b"1" * 31) == []
    assert reader.feed(b"q") == [Key.QUIT]


@given(
    pieces=st.lists(st.sampled_from([b"q", b"\t", b"\x1b[A", b"\x1bOB", b"\x1b[5~", b"\x1b[1;5C", b"x"]), max_size=8),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_however_the_bytes_are_cut_the_keys_are_the_same(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = KeyReader()

    keys = [key for begin, end in itertools.pairwise(at) for key in reader.feed(data[begin:end])]

    assert keys == KeyReader().feed(data)
