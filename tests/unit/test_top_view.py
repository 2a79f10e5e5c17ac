"""What `mark top` knows, and what keys choose of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.top_story import BEGAN_UNIX_S, sample_at, told_records, viewed

from mark.cli.top.keys import Key
from mark.cli.top.view import SPANS_S, ModelSeen, View
from mark.domain.record import RecordKind
from mark.errors import ModelNotFound


def chosen_kind(view: View) -> RecordKind:
    return view.decisions()[view.chosen()].kind


def press(view: View, *keys: Key) -> None:
    for key in keys:
        view.press(key)


def test_nothing_was_seen_at_first_and_keys_do_no_harm() -> None:
    view = View()

    press(view, *Key)

    assert (view.shown, view.decisions(), view.chosen(), view.opened) == ("", [], 0, False)


def test_what_is_told_twice_is_known_once() -> None:
    seen = ModelSeen()
    for second in (1, 2, 2, 1):
        seen.take_past(sample_at(second))
    seen.take_sample(sample_at(3))
    seen.take_past(sample_at(3))
    for record in (*told_records(), *told_records()):
        seen.take_record(record)

    assert [sample.unix_s - BEGAN_UNIX_S for sample in seen.samples] == [1, 2, 3]
    assert list(seen.records.values()) == told_records()


def test_a_clock_that_is_put_back_is_followed() -> None:
    seen = ModelSeen()
    for second in (100, 101, 50, 51):
        seen.take_sample(sample_at(second))

    assert [sample.unix_s - BEGAN_UNIX_S for sample in seen.samples] == [50, 51]
    assert seen.now is seen.samples[-1]


def test_old_records_make_room() -> None:
    seen = ModelSeen()
    for number in range(5_000):
        seen.take_record(replace(told_records()[0], id=f"record {number}"))

    assert len(seen.records) == 4_096
    assert next(iter(seen.records)) == f"record {5_000 - 4_096}"


def test_plans_that_change_nothing_push_no_decision_out() -> None:
    seen = ModelSeen()
    decision, quiet = told_records()[0], told_records()[1]
    seen.take_record(decision)
    for number in range(5_000):
        seen.take_record(replace(quiet, id=f"plan {number}"))

    assert len(seen.records) == 257
    assert next(iter(seen.records)) == decision.id


def test_a_span_begins_with_the_sample_before_it() -> None:
    seen = ModelSeen()
    assert seen.within(10) == []
    for second in (0, 10, 20, 30):
        seen.take_sample(sample_at(second))

    assert [sample.unix_s - BEGAN_UNIX_S for sample in seen.within(10)] == [10, 20, 30]
    assert len(seen.within(1_000)) == 4


def test_plans_that_change_nothing_are_left_out_until_they_are_asked_for() -> None:
    view = viewed(200)

    assert [record.reason for record in view.decisions()] == ["load rises to 115 rows/s", "digits version 1 is served"]
    view.press(Key.ALL)
    assert len(view.decisions()) == 3
    view.press(Key.ALL)
    assert len(view.decisions()) == 2


def test_arrows_move_the_choice_within_the_list() -> None:
    view = viewed()

    assert chosen_kind(view) is RecordKind.FALLBACK
    press(view, Key.DOWN, Key.DOWN)
    assert chosen_kind(view) is RecordKind.BRIDGE
    press(view, Key.UP)
    assert chosen_kind(view) is RecordKind.SHED
    press(view, Key.END, Key.DOWN)
    assert chosen_kind(view) is RecordKind.START
    press(view, Key.HOME, Key.UP)
    assert chosen_kind(view) is RecordKind.FALLBACK
    press(view, Key.PAGE_DOWN)
    assert chosen_kind(view) is RecordKind.START
    press(view, Key.PAGE_UP)
    assert chosen_kind(view) is RecordKind.FALLBACK


def test_the_choice_stays_with_its_decision_and_the_top_of_the_list_with_the_newest() -> None:
    held, follows = viewed(), viewed()
    press(held, Key.DOWN)
    news = replace(told_records()[-1], id="news", kind=RecordKind.LOSS, unix_s=BEGAN_UNIX_S + 700)

    for view in (held, follows):
        view.take_record(news)

    assert chosen_kind(held) is RecordKind.SHED
    assert chosen_kind(follows) is RecordKind.LOSS


def test_an_opened_decision_stays_whatever_comes() -> None:
    view = viewed()
    press(view, Key.ENTER)
    view.take_record(replace(told_records()[-1], id="news", kind=RecordKind.LOSS))

    assert view.opened
    assert chosen_kind(view) is RecordKind.FALLBACK
    press(view, Key.UP)
    assert (view.opened, chosen_kind(view)) == (True, RecordKind.LOSS)
    press(view, Key.ESCAPE)
    assert not view.opened


def test_pages_scroll_an_opened_decision_and_another_one_begins_at_its_top() -> None:
    view = viewed()
    press(view, Key.ENTER, Key.PAGE_DOWN, Key.PAGE_DOWN, Key.PAGE_UP)
    assert view.scroll == 10
    press(view, Key.DOWN)
    assert view.scroll == 0
    press(view, Key.PAGE_UP)
    assert view.scroll == 0


def test_tab_goes_through_the_models_that_are_served() -> None:
    view = viewed(60, "bert", "digits")
    for second in range(60):
        view.take_sample(sample_at(second - 100, "gone"))

    assert (view.shown, view.served) == ("bert", ["bert", "digits"])
    press(view, Key.ENTER, Key.NEXT)
    assert view.shown == "digits"
    press(view, Key.DOWN, Key.ENTER, Key.NEXT)
    assert (view.shown, view.opened, view.chosen()) == ("bert", False, 0)
    press(view, Key.PREVIOUS)
    assert view.shown == "digits"


def test_a_model_that_is_shown_stays_when_it_is_not_served_any_more() -> None:
    view = viewed(60, "digits")
    view.take_sample(sample_at(600, "bert"))

    assert view.served == ["bert", "digits"]
    press(view, Key.NEXT)
    assert (view.shown, view.served) == ("bert", ["bert"])


@pytest.mark.parametrize(("key", "span_s"), [(Key.LONGER, SPANS_S[-1]), (Key.SHORTER, SPANS_S[0])])
def test_the_span_has_ends(key: Key, span_s: int) -> None:
    view = viewed(1)
    press(view, *[key] * 10)
    assert view.span_s == span_s


def test_without_a_choice_the_span_grows_with_what_is_known() -> None:
    assert [viewed(seconds).span_s for seconds in (1, 100, 130, 601, 700)] == [120, 120, 600, 600, 600]


def test_a_model_is_shown_that_was_asked_for() -> None:
    view = View("digits")
    view.take_models(["bert", "digits"])
    assert view.shown == "digits"

    view.take_models(["bert"])  # of a router with another configuration
    assert view.shown == "bert"


def test_a_model_that_is_not_served_is_named_with_those_that_are() -> None:
    with pytest.raises(ModelNotFound, match="--model: unknown model 'gpt'; served are bert, digits"):
        View("gpt").take_models(["digits", "bert"])
