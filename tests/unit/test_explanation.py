"""Records told in sentences, and which of them are told together."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from unit.recorded_world import RecordedWorld, settled

from mark.controlplane.tallies import Tally
from mark.domain.record import Record, RecordKind
from mark.domain.story import LAST, interruption_of, story_of
from mark.report.explanation import explain


def told(records: list[Record], wanted: str = LAST) -> str:
    return "\n".join(explain(story_of(records, wanted)))


def interrupted() -> RecordedWorld:
    world = settled()
    world.interrupted(4)
    world.sold_out.add("spot")
    for _ in range(8):
        world.step()
    return world


def test_an_interruption_is_told_with_what_was_started_why_that_and_not_the_next_best_and_the_dollars() -> None:
    text = told(interrupted().records())

    assert "1970-01-01" not in text  # seconds from the beginning, as in a simulation
    assert "The cloud takes 4 of 6 spot instances away in 5.0 s" in text
    assert "they serve 40 rows/s for $0.1200 an hour" in text
    assert (
        "0.0 s later: launched at once: 4 x standby (load 60, what stays serves 20, what goes served 40 rows/s)."
        in text
    )
    assert "Launched 4 x standby for $0.0500 an hour each, $0.2000 together: stands in for 4" in text
    assert "The next best was 4 x later, $0.0400 less over 60 min: it is ready in 1 s, not 0.5 s." in text
    assert "More in the record: 1." in text
    assert "1.0 s later: no spot to be had: spot is sold out; left alone for 30 s." in text
    assert "Not a new spot: it was refused; it is tried again in 29 s." in text
    assert "Asked for in all: 4 x standby" in text
    assert "of spot not all was to be had" in text
    assert "Lost with it: 4 instances, which had cost $0.000" in text
    assert "The fleet cost $0.1800 an hour before, and $" in text


def test_whichever_record_of_an_interruption_is_asked_for_all_of_it_is_told() -> None:
    records = interrupted().records()
    (notice,) = [each for each in records if each.kind is RecordKind.INTERRUPTION]
    whole = story_of(records, notice.id)

    assert len(whole) > 4
    assert all(story_of(records, each.id) == whole for each in whole)
    assert [each.at_ns for each in whole] == sorted(each.at_ns for each in whole)


def test_a_plan_alone_is_told_with_what_it_saw_and_what_it_cost() -> None:
    records = settled().records()
    first = next(each for each in records if each.kind is RecordKind.PLAN and each.snapshot.load_per_s == 60.0)
    text = told(records, first.id)

    assert "Planned: load 60, forecast 60 rows/s by moving maximum" in text
    assert "x spot for $0.0300 an hour each" in text
    assert "The next best was" in text
    assert "more over 5 s: the schedule with it costs more" in text
    assert "The fleet cost $" in text


def test_a_plan_with_nothing_to_do_says_what_it_saw() -> None:
    records = settled().records()
    text = told(records, records[-1].id)

    assert "nothing to do" in text
    assert "The load was 60 rows/s, and up to 60 were expected within 5 s (moving maximum); 6 x spot stayed." in text


def test_the_last_is_never_a_plan_with_nothing_to_do_nor_the_end() -> None:
    world = interrupted()
    for _ in range(5):
        world.step()
    world.rules.end(world.clock.now_ns())

    (first, *_) = story_of(world.records(), LAST)
    assert first.kind is RecordKind.INTERRUPTION


def test_where_nothing_else_happened_the_last_is_told_all_the_same() -> None:
    world = RecordedWorld()
    world.rules.begin(world.clock.now_ns(), {})

    assert "The model is served." in told(world.records())


def test_a_shed_burst_is_told() -> None:
    world = settled()
    world.rules.account(world.clock.now_ns(), Tally())
    world.clock.advance_s(1.0)
    world.rules.account(world.clock.now_ns(), Tally(shed={"predicted_miss": 7}))
    world.rules.end(world.clock.now_ns())

    assert "Requests were shed: 7 requests were not answered in 1.0 s: 7 predicted miss." in told(world.records())


def test_the_time_of_day_is_told_where_it_is_known() -> None:
    (record,) = story_of(settled().records(), LAST)

    assert "2026-11-26 12:00:00 UTC" in explain([replace(record, unix_s=1_795_694_400.0)])[0]


def test_no_story_of_an_id_that_is_not_there() -> None:
    assert story_of(settled().records(), "m-run-999") == ()
    assert story_of([], LAST) == ()


@given(st.integers(0, 200))
def test_every_record_is_in_its_own_story(number: int) -> None:
    records = RECORDS
    record = records[number % len(records)]

    story = story_of(records, record.id)

    assert record in story
    assert len({interruption_of(each) for each in story}) == 1
    assert explain(story)


RECORDS = interrupted().records()
