"""Plots of characters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.cli.top.chart import BAD, Plot, bars_line, gauge, nice_top, plot_lines, stack_lines
from mark.cli.top.glyphs import ASCII, BLOCKS, glyphs_for

NOTHING = math.nan
RATES = st.one_of(st.just(math.nan), st.floats(0, 1e9))


def plot_of(load: list[float], **others: object) -> Plot:
    fields = {
        "dots": [NOTHING] * len(load),
        "line": [NOTHING] * len(load),
        "coming": [],
        "coming_line": 0.0,
        "step_columns": 1,
        **others,
    }
    return Plot(bars=load, **fields)  # type: ignore[arg-type]


def drawn(plot: Plot, height: int) -> list[str]:
    return [line.plain for line in plot_lines(plot, height, BLOCKS)]


@pytest.mark.parametrize(("highest", "top"), [(0, 1), (0.3, 1), (1.5, 2), (21, 25), (100, 100), (101, 200), (640, 800)])
def test_an_axis_ends_at_a_round_number(highest: float, top: float) -> None:
    assert nice_top(highest) == top


@pytest.mark.parametrize("highest", [math.nan, math.inf])
def test_an_axis_ends_somewhere_whatever_comes(highest: float) -> None:
    assert nice_top(highest) == 1


def test_bars_rise_with_the_load() -> None:
    assert drawn(plot_of([0, 25, 50, 75, 100, NOTHING]), 2) == ["   ▄█ ", " ▄███ "]


def test_a_little_load_beside_much_is_seen() -> None:
    assert drawn(plot_of([0.001, 1000]), 2) == [" █", "▁█"]


def test_capacity_is_a_line_and_stands_out_where_the_load_is_beyond_it() -> None:
    plot = plot_of([25, 100], line=[75, 25])

    lines = plot_lines(plot, 4, BLOCKS)

    assert [line.plain for line in lines] == ["─█", " █", " ━", "██"]
    assert any(span.style == BAD for span in lines[2].spans)
    assert not any(span.style == BAD for span in lines[0].spans)


def test_what_was_expected_shows_where_the_load_stayed_below() -> None:
    assert drawn(plot_of([100, 25], dots=[25, 75]), 4) == ["█∙", "█ ", "█ ", "██"]


def test_steps_to_come_are_a_fan_right_of_now() -> None:
    plot = plot_of([100], coming=[(25, 50, 75), (50, 75, 100)], step_columns=2)

    assert drawn(plot, 4) == ["█│  ░░", "█│░░▒▒", "█│▒▒▓▓", "█│▓▓▓▓"]


def test_a_forecast_without_quantiles_is_one_shade() -> None:
    assert drawn(plot_of([100], coming=[(50,)]), 2) == ["█│ ", "█│▒"]


def test_planned_capacity_goes_on_into_the_steps_to_come() -> None:
    assert drawn(plot_of([100], coming=[(10,)], coming_line=60), 2) == ["█│─", "█│▒"]


@given(st.lists(st.tuples(RATES, RATES, RATES), min_size=1, max_size=8), st.integers(1, 6))
def test_every_line_is_as_wide_as_there_are_columns(columns: list[tuple[float, float, float]], height: int) -> None:
    load, expected, capacity = (list(series) for series in zip(*columns, strict=True))
    plot = plot_of(load, dots=expected, line=capacity, coming=[(1, 2)], step_columns=3)

    for glyphs in (BLOCKS, ASCII):
        lines = plot_lines(plot, height, glyphs)
        assert [line.cell_len for line in lines] == [len(load) + 1 + 3] * height


def test_a_stack_has_its_first_part_lowest() -> None:
    lines = stack_lines([([1.0, 2.0, NOTHING], "a", "red"), ([1.0, 0.0, 3.0], "b", "")], 3)

    assert [line.plain for line in lines] == ["  b", "bab", "aab"]


def test_little_of_a_stack_beside_much_is_seen() -> None:
    lines = stack_lines([([0.0, 9.0, 0.0], "a", ""), ([1.0, 0.0, 0.0], "b", "")], 2)

    assert [line.plain for line in lines] == [" a ", "ba "]


def test_small_bars_show_what_is_beyond_their_scale() -> None:
    line = bars_line([0, 10, 100, 101, NOTHING], 100, ASCII)

    assert line.plain == " .#! "
    assert [span.style for span in line.spans if line.plain[span.start] == "!"] == [BAD]


@pytest.mark.parametrize(
    ("share", "full"), [(0, 0), (0.001, 1), (0.5, 5), (0.999, 9), (1, 10), (7, 10), (-2, 0), (math.nan, 0)]
)
def test_a_gauge_is_full_only_when_it_is_full(share: float, full: int) -> None:
    assert gauge(share, 10, ASCII).plain == "#" * full + "-" * (10 - full)


@pytest.mark.parametrize(
    ("encoding", "glyphs"), [("utf-8", BLOCKS), ("ascii", ASCII), ("iso-8859-1", ASCII), ("no-such-code", ASCII)]
)
def test_a_terminal_gets_characters_that_it_knows(encoding: str, glyphs: object) -> None:
    assert glyphs_for(encoding) is glyphs
