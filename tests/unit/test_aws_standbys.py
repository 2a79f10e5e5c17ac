"""Burstables that are created, charged, stopped, started and let go, in virtual time."""

from __future__ import annotations

import math

import pytest
from unit.aws_machines import POOL, clock_ns, machine

from mark.cloud.aws import tags
from mark.cloud.aws.machines import Machine
from mark.cloud.aws.settings import AwsOffering
from mark.cloud.aws.standby import Phase, StandbySteps
from mark.cloud.aws.standbys import Standbys
from mark.domain.offering import Market, Offering

S = 10**9
KEY = ("o", "m")
NOTHING = StandbySteps()


def standbys(kind: str = "t3.medium", credits_s: float = 300.0, baseline: float = 0.2, stopped: int = 1) -> Standbys:
    offering = Offering(
        "o", Market.BURSTABLE, 1.0, 60.0, 4, baseline_share=baseline, credits_s=credits_s, stopped=stopped
    )
    return Standbys({"o": AwsOffering(offering, (kind,))}, clock_ns, boot_max_s=300.0, pause_s=180.0)


def listed(state: str = "running", name: str = "i-1", at_s: float = 0.0, offering: str = "o") -> Machine:
    return machine(name, state, role=tags.STANDBY, offering=offering, launched_at_s=at_s)


def stopped_at(standby: Standbys, at_s: int) -> None:
    """Bring i-1 from nothing to stopped."""
    standby.created("i-1", KEY, POOL, 0)
    standby.loaded("i-1")
    standby.steps(["m"], at_s * S)
    assert standby.stopping("i-1", at_s * S)
    standby.see([listed("stopped")], at_s * S, lambda _: True)
    assert standby.all[0].phase is Phase.STOPPED


def test_as_many_are_created_for_each_model_as_are_kept() -> None:
    standby = standbys(stopped=2)

    assert standby.steps(["m", "n"], 0).create == {("o", "m"): 2, ("o", "n"): 2}
    standby.created("i-1", KEY, POOL, 0)
    assert standby.steps(["m"], 0).create == {KEY: 1}


def test_a_t3_earns_its_credits_before_it_is_stopped() -> None:
    standby = standbys(credits_s=300.0, baseline=0.2)
    standby.created("i-1", KEY, POOL, 0)

    assert standby.steps(["m"], 1600 * S) == NOTHING or standby.steps(["m"], 1600 * S).stop == ()
    standby = standbys(credits_s=300.0, baseline=0.2)
    standby.created("i-1", KEY, POOL, 0)
    standby.loaded("i-1")
    assert standby.steps(["m"], 1499 * S).stop == ()
    assert standby.steps(["m"], 1500 * S).stop == ("i-1",)


@pytest.mark.parametrize(
    ("kind", "credits_s", "baseline"),
    [("t2.medium", 1800.0, 0.2), ("t3.medium", 0.0, 0.2), ("t3.medium", math.inf, 1.0), ("t3.medium", 60.0, 1.0)],
)
def test_where_credits_do_not_outlast_a_stop_or_never_run_out_nothing_is_waited_for(
    kind: str, credits_s: float, baseline: float
) -> None:
    standby = standbys(kind, credits_s, baseline)
    standby.created("i-1", KEY, POOL, 0)
    assert standby.steps(["m"], 10 * S).stop == ()  # its worker has not answered yet

    standby.loaded("i-1")

    assert standby.steps(["m"], 11 * S).stop == ("i-1",)


def test_one_that_stops_is_not_rented_and_one_that_is_stopped_is() -> None:
    standby = standbys(credits_s=0.0)
    standby.created("i-1", KEY, POOL, 0)
    standby.loaded("i-1")
    assert [each.machine for each in standby.ready_for(KEY)] == ["i-1"]  # it runs: better than a new one

    standby.stopping("i-1", 10 * S)
    assert standby.ready_for(KEY) == []
    standby.see([listed("stopping")], 11 * S, lambda _: True)
    assert standby.ready_for(KEY) == []
    standby.see([listed("stopped")], 12 * S, lambda _: True)
    assert [each.machine for each in standby.ready_for(KEY)] == ["i-1"]


def test_what_was_given_back_charges_again_and_is_stopped_again() -> None:
    standby = standbys(credits_s=300.0, baseline=0.2)
    stopped_at(standby, 1500)
    standby.rented("i-1", 2000 * S)
    assert standby.steps(["m"], 2001 * S) == NOTHING

    assert standby.given_back("i-1", 2100 * S)  # 100 s at full speed cost 80 s of credits

    assert standby.steps(["m"], 2499 * S).stop == ()
    assert standby.steps(["m"], 2500 * S).stop == ("i-1",)


