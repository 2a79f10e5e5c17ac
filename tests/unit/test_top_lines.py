"""Lines that fit a width."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from mark.cli.top.glyphs import ASCII, BLOCKS
from mark.cli.top.lines import Part, clean, clock_time, cut, joined, spread, wrapped


def test_what_could_move_the_cursor_is_taken_out() -> None:
    assert clean("a\x1b[2J\x07b\r\nc\x9b1md\u202ee\ttab") == "a [2J b c 1md e tab"


@given(st.text())
def test_clean_text_has_no_control_characters(text: str) -> None:
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in clean(text))


def test_what_is_spared_first_goes_first() -> None:
    parts = [Part.of("first"), Part.of("second", spare=1), Part.of("third", spare=2)]

    assert joined(parts, 30, ASCII).plain == "first  second  third"
    assert joined(parts, 15, ASCII).plain == "first  second"
    assert joined(parts, 8, ASCII).plain == "first"
    assert joined(parts, 3, ASCII).plain == "fi~"


def test_what_may_not_be_spared_is_cut() -> None:
    assert joined([Part.of("first"), Part.of("second")], 10, ASCII).plain == "first  se~"


def test_both_ends_of_a_line_are_kept() -> None:
    assert spread(Text("left"), Text("right"), 12, ASCII).plain == "left   right"
    assert spread(Text("a long left"), Text("right"), 12, ASCII).plain == "a lon~ right"
    assert spread(Text("left"), Text("right"), 3, ASCII).cell_len == 3


@given(st.text(alphabet="aä漢🙂 ", max_size=30), st.integers(0, 30))
def test_a_cut_text_is_never_too_wide(text: str, width: int) -> None:
    assert cut(Text(text), width, BLOCKS).cell_len <= max(width, 0)


def test_further_lines_are_indented() -> None:
    assert [line.plain for line in wrapped(Text("one two three"), 8, "  ")] == ["one ", "  two ", "  three"]


@given(st.text(alphabet="abc漢 ", max_size=60), st.integers(4, 20))
def test_wrapped_lines_fit(text: str, width: int) -> None:
    assert all(line.plain.rstrip() == cut(line, width, BLOCKS).plain.rstrip() for line in wrapped(Text(text), width))


@pytest.mark.parametrize(("ago_s", "form"), [(0, "%H:%M:%S"), (3 * 86_400, "%d %b %H:%M")])
def test_a_time_of_another_day_says_which(ago_s: float, form: str) -> None:
    now = 1_800_000_000.0

    assert clock_time(now - ago_s, now) == time.strftime(form, time.localtime(now - ago_s))
