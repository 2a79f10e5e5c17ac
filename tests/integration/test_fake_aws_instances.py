"""The fake AWS's instances, seen through boto3: launches, states, capacity, tokens, tags and what boots inside."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from integration.fake_aws_world import CLUSTER_TAGS, client, fleet, states, template, user_data, wait_until

from mark.testing.aws import DwellTimes, FakeAws, FakeAwsParams

A, B = "us-east-1a", "us-east-1b"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(FakeAwsParams(vcpu_quotas={"L-34B43A08": 6})) as running:
        yield running


def run(aws: FakeAws, least: int = 1, most: int = 1, **more: Any) -> list[Any]:
    settings = {"ImageId": "ami-12345678", "InstanceType": "c5.large", **more}
    return list(client(aws, "ec2").run_instances(MinCount=least, MaxCount=most, **settings)["Instances"])


def code_of(failed: pytest.ExceptionInfo[ClientError]) -> str:
    return str(failed.value.response["Error"]["Code"])


def test_one_fake_at_a_time_and_the_next_begins_empty(aws: FakeAws) -> None:
    with pytest.raises(RuntimeError, match="close it first"):
        FakeAws()
    client(aws, "s3").create_bucket(Bucket="left-behind")
    run(aws)
    aws.close()
    with FakeAws() as following:
        assert client(following, "s3").list_buckets()["Buckets"] == []
        assert following.instances() == []


def test_an_instance_goes_through_every_state_in_its_time() -> None:
    with FakeAws(FakeAwsParams(dwell=DwellTimes(0.05, 0.05, 0.05))) as aws:
        ec2 = client(aws, "ec2")
        [launched] = run(aws)
        assert launched["State"]["Name"] == "pending"
        ids = [launched["InstanceId"]]
        wait_until(lambda: states(aws) == ["running"], "running")
        [change] = ec2.stop_instances(InstanceIds=ids)["StoppingInstances"]
        assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
        wait_until(lambda: states(aws) == ["stopped"], "stopped")
        assert aws.instances()[0]["StateTransitionReason"].startswith("User initiated (2")
        ec2.start_instances(InstanceIds=ids)
        assert aws.instances()[0]["StateTransitionReason"] == ""
        wait_until(lambda: states(aws) == ["running"], "running again")
        assert aws.instances()[0]["LaunchTime"] >= launched["LaunchTime"]
        ec2.terminate_instances(InstanceIds=ids)
        wait_until(lambda: states(aws) == ["terminated"], "terminated")
        ec2.terminate_instances(InstanceIds=ids)
        with pytest.raises(ClientError) as failed:
            ec2.start_instances(InstanceIds=ids)
        assert code_of(failed) == "IncorrectInstanceState"


def test_addresses_are_loopback_ones_and_differ(aws: FakeAws) -> None:
    addresses = [instance["PrivateIpAddress"] for instance in run(aws, 600, 600)]
    assert len(set(addresses)) == 600
    assert all(address.startswith("127.") for address in addresses)


def test_a_fleet_takes_the_cheapest_pool_first_and_goes_on_where_there_is_capacity(aws: FakeAws) -> None:
    name = template(aws)
    aws.sell_out("c5.large", A, 2)
    answer = fleet(aws, name, 4, ("m5.large", B), ("c5.large", A), TagSpecifications=[])
    got = {group["InstanceType"]: len(group["InstanceIds"]) for group in answer["Instances"]}
    assert got == {"c5.large": 2, "m5.large": 2}
    [error] = answer["Errors"]
    assert error["ErrorCode"] == "InsufficientInstanceCapacity"
    assert error["LaunchTemplateAndOverrides"]["Overrides"]["AvailabilityZone"] == A


def test_a_fleet_may_be_fulfilled_in_part_or_not_at_all(aws: FakeAws) -> None:
    name = template(aws)
    aws.sell_out("c5.large", A, 1)
    answer = fleet(aws, name, 3, ("c5.large", A))
    assert [len(group["InstanceIds"]) for group in answer["Instances"]] == [1]
    answer = fleet(aws, name, 3, ("c5.large", A))
    assert answer["Instances"] == []
    assert len(answer["Errors"]) == 1
    aws.sell_out("c5.large", A, None)
    assert len(fleet(aws, name, 3, ("c5.large", A))["Instances"][0]["InstanceIds"]) == 3


def test_a_fleet_below_its_least_capacity_launches_nothing(aws: FakeAws) -> None:
    aws.sell_out("c5.large", A, 1)
    answer = fleet(aws, template(aws), 3, ("c5.large", A), OnDemandOptions={"MinTargetCapacity": 2})
    assert (answer["Instances"], aws.instances()) == ([], [])


def test_the_quota_of_a_market_is_counted_in_vcpus_of_what_runs(aws: FakeAws) -> None:
    answer = fleet(aws, template(aws), 5, ("c5.large", A), ("c5.large", B), market="spot")
    assert len(aws.instances()) == 3  # of two vCPUs each
    assert {error["ErrorCode"] for error in answer["Errors"]} == {"MaxSpotInstanceCountExceeded"}
    run(aws)  # on demand has a quota of its own


def test_the_same_token_launches_once(aws: FakeAws) -> None:
    first = run(aws, 1, 2, ClientToken="one")
    again = run(aws, 1, 2, ClientToken="one")
    assert [each["InstanceId"] for each in first] == [each["InstanceId"] for each in again]
    assert len(aws.instances()) == 2
    with pytest.raises(ClientError) as failed:
        run(aws, 1, 3, ClientToken="one")
    assert code_of(failed) == "IdempotentParameterMismatch"
    name = template(aws)
    bought = [fleet(aws, name, 2, ("c5.large", A), ClientToken="two") for _ in range(2)]
    assert bought[0]["FleetId"] == bought[1]["FleetId"]
    assert len(aws.instances()) == 4


def test_an_answer_that_is_lost_is_found_again_by_its_token(aws: FakeAws) -> None:
    aws.fail("ec2:RunInstances", "InternalError", after=True)
    with pytest.raises(ClientError):
        run(aws, ClientToken="one")
    [known] = aws.instances()
    assert [each["InstanceId"] for each in run(aws, ClientToken="one")] == [known["InstanceId"]]


def test_a_run_gets_what_there_is_between_its_counts(aws: FakeAws) -> None:
    aws.sell_out("c5.large", "", 3)
    assert len(run(aws, 2, 5)) == 3
    with pytest.raises(ClientError) as failed:
        run(aws)
    assert code_of(failed) == "InsufficientInstanceCapacity"


def test_a_stopped_instance_may_find_no_capacity_to_start(aws: FakeAws) -> None:
    ids = [run(aws)[0]["InstanceId"]]
    ec2 = client(aws, "ec2")
    wait_until(lambda: states(aws) == ["running"], "running")
    ec2.stop_instances(InstanceIds=ids)
    wait_until(lambda: states(aws) == ["stopped"], "stopped")
    aws.sell_out("c5.large", A)
    with pytest.raises(ClientError) as failed:
        ec2.start_instances(InstanceIds=ids)
    assert code_of(failed) == "InsufficientInstanceCapacity"
    assert states(aws) == ["stopped"]


def test_faults_hit_the_call_or_only_a_pool(aws: FakeAws) -> None:
    name = template(aws)
    aws.fail("ec2:CreateFleet", "RequestLimitExceeded")
    aws.fail("CreateFleet", "UnfulfillableCapacity", instance_type="c5.large", zone=A)
    with pytest.raises(ClientError) as failed:
        fleet(aws, name, 1, ("c5.large", A))
    assert code_of(failed) == "RequestLimitExceeded"
    answer = fleet(aws, name, 1, ("c5.large", A), ("c5.large", B))
    assert [error["ErrorCode"] for error in answer["Errors"]] == ["UnfulfillableCapacity"]
    assert answer["Instances"][0]["AvailabilityZone"] == B
    assert fleet(aws, name, 1, ("c5.large", A))["Errors"] == []
    assert aws.calls["ec2:CreateFleet"] == 3


def test_instances_are_found_by_tag_page_by_page(aws: FakeAws) -> None:
    fleet(aws, template(aws), 12, ("c5.large", A))
    run(aws)
    ec2 = client(aws, "ec2")
    pages = list(
        ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "tag:mark:cluster", "Values": ["dig*"]}], PaginationConfig={"PageSize": 5}
        )
    )
    found = [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]
    assert (len(pages), len({instance["InstanceId"] for instance in found})) == (3, 12)
    assert found[0]["Tags"] == CLUSTER_TAGS
    [volume] = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [found[0]["InstanceId"]]}])[
        "Volumes"
    ]
    assert volume["Tags"] == CLUSTER_TAGS
    ec2.create_tags(Resources=[found[0]["InstanceId"]], Tags=[{"Key": "mark:role", "Value": "standby"}])
    again = ec2.describe_instances(Filters=[{"Name": "tag:mark:role", "Values": ["standby"]}])
    assert again["Reservations"][0]["Instances"][0]["InstanceId"] == found[0]["InstanceId"]
    with pytest.raises(ClientError) as failed:
        ec2.describe_instances(Filters=[{"Name": "no-such-filter", "Values": ["x"]}])
    assert code_of(failed) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"InstanceType": "c5.enormous"}, "InvalidParameterValue"),
        ({"ImageId": "image"}, "InvalidAMIID.Malformed"),
        ({"SubnetId": "subnet-1"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-1"]}, "InvalidGroup.NotFound"),
        ({"LaunchTemplate": {"LaunchTemplateName": "none"}}, "InvalidLaunchTemplateName.NotFoundException"),
    ],
)
def test_what_is_not_there_is_refused(aws: FakeAws, settings: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as failed:
        run(aws, **settings)
    assert code_of(failed) == code


def test_a_process_that_ends_ends_its_instance(aws: FakeAws) -> None:
    fleet(aws, template(aws, user_data("version")), 1, ("c5.large", A))
    wait_until(lambda: states(aws) == ["terminated"], "the end of the instance")
    [ended] = aws.instances()
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert "mark 0." in aws.console(ended["InstanceId"])


def test_an_instance_stops_and_starts_with_its_process_and_its_disk(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\necho start $AWS_EC2_METADATA_SERVICE_ENDPOINT $(cat $2) >> story\nexec sleep 1000\n")
    program.chmod(0o755)
    with FakeAws(FakeAwsParams(program=(str(program),))) as aws:
        ec2 = client(aws, "ec2")
        [launched] = run(aws, UserData=_decoded(user_data("agent", "/etc/mark/agent.json")))
        name = launched["InstanceId"]
        story = aws.root(name) / "story"
        wait_until(lambda: story.exists() and story.read_text().endswith("\n"), "the agent")
        ec2.stop_instances(InstanceIds=[name])
        wait_until(lambda: states(aws) == ["stopped"], "stopped")
        assert aws.processes() == {}
        ec2.start_instances(InstanceIds=[name])
        wait_until(lambda: len(story.read_text().splitlines()) == 2, "the second start")
        assert story.read_text().splitlines()[0] == f"start {aws.endpoint_url}/imds/{name} a secretless file"
        wait_until(aws.processes, "its process, which it may have been quicker than")
        [pid] = aws.processes().values()
    assert not Path(f"/proc/{pid}").exists()
    assert not story.exists()


def test_a_killed_fake_leaves_no_process(tmp_path: Path) -> None:
    text = (
        "import json, sys\n"
        "from mark.testing.aws import FakeAws, FakeAwsParams\n"
        "from integration.fake_aws_world import client, user_data, wait_until\n"
        "import base64\n"
        "aws = FakeAws(FakeAwsParams(program=('sleep', '1000', '#')[:2]))\n"
        "client(aws, 'ec2').run_instances(MinCount=1, MaxCount=1, ImageId='ami-12345678', InstanceType='c5.large',\n"
        "    UserData=base64.b64decode(user_data()).decode())\n"
        "wait_until(aws.processes, 'a process')\n"
        "print(json.dumps([*aws.processes().values(), str(aws.root('i-1').parent)]), flush=True)\n"
        "sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        pid, folder = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the orphan")
    wait_until(lambda: not Path(folder).exists(), "the end of its disk")


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()  # RunInstances encodes it itself


def test_strange_user_data_are_told_on_the_console(aws: FakeAws) -> None:
    [launched] = run(aws, UserData="#!/bin/sh\ntrue")
    wait_until(lambda: "#cloud-config only" in aws.console(launched["InstanceId"]), "the console")
    assert states(aws) == ["running"]


def test_a_group_with_members_is_kept(aws: FakeAws) -> None:
    ec2 = client(aws, "ec2")
    group = ec2.create_security_group(GroupName="members", Description="of a cluster")["GroupId"]
    [launched] = run(aws, SecurityGroupIds=[group])
    with pytest.raises(ClientError) as failed:
        ec2.delete_security_group(GroupId=group)
    assert code_of(failed) == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[launched["InstanceId"]])
    wait_until(lambda: states(aws) == ["terminated"], "the end of its member")
    ec2.delete_security_group(GroupId=group)


def test_a_fleet_is_deleted_with_its_instances_and_volumes_end_with_them(aws: FakeAws) -> None:
    bought = fleet(aws, template(aws), 2, ("c5.large", A))["FleetId"]
    ec2 = client(aws, "ec2")
    volume = ec2.describe_volumes()["Volumes"][0]["VolumeId"]
    with pytest.raises(ClientError) as failed:
        ec2.delete_volume(VolumeId=volume)
    assert code_of(failed) == "VolumeInUse"
    assert ec2.delete_fleets(FleetIds=[bought], TerminateInstances=False)["UnsuccessfulFleetDeletions"]
    assert ec2.delete_fleets(FleetIds=[bought], TerminateInstances=True)["SuccessfulFleetDeletions"]
    wait_until(lambda: states(aws) == ["terminated"] * 2, "the end of the fleet")
    assert ec2.describe_fleets()["Fleets"][0]["FleetState"] == "deleted"
    with pytest.raises(ClientError) as failed:
        ec2.delete_volume(VolumeId=volume)
    assert code_of(failed) == "InvalidVolume.NotFound"


def test_a_client_of_a_closed_fake_is_not_answered_by_the_next(aws: FakeAws) -> None:
    ec2 = client(aws, "ec2")
    ec2.describe_instances()
    aws.close()
    with FakeAws() as following:
        with pytest.raises((ClientError, EndpointConnectionError, HTTPClientError)):
            ec2.describe_instances()
        assert following.calls == {}


def test_sigterm_is_sent_once_and_then_the_process_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\ntrap 'echo asked >> asked' TERM\ntouch ready\nwhile :; do sleep 0.02; done\n")
    program.chmod(0o755)
    with FakeAws(FakeAwsParams(program=(str(program),), kill_after_s=2.0)) as aws:
        name = run(aws, UserData=_decoded(user_data("agent")))[0]["InstanceId"]
        wait_until((aws.root(name) / "ready").exists, "the agent")
        client(aws, "ec2").stop_instances(InstanceIds=[name])
        wait_until(lambda: states(aws) == ["stopped"], "its end")
        assert (aws.root(name) / "asked").read_text() == "asked\n"
