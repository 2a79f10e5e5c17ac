"""What a control loop knows of its instances: news, and what is left to plan with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mark.controlplane.fleet_view import FleetChange, FleetView
from mark.domain.fleet import TAKEN_AWAY, Instance, InstanceId, InstanceState

PENDING = Instance(InstanceId("a"), "small", "m", InstanceState.PENDING, launched_at_ns=0)
READY = replace(PENDING, state=InstanceState.READY, ready_at_ns=5, address="here")
NOTICED = replace(READY, taken_at_ns=100)
GONE = replace(READY, state=InstanceState.GONE, ended_at_ns=9)


def view(*seen: Instance) -> FleetView:
    """A view that saw these, one after the other."""
    made = FleetView("m")
    for instance in seen:
        made.see([instance])
    return made


def test_news_is_what_moved_on_and_told_once() -> None:
    fleet = view()

    assert fleet.see([PENDING]) == [FleetChange(None, PENDING, wanted=True)]
    assert fleet.see([PENDING]) == []
    assert fleet.see([READY]) == [FleetChange(PENDING, READY, wanted=True)]
    assert fleet.see([GONE]) == [FleetChange(READY, GONE, wanted=True)]
    assert fleet.see([GONE]) == []
    assert fleet.instances == [GONE]


def test_instances_of_other_models_are_none_of_its_business() -> None:
    fleet = view(replace(READY, model="other"))

    assert (fleet.instances, fleet.ever_ready) == ([], False)


def test_what_changes_without_moving_on_is_kept_and_no_news() -> None:
    fleet = view(READY)
    moved = replace(READY, address="there")

    assert fleet.see([moved]) == []
    assert fleet.snapshot(7).instances == (moved,)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, PENDING, set()),
        (None, READY, {"is_ready"}),
        (PENDING, READY, {"is_ready"}),
        (PENDING, replace(GONE, ready_at_ns=None), {"is_lost"}),
        (READY, GONE, {"booted", "is_lost"}),
        (READY, NOTICED, {"booted", "is_noticed"}),
        (PENDING, NOTICED, {"is_ready", "is_noticed"}),
        (PENDING, replace(PENDING, taken_at_ns=100), {"is_noticed"}),
        (replace(PENDING, taken_at_ns=100), NOTICED, {"is_ready"}),
        (NOTICED, replace(GONE, taken_at_ns=100), {"booted", "is_lost"}),
        (READY, replace(GONE, taken_at_ns=9), {"booted", "is_lost"}),
    ],
)
def test_a_change_says_what_it_means(before: Instance | None, after: Instance, words: set[str]) -> None:
    fleet = view() if before is None else view(before)

    (change,) = fleet.see([after])

    assert change.before == before
    assert {word for word in ("booted", "is_ready", "is_lost", "is_noticed") if getattr(change, word)} == words


def test_what_is_drained_is_not_lost_when_it_goes() -> None:
    fleet = view(READY)
    fleet.drain(READY.id)

    (change,) = fleet.see([GONE])

    assert (change.wanted, change.is_lost) == (False, False)
    assert fleet.draining == {READY.id}


def test_what_was_just_rented_is_planned_with_before_it_is_seen() -> None:
    fleet = view()
    fleet.launched(PENDING)

    assert fleet.snapshot(7).instances == (PENDING,)
    assert [change.is_ready for change in fleet.see([READY])] == [True]


def test_a_launch_that_returns_late_does_not_undo_what_was_seen_meanwhile() -> None:
    fleet = view(READY)

    fleet.launched(PENDING)

    assert fleet.instances == [READY]


def test_a_launch_that_was_answered_with_an_older_instance_leaves_its_news_to_see() -> None:
    # Clouds answer a token that has bought with its instance, whatever its state.
    fleet = view()

    fleet.launched(READY)

    assert [change.is_ready for change in fleet.see([READY])] == [True]


def test_a_snapshot_tells_those_that_stay_from_those_that_leave() -> None:
    named = [replace(READY, id=InstanceId(name)) for name in "abcd"]
    fleet = view(*named, replace(PENDING, id=InstanceId("e")))
    fleet.drain(InstanceId("b"))
    fleet.see([replace(named[2], taken_at_ns=100), replace(GONE, id=InstanceId("d"))])

    snapshot = fleet.snapshot(7)

    assert snapshot.now_ns == 7
    assert [instance.id for instance in snapshot.instances] == ["a", "e"]
    assert [instance.id for instance in snapshot.draining] == ["b", "c"]


def test_each_refusal_in_a_row_is_a_longer_pause_up_to_ten_times() -> None:
    fleet = view()

    assert [fleet.refused("small", 3.0) for _ in range(6)] == [3.0, 6.0, 12.0, 24.0, 30.0, 30.0]
    assert fleet.refused("large", 3.0) == 3.0
    for _ in range(10_000):
        fleet.refused("small", 3.0)
    assert fleet.refused("small", 3.0) == 30.0


def test_an_instance_that_is_ready_ends_the_row_of_refusals_of_its_offering() -> None:
    fleet = view()
    for offering in ("small", "large"):
        fleet.refused(offering, 3.0)

    fleet.see([PENDING])
    assert fleet.refused("small", 3.0) == 6.0
    fleet.see([READY])

    assert (fleet.refused("small", 3.0), fleet.refused("large", 3.0)) == (3.0, 6.0)


def test_once_ready_is_ever_ready() -> None:
    assert not view(PENDING, replace(GONE, ready_at_ns=None)).ever_ready
    assert view(PENDING, READY, GONE).ever_ready


@pytest.mark.parametrize(
    ("before", "after", "failed"),
    [
        (PENDING, replace(GONE, ready_at_ns=None), True),
        (READY, GONE, False),  # it had booted
        (replace(PENDING, taken_at_ns=8), replace(GONE, ready_at_ns=None, taken_at_ns=8), False),  # it was taken
        (PENDING, replace(GONE, ready_at_ns=None, detail=TAKEN_AWAY), False),  # and nobody was told before
    ],
)
def test_only_an_offering_whose_instance_died_while_it_booted_is_left_alone(
    before: Instance, after: Instance, failed: bool
) -> None:
    (change,) = view(before).see([after])

    assert change.failed_to_boot is failed
    assert change.is_lost
