"""The function of a model on AWS: made, changed, left alone, deleted. AWS is moto's server, and scripted answers."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from mark.cloud.aws import function_deployment
from mark.cloud.aws.function_deployment import FunctionDeployment, delete_function, deploy_function
from mark.cloud.aws.function_package import read_zip
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import CloudError, ConfigError, QuotaExceeded

SIGNATURE = ModelSignature("digits", "1", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 4)
ARTIFACT = ModelArtifact(SIGNATURE, "onnx", "model/digits.onnx")
TRUST = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {}}]}'


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def settings(endpoint_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AwsSettings:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    return AwsSettings(f"c{zlib.crc32(request.node.name.encode())}", "us-east-1", endpoint_url=endpoint_url)


@pytest.fixture
def session(settings: AwsSettings) -> AwsSession:
    session = AwsSession(settings)
    session.client("iam").create_role(RoleName=settings.function_role, AssumeRolePolicyDocument=TRUST)
    return session


def zipped(folder: Path, content: str) -> FunctionDeployment:
    path = folder / "function.zip"
    with zipfile.ZipFile(path, "w") as archive:
        # Of no time: the same content is the same zip, whenever it is made.
        archive.writestr(zipfile.ZipInfo("mark/_core.cpython-312-x86_64-linux-gnu.so"), content)
    return FunctionDeployment(ARTIFACT, read_zip(path), memory_gb=0.5, timeout_s=2.5, concurrency_max=7)


@pytest.fixture
def deployment(tmp_path: Path) -> FunctionDeployment:
    return zipped(tmp_path, "first")


def described(session: AwsSession, name: str) -> Any:
    return session.client("lambda").get_function(FunctionName=name)


def changes(session: AwsSession) -> dict[str, int]:
    reading = ("lambda:Get", "iam:", "sts:", "s3:Create", "cloudwatch-logs:")
    calls = {":".join(operation): count for operation, count in session.counts().calls.items()}
    return {call: count for call, count in calls.items() if not call.startswith(reading)}


def test_a_function_is_made_with_all_that_it_needs(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    name = deploy_function(session, settings, deployment)

    found = described(session, name)
    made = found["Configuration"]
    assert name == settings.function("digits")
    assert (made["MemorySize"], made["Timeout"], made["Runtime"]) == (512, 3, "python3.12")
    assert (made["Handler"], made["Architectures"]) == ("mark.lambda_entry.handler", ["x86_64"])
    assert made["Role"].endswith(f":role/{settings.function_role}")
    assert made["Environment"]["Variables"] == {"MARK_ARTIFACT": artifact_to_json(ARTIFACT), "MARK_THREADS": "1"}
    assert found["Tags"] == {"mark:cluster": settings.cluster, "mark:model": "digits"}
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 7}


@pytest.mark.parametrize("is_lambdas", [False, True])
def test_its_log_carries_the_cluster_s_tag_and_ends_whoever_made_it(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment, is_lambdas: bool
) -> None:
    logs, group = session.client("logs"), f"/aws/lambda/{settings.function('digits')}"
    if is_lambdas:
        logs.create_log_group(logGroupName=group)

    deploy_function(session, settings, deployment)
    deploy_function(session, settings, deployment)

    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 30
    carried = logs.list_tags_for_resource(resourceArn=found["arn"].removesuffix(":*"))["tags"]
    assert carried == {"mark:cluster": settings.cluster, "mark:model": "digits"}


def test_one_that_is_as_it_should_be_is_left_alone(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    deploy_function(session, settings, deployment)
    before = changes(session)

    deploy_function(session, settings, deployment)

    assert changes(session) == before == {"lambda:CreateFunction": 1, "lambda:PutFunctionConcurrency": 1}


@pytest.mark.parametrize(
    ("change", "call"),
    [
        ({"memory_gb": 1.0}, "lambda:UpdateFunctionConfiguration"),
        ({"threads": 2}, "lambda:UpdateFunctionConfiguration"),
        ({"concurrency_max": 8}, "lambda:PutFunctionConcurrency"),
        ({}, "lambda:UpdateFunctionCode"),
    ],
)
def test_only_what_changed_is_changed(
    session: AwsSession, settings: AwsSettings, tmp_path: Path, change: dict[str, Any], call: str
) -> None:
    name = deploy_function(session, settings, zipped(tmp_path, "first"))
    before = changes(session)

    deploy_function(session, settings, replace(zipped(tmp_path, "first" if change else "second"), **change))

    after = changes(session)
    assert {each for each in after if after[each] != before.get(each, 0)} == {call}
    if not change:
        assert described(session, name)["Configuration"]["CodeSha256"] == read_zip(tmp_path / "function.zip").sha256


def test_code_that_is_too_large_for_an_upload_goes_by_way_of_the_clusters_bucket(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_deployment, "DIRECT_BYTES_MAX", 10)
    bucket = settings.bucket(session.account)
    session.client("s3").create_bucket(Bucket=bucket)

    deploy_function(session, settings, deployment)

    stored = session.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"].startswith("models/digits/") for each in stored] == [True]


def test_an_image_is_deployed_as_one(session: AwsSession, settings: AwsSettings) -> None:
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mark:1"
    seen: dict[str, Any] = {}

    def create(params: dict[str, Any], **_: object) -> None:
        seen.update(params)
        raise ClientError({"Error": {"Code": "ServiceException", "Message": "enough"}}, "CreateFunction")

    session.client("lambda").meta.events.register("provide-client-params.lambda.CreateFunction", create)

    with pytest.raises(CloudError, match=r"creating it: .*enough"):
        deploy_function(session, settings, FunctionDeployment(ARTIFACT, uri, 2.0, 30.0, 5))

    assert (seen["PackageType"], seen["Code"], seen["MemorySize"]) == ("Image", {"ImageUri": uri}, 2048)
    assert not {"Handler", "Runtime", "Architectures"} & set(seen)


def test_a_zip_cannot_become_an_image(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    deploy_function(session, settings, deployment)

    with pytest.raises(CloudError, match=r"cannot become an image.*aws lambda delete-function"):
        deploy_function(session, settings, replace(deployment, code="x/y:1"))


def test_what_another_cluster_made_is_neither_changed_nor_deleted(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    deploy_function(session, settings, deployment)
    session.client("lambda").tag_resource(
        Resource=described(session, settings.function("digits"))["Configuration"]["FunctionArn"],
        Tags={"mark:cluster": "other"},
    )

    with pytest.raises(CloudError, match="belongs to another"):
        deploy_function(session, settings, deployment)
    with pytest.raises(CloudError, match="belongs to another"):
        delete_function(session, settings, "digits")


def test_deleting_what_is_gone_is_no_error(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    deploy_function(session, settings, deployment)

    delete_function(session, settings, "digits")
    delete_function(session, settings, "digits")

    assert session.counts().calls["lambda", "DeleteFunction"] == 1


class Scripted:
    """Answers instead of AWS, for what moto never says."""

    def __init__(self, session: AwsSession, operation: str, *answers: Callable[[], None]) -> None:
        self.answers = list(answers)
        self.asked = 0
        session.client("lambda").meta.events.register(f"provide-client-params.lambda.{operation}", self._answer)

    def _answer(self, **_: object) -> None:
        self.asked += 1
        if self.answers:
            self.answers.pop(0)()


def refuses(code: str, message: str) -> Callable[[], None]:
    def refuse() -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "CreateFunction")

    return refuse


def test_a_role_that_is_not_known_everywhere_yet_is_waited_for_with_pauses_that_grow(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    unknown = refuses("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda")
    creates = Scripted(session, "CreateFunction", *[unknown] * 3)
    pauses_s: list[float] = []

    deploy_function(session, settings, deployment, pauses_s.append)

    assert (creates.asked, pauses_s) == (4, [0.5, 1.0, 2.0])


def test_a_role_that_never_comes_is_told(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    unknown = refuses("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda")
    creates = Scripted(session, "CreateFunction", *[unknown] * 99)

    with pytest.raises(CloudError, match=r"creating it: .*cannot be assumed"):
        deploy_function(session, settings, deployment, lambda _: None)

    assert creates.asked < 15


def test_a_quota_of_the_account_is_told_with_the_command_that_raises_it(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    words = "Specified ReservedConcurrentExecutions decreases account's UnreservedConcurrentExecution below its minimum"
    Scripted(session, "PutFunctionConcurrency", refuses("InvalidParameterValueException", words))

    with pytest.raises(QuotaExceeded, match=r"reserve 7 functions.*request-service-quota-increase"):
        deploy_function(session, settings, deployment)


@pytest.mark.parametrize(
    ("states", "words", "pauses"),
    [
        ([("Pending", "InProgress"), ("Active", "InProgress"), ("Active", "Successful")], None, 2),
        ([("Failed", "Successful")], "failed: the image is gone", 0),
        ([("Active", "Failed")], "failed: the image is gone", 0),
        ([("Pending", "Successful")] * 999, "is still Pending", None),
    ],
)
def test_a_function_is_waited_for(
    session: AwsSession,
    settings: AwsSettings,
    deployment: FunctionDeployment,
    states: list[tuple[str, str]],
    words: str | None,
    pauses: int | None,
) -> None:
    waiting = iter(states)

    def told(parsed: dict[str, Any], **_: object) -> None:
        state = next(waiting, None)
        if state is not None:
            parsed.update(State=state[0], LastUpdateStatus=state[1], StateReason="the image is gone")

    session.client("lambda").meta.events.register("after-call.lambda.GetFunctionConfiguration", told)
    paused_s: list[float] = []

    if words is None:
        deploy_function(session, settings, deployment, paused_s.append)
    else:
        with pytest.raises(CloudError, match=words):
            deploy_function(session, settings, deployment, paused_s.append)

    assert len(paused_s) == pauses if pauses is not None else 300 <= sum(paused_s) < 310


def test_a_model_that_the_environment_cannot_describe_is_refused_before_anything_is_made(
    session: AwsSession, settings: AwsSettings, deployment: FunctionDeployment
) -> None:
    inputs = tuple(TensorSpec(f"input_{index}", "FP32", (-1, 2)) for index in range(100))
    large = replace(ARTIFACT, signature=replace(SIGNATURE, inputs=inputs))

    with pytest.raises(ConfigError, match="the environment of a function has 4096"):
        deploy_function(session, settings, replace(deployment, artifact=large))

    assert changes(session) == {}