def test_what_is_given_back_beyond_what_is_kept_is_let_go() -> None:
    standby = standbys(credits_s=0.0)
    stopped_at(standby, 10)
    standby.rented("i-1", 20 * S)
    standby.created("i-2", KEY, POOL, 21 * S)

    assert not standby.given_back("i-1", 30 * S)
    assert not standby.given_back("unknown", 30 * S)


def test_a_surplus_is_let_go_and_what_is_rented_is_not() -> None:
    standby = standbys(credits_s=0.0)
    stopped_at(standby, 10)
    standby.rented("i-1", 20 * S)
    standby.created("i-2", KEY, POOL, 21 * S)

    assert standby.steps(["m"], 22 * S).let_go == ("i-2",)
    standby.gone("i-2", 22 * S)
    assert standby.see([listed(), listed(name="i-2")], 23 * S, lambda _: True) == []  # EC2 lists it for a while
    assert [each.machine for each in standby.all] == ["i-1"]


def test_one_that_should_be_gone_and_runs_all_the_same_is_told() -> None:
    standby = standbys()
    standby.created("i-1", KEY, POOL, 0)
    standby.gone("i-1", 10 * S)  # EC2 did not know it yet when it was terminated

    assert standby.see([listed()], 70 * S, lambda _: True) == []
    assert standby.see([listed()], 71 * S, lambda _: True) == ["i-1"]
    assert standby.see([listed("terminated")], 72 * S, lambda _: True) == []


def test_one_that_never_loads_is_let_go_and_not_replaced_at_once() -> None:
    standby = standbys()
    standby.created("i-1", KEY, POOL, 0)

    steps = standby.steps(["m"], 361 * S)
    assert (steps.let_go, steps.create) == (("i-1",), {})
    standby.gone("i-1", 361 * S)
    assert standby.steps(["m"], 540 * S).create == {}
    assert standby.steps(["m"], 541 * S).create == {KEY: 1}


def test_one_that_dies_while_it_loads_is_not_replaced_at_once() -> None:
    standby = standbys()
    standby.created("i-1", KEY, POOL, 0)
    standby.see([listed("terminated")], 10 * S, lambda _: True)

    assert standby.all == []
    assert standby.steps(["m"], 11 * S).create == {}
    assert standby.steps(["m"], 190 * S).create == {KEY: 1}


def test_credits_that_are_a_week_old_are_earned_again() -> None:
    standby = standbys(credits_s=300.0)
    stopped_at(standby, 1500)
    week_s = 7 * 86_400

    assert standby.steps(["m"], (1500 + week_s) * S).start == ()
    assert standby.steps(["m"], (1501 + week_s) * S).start == ("i-1",)
    assert standby.recharging("i-1", (1501 + week_s) * S)
    assert standby.steps(["m"], (1502 + week_s) * S) == NOTHING


def test_a_restarted_router_takes_standbys_over() -> None:
    standby = standbys(credits_s=300.0)
    machines = [listed("stopped", "i-1"), listed("running", "i-2", at_s=90.0), listed("stopped", "i-3", offering="old")]

    orphans = standby.see(machines, 100 * S, lambda each: each.offering == "o")

    assert orphans == ["i-3"]
    assert {each.machine: (each.phase, each.loaded) for each in standby.all} == {
        "i-1": (Phase.STOPPED, True),
        "i-2": (Phase.PREPARING, False),
    }
    assert standby.booting() == {"i-2": "10.0.0.1"}
    assert standby.steps(["m"], 100 * S).let_go == ("i-2",)  # one is kept, and the stopped one is there


def test_a_stop_that_did_nothing_is_done_again() -> None:
    standby = standbys(credits_s=0.0)
    standby.created("i-1", KEY, POOL, 0)
    standby.loaded("i-1")
    standby.stopping("i-1", 10 * S)
    standby.see([listed()], 60 * S, lambda _: True)
    assert standby.steps(["m"], 60 * S).stop == ()
    standby.see([listed()], 71 * S, lambda _: True)

    assert standby.steps(["m"], 71 * S).stop == ("i-1",)


def test_what_could_not_be_done_is_as_it_was() -> None:
    standby = standbys(credits_s=0.0)
    stopped_at(standby, 10)
    standby.rented("i-1", 20 * S)
    standby.not_started("i-1", 21 * S)
    assert standby.all[0].phase is Phase.STOPPED
    assert not standby.stopping("i-1", 22 * S)

    standby.gone("i-1", 22 * S)
    standby.not_gone("i-1")
    standby.see([listed("stopped")], 23 * S, lambda _: True)
    assert standby.all[0].phase is Phase.STOPPED


def test_one_that_ec2_lists_no_more_is_gone_after_a_minute() -> None:
    standby = standbys()
    standby.created("i-1", KEY, POOL, 0)
    standby.see([], 60 * S, lambda _: True)
    assert standby.all != []

    standby.see([], 61 * S, lambda _: True)

    assert standby.all == []
