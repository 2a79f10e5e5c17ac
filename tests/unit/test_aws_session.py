"""How often AWS is asked and how often it answers with a fault: counted for each attempt, by operation and code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, EndpointConnectionError

from mark.cloud.aws.functions import LambdaFunctions, LambdaFunctionsParams
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.domain.api_counts import ApiCounts

SETTINGS = AwsSettings("test", "us-east-1", (), endpoint_url="http://127.0.0.1:9")
GOOD = b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"


class _Body:
    def __init__(self, body: bytes) -> None:
        self._left = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()

    def read(self, *_: object) -> bytes:
        left, self._left = self._left, b""
        return left


def fault(status: int, code: str) -> tuple[int, bytes]:
    xml = f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
    return status, xml.encode()


class Answers:
    """What AWS answers, one after the other, in place of the network."""

    def __init__(self, session: AwsSession) -> None:
        self.waiting: list[tuple[int, bytes] | Exception] = []
        session._session._session.get_component("event_emitter").register_last("before-send", self._answer)

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        answer = self.waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return AWSResponse(request.url, answer[0], {"content-type": "text/xml"}, _Body(answer[1]))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> AwsSession:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    return AwsSession(SETTINGS)


def test_a_call_that_is_answered_is_no_fault(session: AwsSession) -> None:
    Answers(session).waiting = [(200, GOOD)]

    session.client("ec2").describe_instances()

    assert session.counts() == ApiCounts({("ec2", "DescribeInstances"): 1}, {})


def test_what_is_sent_again_by_itself_is_counted_each_time_with_its_fault(session: AwsSession) -> None:
    lost = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    Answers(session).waiting = [fault(503, "RequestLimitExceeded"), lost, (200, GOOD)]

    session.client("ec2").describe_instances()

    counts = session.counts()
    assert counts.calls == {("ec2", "DescribeInstances"): 3}
    assert counts.faults == {
        ("ec2", "DescribeInstances", "RequestLimitExceeded"): 1,
        ("ec2", "DescribeInstances", "EndpointConnectionError"): 1,
    }


def test_an_error_that_is_told_is_a_fault_by_its_code(session: AwsSession) -> None:
    Answers(session).waiting = [fault(400, "InvalidInstanceID.NotFound")]

    with pytest.raises(ClientError):
        session.client("ec2").describe_instances(InstanceIds=["i-1"])

    assert session.counts().faults == {("ec2", "DescribeInstances", "InvalidInstanceID.NotFound"): 1}


async def test_functions_count_what_their_own_session_calls(session: AwsSession) -> None:
    functions = LambdaFunctions(session, "f", None, LambdaFunctionsParams(1))  # type: ignore[arg-type]
    Answers(session).waiting = [(200, GOOD)]
    session.client("ec2").describe_instances()

    assert functions.api_counts().calls == {("ec2", "DescribeInstances"): 1}
    await functions.close()


def test_counts_of_two_sessions_add_up() -> None:
    one = ApiCounts({("ec2", "RunInstances"): 1}, {("ec2", "RunInstances", "Throttling"): 1})
    other = ApiCounts({("ec2", "RunInstances"): 2, ("lambda", "Invoke"): 5}, {})

    both = one + other

    assert both.calls == {("ec2", "RunInstances"): 3, ("lambda", "Invoke"): 5}
    assert both.faults == {("ec2", "RunInstances", "Throttling"): 1}
