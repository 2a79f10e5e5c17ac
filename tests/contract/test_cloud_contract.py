"""What every cloud promises, asked of the fake one, the simulated one and of real processes alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from contract.aws_world import aws_cloud, aws_settings, interrupt_aws, lay_ground, running_aws
from contract.cloud_world import ARTIFACT, OFFERINGS, WORKER, World

from mark.cloud.local import LocalCloud
from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.domain.bill import Bill
from mark.domain.cost import instance_cost_usd
from mark.domain.fleet import InstanceId, InstanceState
from mark.errors import CloudError, QuotaExceeded
from mark.live.clock import SteadyClock
from mark.testing import FakeCloud, ManualClock
from mark.testing.aws import FakeAws


@pytest.fixture(params=["fake", "simulated", "local", "aws"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    clock = ManualClock()
    if request.param == "fake":
        yield World(FakeCloud(OFFERINGS, clock), lambda: clock.advance_s(0.1))
        return
    if request.param == "simulated":
        simulated = SimulatedCloud(OFFERINGS, clock, CloudBehaviour(boot_variation=0.0))
        yield World(simulated, lambda: clock.advance_s(0.1))
        return
    if request.param == "aws":
        with running_aws(tmp_path, monkeypatch) as aws:
            yield from aws_world(aws)
        return
    script = tmp_path / "worker.py"
    script.write_text(WORKER, encoding="utf-8")
    cloud = LocalCloud(
        OFFERINGS, SteadyClock(), lambda artifact, offering, address: [sys.executable, str(script), address]
    )
    world = World(cloud, lambda: None)

    def wait_for_change() -> None:
        world.changes = cloud.wait_for_change(world.changes, 0.1)

    world.pass_time = wait_for_change
    yield world
    cloud.close()
    assert not [child for child in psutil.Process().children() if str(script) in child.cmdline()]


def aws_world(aws: FakeAws) -> Iterator[World]:
    settings = aws_settings(aws)
    lay_ground(settings)
    cloud = aws_cloud(settings)
    world = World(cloud, lambda: None, lambda hit, notice_s: interrupt_aws(cloud, aws, hit, notice_s))

    def wait_for_change() -> None:
        world.changes = cloud.wait_for_change(world.changes, 0.1)

    world.pass_time = wait_for_change
    cloud.open()
    yield world
    cloud.close()
    states = [each["State"]["Name"] for each in aws.instances()]
    assert set(states) <= {"shutting-down", "terminated"}


def test_an_instance_is_pending_then_ready_with_an_address(world: World) -> None:
    launched = world.cloud.launch("slow", ARTIFACT, "a")

    assert (launched.state, launched.address, launched.model) == (InstanceState.PENDING, None, "m")
    ready = world.wait_for(launched, InstanceState.READY)
    assert ready.address is not None
    assert ready.ready_at_ns is not None
    assert ready.ready_at_ns - ready.launched_at_ns >= 0.3e9


def test_a_token_buys_once(world: World) -> None:
    first = world.cloud.launch("small", ARTIFACT, "a")

    assert world.cloud.launch("small", ARTIFACT, "a").id == first.id
    assert len(world.cloud.list_instances()) == 1
    assert world.cloud.launch("small", ARTIFACT, "b").id != first.id


def test_a_token_of_an_instance_that_is_gone_buys_nothing_new(world: World) -> None:
    first = world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.terminate(first.id)

    assert world.cloud.launch("small", ARTIFACT, "a").state is InstanceState.GONE


def test_max_count_is_a_quota_that_termination_frees(world: World) -> None:
    first = world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.launch("small", ARTIFACT, "b")
    with pytest.raises(QuotaExceeded, match="max_count 2 is reached"):
        world.cloud.launch("small", ARTIFACT, "c")

    world.cloud.terminate(first.id)

    assert world.cloud.launch("small", ARTIFACT, "d").state is InstanceState.PENDING


def test_an_unknown_offering_is_refused(world: World) -> None:
    with pytest.raises(CloudError, match="no offering 'huge'; there are small, slow, kept"):
        world.cloud.launch("huge", ARTIFACT, "a")


def test_terminating_is_idempotent_and_ends_the_bill(world: World) -> None:
    launched = world.cloud.launch("small", ARTIFACT, "a")
    world.wait_for(launched, InstanceState.READY)

    world.cloud.terminate(launched.id)
    gone = world.see(launched)
    world.cloud.terminate(launched.id)
    world.cloud.terminate(InstanceId("nobody"))

    assert gone.state is InstanceState.GONE
    assert gone.ended_at_ns is not None
    assert world.see(launched) == gone
    bill_usd = instance_cost_usd(gone, OFFERINGS[0], gone.ended_at_ns + 10**12)
    assert bill_usd == pytest.approx((gone.ended_at_ns - gone.launched_at_ns) / 1e9)


def test_what_was_spent_is_known_when_all_is_given_back(world: World) -> None:
    assert world.cloud.spent_usd() == 0.0
    launched = world.cloud.launch("small", ARTIFACT, "a")
    world.wait_for(launched, InstanceState.READY)
    world.pass_time()
    assert world.cloud.spent_usd() > 0.0

    world.cloud.close()

    spent_usd = world.cloud.spent_usd()
    world.pass_time()
    assert world.cloud.spent_usd() == spent_usd > 0.0


def test_the_bill_says_what_was_spent_on_which_model_in_which_market(world: World) -> None:
    assert world.cloud.bill() == Bill()
    launched = world.cloud.launch("small", ARTIFACT, "a")
    world.wait_for(launched, InstanceState.READY)
    world.pass_time()

    world.cloud.close()

    made = world.cloud.bill()
    assert {(line.model, line.market, line.offering) for line in made.lines} == {("m", "on_demand", "small")}
    assert all(line.hour_unix_s % 3600 == 0 for line in made.lines)
    assert made.usd == world.cloud.spent_usd() > 0.0


def test_instances_are_listed_oldest_first_the_gone_ones_included(world: World) -> None:
    first = world.cloud.launch("small", ARTIFACT, "a")
    second = world.cloud.launch("slow", ARTIFACT, "b")
    world.cloud.terminate(first.id)

    assert [instance.id for instance in world.cloud.list_instances()] == [first.id, second.id]


def test_changes_are_counted(world: World) -> None:
    before = world.cloud.wait_for_change(-1, 0.0)
    launched = world.cloud.launch("small", ARTIFACT, "a")

    after_launch = world.cloud.wait_for_change(before, 5.0)
    world.cloud.terminate(launched.id)

    assert before < after_launch < world.cloud.wait_for_change(after_launch, 5.0)


def test_becoming_ready_is_a_change(world: World) -> None:
    world.cloud.launch("slow", ARTIFACT, "a")
    launched = world.changes = world.cloud.wait_for_change(-1, 0.0)

    # Nobody lists meanwhile: a loop that looks only after a change must come to look.
    for _ in range(300):
        world.pass_time()
        if world.cloud.wait_for_change(launched, 0.0) > launched:
            break
    else:
        pytest.fail("no change was counted")

    assert [instance.state for instance in world.cloud.list_instances()] == [InstanceState.READY]


def test_closing_gives_everything_back_and_refuses_more(world: World) -> None:
    world.cloud.launch("small", ARTIFACT, "a")
    world.cloud.launch("slow", ARTIFACT, "b")

    world.cloud.close()
    world.cloud.close()

    assert {instance.state for instance in world.cloud.list_instances()} == {InstanceState.GONE}
    with pytest.raises(CloudError, match="closed"):
        world.cloud.launch("small", ARTIFACT, "c")


def test_offerings_are_told_in_order(world: World) -> None:
    assert tuple(world.cloud.offerings()) == OFFERINGS


def test_a_share_of_spot_instances_is_taken_away_after_the_notice_and_no_other(world: World) -> None:
    cloud = world.cloud
    kept, spot = cloud.launch("small", ARTIFACT, "a"), cloud.launch("slow", ARTIFACT, "b")
    world.wait_for(kept, InstanceState.READY)
    world.wait_for(spot, InstanceState.READY)

    (noticed,) = world.interrupt_spot(0.8, "m", notice_s=3.0)  # long enough to be looked at before it is over

    assert (noticed.id, noticed.state) == (spot.id, InstanceState.READY)
    assert noticed.taken_at_ns is not None
    assert world.see(spot) == noticed
    assert world.interrupt_spot(1.0, notice_s=3.0) == []  # it is under notice already
    gone = world.wait_for(spot, InstanceState.GONE)
    assert gone.ended_at_ns is not None
    assert (gone.detail, gone.ended_at_ns >= noticed.taken_at_ns) == ("taken away by the cloud", True)
    assert world.see(kept).state is InstanceState.READY


def test_a_notice_is_a_change(world: World) -> None:
    cloud = world.cloud
    world.wait_for(cloud.launch("slow", ARTIFACT, "a"), InstanceState.READY)
    before = cloud.wait_for_change(-1, 0.0)

    world.interrupt_spot(1.0)

    assert cloud.wait_for_change(before, 0.0) > before


def test_another_models_instances_are_not_interrupted(world: World) -> None:
    cloud = world.cloud
    launched = cloud.launch("slow", ARTIFACT, "a")

    assert world.interrupt_spot(1.0, "another") == []
    assert world.see(launched).taken_at_ns is None


def test_one_under_notice_may_be_given_back(world: World) -> None:
    cloud = world.cloud
    launched = cloud.launch("slow", ARTIFACT, "a")
    world.interrupt_spot(1.0, notice_s=1e4)

    cloud.terminate(launched.id)

    assert world.see(launched).detail == "terminated"


def test_what_is_prepared_is_no_instance_and_is_launched_as_ever(world: World) -> None:
    world.cloud.prepare(ARTIFACT)
    assert world.cloud.list_instances() == ()

    launched = world.cloud.launch("kept", ARTIFACT, "a")
    ready = world.wait_for(launched, InstanceState.READY)
    world.cloud.terminate(launched.id)

    assert ready.ready_at_ns is not None
    assert ready.ready_at_ns - ready.launched_at_ns >= 0.1e9
    assert world.see(launched).state is InstanceState.GONE
    assert [instance.id for instance in world.cloud.list_instances()] == [launched.id]
