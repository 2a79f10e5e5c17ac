"""Frames of `mark top`, at sizes that terminals have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.top_story import sample_at, told_records, viewed

from mark.cli.top.frame import Frame, Size, draw
from mark.cli.top.glyphs import ASCII, BLOCKS
from mark.cli.top.keys import Key
from mark.cli.top.view import View
from mark.domain.plan import Alternative
from mark.domain.record import Record, RecordKind
from mark.domain.sample import ModelSample

USUAL = Size(80, 24)
VIEW = viewed()


def text_of(frame: Frame) -> str:
    return "\n".join(line.plain.rstrip() for line in frame.lines)


def opened(view: View, *keys: Key) -> View:
    for key in (*keys, Key.ENTER):
        view.press(key)
    return view


@pytest.mark.parametrize("size", [USUAL, Size(120, 40), Size(200, 60)])
def test_a_frame_has_all_that_the_page_has(size: Size) -> None:
    text = text_of(draw(VIEW, size, 0.0, BLOCKS))

    for words in (
        "digits   98% within 300 ms",
        "load 38.8",
        "expected 46.2",
        "capacity 200",
        "220 planned",
        "-10 min",
        "+6 min",
        "p50 12.3  p98 101  p99 140 of 300 ms",
        "1 min 99.95%  5 min 99.20%  30 min 97.10%  1 h 98.50%  6 h 99.10%",
        "55.00% left  burns 1 min 0.0x",
        "38.8/s in time  3 queued, 17 in flight",
        "on demand 2 ready, 1 booting",
        "spot 6 ready",
        "$0.4255 an hour",
        "$0.258828 so far",
        "36% less than for the peak",
        "interruption  the cloud takes 4 of 10 spot instances away in 15 s",
        "q quit",
    ):
        assert words in text


def test_a_tall_frame_plots_latency_and_fleet_too() -> None:
    text = text_of(draw(VIEW, Size(120, 40), 0.0, BLOCKS))

    assert "█ p98  ∙ p99  ─ promised" in text
    assert "█ on demand 2 ready, 1 booting · ▓ spot 6 ready · ▒ burstable none" in text
    assert "▓▓▓▓" in text


@settings(max_examples=60)
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 60),
    keys=st.lists(st.sampled_from([key for key in Key if key is not Key.QUIT]), max_size=6),
    seconds=st.sampled_from([0, 1, 2, 70, 600]),
)
def test_a_frame_fits_whatever_the_size_and_whatever_is_pressed(
    width: int, height: int, keys: list[Key], seconds: int
) -> None:
    view = viewed(seconds, "digits", "bert")
    for key in keys:
        view.press(key)

    for glyphs in (BLOCKS, ASCII):
        frame = draw(view, Size(width, height), 0.0, glyphs)

        assert len(frame.lines) == height
        # A wide character that would be cut in two leaves a column empty.
        assert all(line.cell_len == width for line in frame.lines)


def test_plain_terminals_get_plain_characters() -> None:
    assert text_of(draw(VIEW, Size(120, 40), 0.0, ASCII)).isascii()


def test_before_the_first_sample_it_says_so() -> None:
    assert "waiting for the first sample" in text_of(draw(View(), USUAL, 0.0, BLOCKS))


def test_a_router_that_is_lost_or_silent_is_told() -> None:
    view = viewed(60)

    assert "silent since" not in text_of(draw(view, USUAL, 2.0, BLOCKS))
    assert "silent since" in text_of(draw(view, USUAL, 10.0, BLOCKS))
    view.lost_because = "no mark router answers at here:1: \x1b[2JUNAVAILABLE"
    text = text_of(draw(view, USUAL, 10.0, BLOCKS))
    assert "lost since" in text
    assert text.splitlines()[-1] == "no mark router answers at here:1:  [2JUNAVAILABLE; trying again"


def test_what_breaks_the_promise_stands_out() -> None:
    sample = replace(
        sample_at(30),
        attainment={60: 0.9799, 300: 0.98},
        burn_rate={60: 1.5, 300: 0.2},
        error_budget_left=-2.5,
        latency_ms={"p50": 10.0, "p98": 301.0},
        requests_per_s={"answered": 5.0, "queue_full": 2.0, "cancelled": 1.0},
    )
    view = View()
    view.take_sample(sample)

    frame = draw(view, USUAL, 0.0, BLOCKS)

    loud = {
        line.plain[span.start : span.end]
        for line in frame.lines
        for span in line.spans
        if "bold red" in str(span.style) and line.plain[span.start : span.end].strip("█")
    }
    assert loud == {"301", "97.99%", "1.5x", "overdrawn 3.5x", "2.0/s queue full"}


def test_a_model_without_anything_is_drawn_as_such() -> None:
    bare = replace(
        sample_at(0),
        load_per_s=0.0,
        requests_per_s={},
        forecast=None,
        foreseen_per_s={},
        capacity_planned_per_s=0.0,
        capacity_ready_per_s=0.0,
        instances={},
        latency_ms={},
        usd_per_hour={},
        usd_total=0.0,
        usd_peak_sized=None,
    )
    view = View()
    view.take_sample(bare)

    for size in (USUAL, Size(120, 40)):
        text = text_of(draw(view, size, 0.0, BLOCKS))
        for words in ("nothing answered of late", "no instance", "$0.0000 an hour  $0.000000 so far", "none yet"):
            assert words in text
        assert "capacity" not in text


def test_many_models_leave_room_for_the_one_that_is_shown() -> None:
    view = viewed(1, *(f"model-number-{number}" for number in range(20)))
    for _ in range(12):
        view.press(Key.NEXT)

    header = draw(view, USUAL, 0.0, BLOCKS).lines[0]

    assert view.shown in header.plain
    assert f" +{20 - header.plain.count('model-number')}" in header.plain
    assert "98% within 300 ms" in header.plain


def test_an_opened_decision_tells_reasons_alternatives_and_what_it_saw() -> None:
    view = opened(viewed(), Key.DOWN, Key.DOWN)

    text = text_of(draw(view, Size(100, 30), 0.0, BLOCKS))

    for words in (
        "decision 3 of 7",
        "bridge",
        "fleet after it: $0.4234 an hour",
        "1 standby takes over what small-spot carried",
        "launch 1 x standby: boots in 2 s",
        "4 small-spot again, $0.0123 less over the horizon: sold out for 42 s",
        "3 medium, $0.0311 more over the horizon: costs more for the same load",
        "2 huge: not to be had: quota",
        "load 88.2 rows/s; capacity 200.0 rows/s once it is done",
        "in steps of 60 s by lstm",
        "fleet: 2 small-spot (spot, ready), 1 large (on demand, ready)",
        "leaving: 1 small-spot (spot, draining)",
        "not to be had: small-spot for 42 s",
        "large $0.1500 an hour for 60 rows/s",
        "record digits/7f3a/6",
        "esc back",
    ):
        assert words in text


def test_details_and_retirements_are_told() -> None:
    shed = text_of(draw(opened(viewed(), Key.DOWN), Size(100, 40), 0.0, BLOCKS))
    retired = text_of(draw(opened(viewed(), *[Key.DOWN] * 4), Size(100, 40), 0.0, BLOCKS))

    assert "by reason: queue full 1380" in shed
    assert "nothing: the fleet stays as it is" in shed
    assert "retire i-9: not planned with" in retired


def test_what_a_record_has_for_a_replay_alone_is_left_out() -> None:
    details = {
        "horizon_s": 3600.0,
        "arrivals": [[1, 2], [3, 4]],
        "tally": {"rows": 5},
        "began_at_ns": 7,
        "instances": [{"id": "i-3", "notice_s": 15.0}, {"id": "i-4", "notice_s": 12.5}],
        "ready": True,
        "words": "w" * 1000,
    }
    alternatives = (Alternative("1 huge", 0.5, "dearer"),)
    view = View()
    view.take_sample(sample_at(0))
    view.take_record(replace(told_records()[0], alternatives=alternatives, details=details))

    text = text_of(draw(opened(view), Size(100, 40), 0.0, BLOCKS))

    for words in (
        "1 huge, $0.5000 more over 60 min: dearer",
        "instances: id i-3, notice 15 s; id i-4, notice 12.5 s",
        "ready: yes",
        "w...",
    ):
        assert words in text
    for words in ("arrivals", "tally", "began", "horizon", "w" * 500):
        assert words not in text.replace("\n    ", "")


def test_an_opened_decision_scrolls_to_its_end_and_no_farther() -> None:
    view = opened(viewed(), Key.DOWN, Key.DOWN)
    size = Size(60, 12)
    first = draw(view, size, 0.0, BLOCKS)
    assert "more lines" in text_of(first)
    assert "record digits" not in text_of(first)

    for _ in range(9):
        view.press(Key.PAGE_DOWN)
    last = draw(view, size, 0.0, BLOCKS)
    view.scroll = last.scroll

    assert "record digits/7f3a/6" in text_of(last)
    assert "more lines" not in text_of(last)
    assert last.scroll < 30


def test_a_decision_that_is_hidden_again_closes() -> None:
    view = View()
    view.take_sample(sample_at(0))
    view.take_record(replace(told_records()[1], actions=()))
    view.press(Key.ALL)
    view.press(Key.ENTER)
    assert "decision 1 of 1" in text_of(draw(view, USUAL, 0.0, BLOCKS))

    view.press(Key.ALL)

    assert "none yet that changed anything" in text_of(draw(view, USUAL, 0.0, BLOCKS))


@given(st.text(), st.text())
def test_no_word_of_a_worker_reaches_the_terminal_as_a_command(reason: str, name: str) -> None:
    view = View()
    sample: ModelSample = replace(sample_at(0, name), instances={name: {name: 2}}, requests_per_s={name: 2.0})
    record: Record = replace(told_records()[0], model=name, reason=reason, kind=RecordKind.LOSS, details={name: reason})
    view.take_sample(sample)
    view.take_record(record)
    for _ in range(2):
        text = text_of(draw(view, USUAL, 0.0, BLOCKS)).replace("\n", "")
        assert not any(character < " " or "\x7f" <= character < "\xa0" for character in text)
        view.press(Key.ENTER)
