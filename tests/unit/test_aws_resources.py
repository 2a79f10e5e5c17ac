"""What bootstrap makes and teardown ends, against a fake AWS."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from unit.aws_cluster import SETTINGS, mark_aws, run_instance

from mark.cloud.aws import tags
from mark.cloud.aws.permissions import Role
from mark.cloud.aws.policy import policy
from mark.cloud.aws.resources import cluster
from mark.cloud.aws.resources.bucket import only_over_tls, speaks_tls
from mark.cloud.aws.resources.rented import Instances
from mark.cloud.aws.resources.resource import Resource
from mark.cloud.aws.session import AwsSession
from mark.errors import CloudError
from mark.testing.aws import FakeAws

CHANGES = ("Create", "Put", "Add", "Authorize", "Set", "Delete", "Remove", "Terminate", "Tag")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with FakeAws() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


def names(resources: list[Resource]) -> set[tuple[str, str]]:
    """Those that are there."""
    return {(each.kind, each.name) for each in resources if each.exists()}


def changes(aws: FakeAws) -> int:
    """Calls that change something."""
    return sum(count for name, count in aws.calls.items() if name.split(":")[1].startswith(CHANGES))


def test_bootstrap_makes_everything_once_and_brings_it_into_shape_again(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    first = names(cluster.lasting(SETTINGS, session))
    cluster.bootstrap(SETTINGS, session)

    assert names(cluster.lasting(SETTINGS, session)) == first
    assert {kind for kind, _ in first} >= {"role", "instance profile", "bucket", "queue", "rule", "security group"}
    assert aws.calls["s3:CreateBucket"] == 2  # which S3 answers with "it is yours"
    assert aws.calls["sqs:CreateQueue"] == 1
    assert aws.calls["ec2:CreateSecurityGroup"] == 1


def test_the_bucket_is_private_and_encrypted(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    s3, name = session.client("s3"), SETTINGS.bucket(session.account)

    private = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert all(private.values())
    assert len(private) == 4
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert tags.tags_of(s3.get_bucket_tagging(Bucket=name)["TagSet"]) == {"mark:cluster": "shop"}
    (expiry,) = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert expiry["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_aws_itself_is_spoken_to_over_tls_alone() -> None:
    client = AwsSession(SETTINGS).client("s3")
    (statement,) = only_over_tls(SETTINGS, "123456789012")["Statement"]

    assert speaks_tls(client)
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert statement["Resource"] == [f"arn:aws:s3:::mark-shop-123456789012-us-east-1{each}" for each in ("", "/*")]


def test_the_rule_alone_may_send_to_the_queue_and_sends_there(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    sqs, events = session.client("sqs"), session.client("events")
    url = sqs.get_queue_url(QueueName="mark-shop-notices")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    (allowed,) = json.loads(attributes["Policy"])["Statement"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Condition"]["ArnEquals"]["aws:SourceArn"] == events.describe_rule(Name="mark-shop-notices")["Arn"]
    (target,) = events.list_targets_by_rule(Rule="mark-shop-notices")["Targets"]
    assert target["Arn"] == attributes["QueueArn"] == allowed["Resource"]


def test_workers_reach_each_other_on_their_port_and_nobody_else_reaches_them(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    groups = session.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["mark-shop-members"]}]
    )["SecurityGroups"]

    (rule,) = groups[0]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (8002, 8002, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [groups[0]["GroupId"]]


def test_roles_have_the_policy_that_is_printed(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    iam = session.client("iam")

    roles: tuple[Role, ...] = ("worker", "function")
    for role in roles:
        found = iam.get_role_policy(RoleName=f"mark-shop-{role}", PolicyName="mark")["PolicyDocument"]
        assert found == policy(role, SETTINGS, session.account)


def test_teardown_ends_what_runs_and_what_is_stopped_and_nothing_is_left(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    ec2, s3 = session.client("ec2"), session.client("s3")
    run_instance(session, "cpu", "c5.large")
    standby = run_instance(session, "standby", "t3.medium", tags.STANDBY)
    ec2.get_waiter("instance_running").wait(InstanceIds=[standby], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
    ec2.stop_instances(InstanceIds=[standby])
    ec2.create_launch_template(
        LaunchTemplateName="mark-shop-worker-1",
        LaunchTemplateData={"ImageId": "ami-1"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags.tag_list({tags.CLUSTER: "shop"})}],
    )
    for number in range(3):
        s3.put_object(Bucket=SETTINGS.bucket(session.account), Key=f"intents/{number}.json", Body=b"{}")
    assert cluster.leftovers(SETTINGS, session, sleep=lambda _: None)

    cluster.teardown(SETTINGS, session)

    assert cluster.leftovers(SETTINGS, session) == []
    assert {each["State"]["Name"] for each in aws.instances()} == {"terminated"}
    cluster.teardown(SETTINGS, session)  # again: nothing to do


def groups(session: AwsSession) -> list[str]:
    return [each["logGroupName"] for each in session.client("logs").describe_log_groups()["logGroups"]]


def test_the_logs_of_its_functions_go_with_them_and_those_of_others_stay(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    role = session.client("iam").get_role(RoleName=SETTINGS.function_role)["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("work.py", "")
    # The other cluster's name begins with this one's.
    for name, owner in (("mark-shop-digits", "shop"), ("mark-shop-two-digits", "shop-two")):
        session.client("lambda").create_function(
            FunctionName=name, Role=role, Code={"ZipFile": packed.getvalue()}, Runtime="python3.12",
            Handler="work.handler", Tags={tags.CLUSTER: owner},
        )  # fmt: skip
        # As Lambda does at the first call; moto has done it already.
        if f"/aws/lambda/{name}" not in groups(session):
            session.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")

    aws.allow(policy("admin", SETTINGS, session.account))
    cluster.teardown(SETTINGS, session)
    aws.allow(None)

    assert groups(session) == ["/aws/lambda/mark-shop-two-digits"]


def test_a_log_whose_function_is_gone_is_left_and_goes_by_its_tag(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    logs = session.client("logs")
    for name, owner in (("mark-shop-gone", "shop"), ("mark-shop-two-gone", "shop-two")):
        logs.create_log_group(logGroupName=f"/aws/lambda/{name}", tags={tags.CLUSTER: owner})
    left = cluster.leftovers(SETTINGS, session, sleep=lambda _: None)
    assert any(each == "log groups /aws/lambda/mark-shop-gone" for each in left), left

    aws.allow(policy("admin", SETTINGS, session.account))
    cluster.teardown(SETTINGS, session)
    assert cluster.leftovers(SETTINGS, session, sleep=lambda _: None) == []
    aws.allow(None)

    assert "/aws/lambda/mark-shop-gone" not in groups(session)
    assert "/aws/lambda/mark-shop-two-gone" in groups(session)


def test_other_clusters_and_other_instances_are_left_alone(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    ec2 = session.client("ec2")
    other = ec2.run_instances(ImageId="ami-12c6146b", InstanceType="c5.large", MinCount=1, MaxCount=1)["Instances"][0]
    cluster.bootstrap(SETTINGS, session)
    cluster.teardown(SETTINGS, session)

    assert [each["InstanceId"] for each in aws.instances()] == [other["InstanceId"]]
    assert aws.instances()[0]["State"]["Name"] in {"pending", "running"}


def test_what_cannot_be_deleted_does_not_keep_the_rest_and_is_named(aws: FakeAws) -> None:
    session = AwsSession(SETTINGS)
    cluster.bootstrap(SETTINGS, session)
    aws.fail("sqs:DeleteQueue", "AccessDenied", times=None)

    with pytest.raises(CloudError, match="deleting queue mark-shop-notices: AccessDenied: not allowed"):
        cluster.teardown(SETTINGS, session)

    (queue, arn) = cluster.leftovers(SETTINGS, session, sleep=lambda _: None)
    assert (queue, arn.split(":")[2]) == ("queue mark-shop-notices", "sqs")


def test_instances_that_do_not_end_are_waited_for_and_then_named(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    session = AwsSession(SETTINGS)
    slept: list[float] = []
    instances = Instances(SETTINGS, session, slept.append)
    monkeypatch.setattr(Instances, "found", lambda _: ["i-00000000000000001"])

    with pytest.raises(CloudError, match="i-00000000000000001 did not end in 600 s"):
        instances.delete()

    assert sum(slept) == 600


def test_without_yes_nothing_is_changed(aws: FakeAws, tmp_path: Path) -> None:
    code, said = mark_aws(tmp_path, "bootstrap")
    assert (code, changes(aws)) == (0, 0)
    assert "create │ bucket" in said
    assert "nothing was changed; --yes does it" in said

    assert mark_aws(tmp_path, "bootstrap", "--yes")[0] == 0
    changed = changes(aws)
    code, said = mark_aws(tmp_path, "teardown")
    assert (code, changes(aws)) == (0, changed)
    assert "delete │ bucket" in said


def test_the_commands_make_and_end_a_cluster(aws: FakeAws, tmp_path: Path) -> None:
    mark_aws(tmp_path, "bootstrap", "--yes")
    code, said = mark_aws(tmp_path, "bootstrap")
    assert code == 0
    assert "exists │ bucket" in said

    code, said = mark_aws(tmp_path, "teardown", "--yes")
    assert (code, "nothing that is tagged mark:cluster=shop is left" in said) == (0, True)


def test_a_teardown_that_leaves_something_says_what_and_fails(
    aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_aws(tmp_path, "bootstrap", "--yes")
    foreign = AwsSession(SETTINGS).client("s3")
    foreign.create_bucket(Bucket="somebody-elses")
    foreign.put_bucket_tagging(Bucket="somebody-elses", Tagging={"TagSet": tags.tag_list({tags.CLUSTER: "shop"})})
    monkeypatch.setattr(cluster, "_SEEN_WITHIN_S", 0.0)

    code, said = mark_aws(tmp_path, "teardown", "--yes")

    assert code == 1
    assert "left: arn:aws:s3:::somebody-elses" in said


def test_a_refusal_is_told_with_what_was_done(aws: FakeAws) -> None:
    aws.fail("iam:CreateRole", "AccessDenied")

    with pytest.raises(CloudError, match="making role mark-shop-worker: AccessDenied: not allowed; `mark aws check`"):
        cluster.bootstrap(SETTINGS, AwsSession(SETTINGS))
