"""Functions on the fake AWS: real processes that start cold, are reused, fail, and are at most so many."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from integration.fake_aws_world import client, wait_until

from mark.testing.aws import FakeAws, FakeAwsParams

CODE = """
import os, time, threading
from pathlib import Path
def handler(event, context):
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(3)
    if "wait_for" in event:
        while not Path(event["wait_for"]).exists():
            time.sleep(0.01)
    if "size" in event:
        return "x" * event["size"]
    print("printed")
    return {"pid": os.getpid(), "said": os.environ["SAID"], "name": context.function_name, "event": event}
"""


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws(FakeAwsParams(account_concurrency=8)) as running:
        yield running


def zipped(code: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("work.py", code)
    return packed.getvalue()


def create(aws: FakeAws, code: str = CODE, **more: Any) -> Any:
    role = client(aws, "iam").create_role(
        RoleName="function", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
    )["Role"]["Arn"]
    functions = client(aws, "lambda")
    settings = {"Handler": "work.handler", "Timeout": 30, "MemorySize": 1024, **more}
    functions.create_function(
        FunctionName="work",
        Runtime="python3.11",
        Role=role,
        Code={"ZipFile": zipped(code)},
        Environment={"Variables": {"SAID": "yes"}},
        **settings,
    )
    return functions


def invoke(functions: Any, event: object, **more: Any) -> tuple[Any, Any]:
    answer = functions.invoke(FunctionName="work", Payload=json.dumps(event).encode(), **more)
    return json.loads(answer["Payload"].read()), answer


def test_an_environment_is_used_again_and_billed(aws: FakeAws) -> None:
    functions = create(aws)
    first, _ = invoke(functions, {"a": 1})
    second, answer = invoke(functions, {"a": 2}, LogType="Tail")
    assert first == {"pid": second["pid"], "said": "yes", "name": "work", "event": {"a": 1}}
    assert aws.cold_starts == {"work": 1}
    assert "Billed Duration" in base64.b64decode(answer["LogResult"]).decode()
    [line] = aws.record().lines
    assert line.usd == pytest.approx(line.seconds * 0.0000166667 + 2 * 0.0000002)


def test_more_at_once_start_more_and_too_many_are_refused(aws: FakeAws, tmp_path: Any) -> None:
    functions = create(aws)
    functions.put_function_concurrency(FunctionName="work", ReservedConcurrentExecutions=2)
    gate = tmp_path / "gate"
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(invoke, functions, {"wait_for": str(gate)}) for _ in range(2)]
        wait_until(lambda: aws.environments("work") == 2, "two environments")
        with pytest.raises(ClientError) as failed:
            invoke(functions, {})
        gate.touch()
        pids = {done.result()[0]["pid"] for done in waiting}
    assert len(pids) == 2
    response: Any = failed.value.response
    assert response["Error"]["Code"] == "TooManyRequestsException"
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert invoke(functions, {})[0]["pid"] in pids


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"raise": "no"}, "ValueError"),
        ({"exit": 1}, "Runtime.ExitError"),
        ({"wait_for": "/nowhere"}, "Sandbox.Timedout"),
        ({"size": 7_000_000}, "Function.ResponseSizeTooLarge"),
    ],
)
def test_failures_are_answers(aws: FakeAws, event: object, kind: str) -> None:
    functions = create(aws, Timeout=1 if kind == "Sandbox.Timedout" else 30)
    payload, answer = invoke(functions, event)
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert payload["errorType"] == kind
    assert invoke(functions, {})[0]["said"] == "yes"


def test_a_handler_that_cannot_be_loaded_is_told(aws: FakeAws) -> None:
    payload, answer = invoke(create(aws, "import nothing_of_that_name"), {})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert aws.environments("work") == 0


def test_what_is_unknown_or_no_json_is_refused(aws: FakeAws) -> None:
    functions = client(aws, "lambda")
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        invoke(functions, {})
    with pytest.raises(functions.exceptions.InvalidRequestContentException):
        create(aws).invoke(FunctionName="work", Payload=b"{")


def test_new_code_takes_a_new_environment(aws: FakeAws) -> None:
    functions = create(aws)
    before, _ = invoke(functions, {})
    functions.update_function_code(FunctionName="work", ZipFile=zipped(CODE.replace('"yes"', '"no"') + "\n"))
    after, _ = invoke(functions, {})
    assert before["pid"] != after["pid"]
    assert aws.environments("work") == 1


def test_events_and_dry_runs_are_accepted(aws: FakeAws) -> None:
    functions = create(aws)
    assert functions.invoke(FunctionName="work", InvocationType="DryRun")["StatusCode"] == 204
    assert functions.invoke(FunctionName="work", InvocationType="Event", Payload=b"{}")["StatusCode"] == 202
    wait_until(lambda: aws.record().lines, "the end of the event")
    assert functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 8


def test_idle_environments_end() -> None:
    with FakeAws(FakeAwsParams(function_idle_s=0.05, cold_start_s=0.01)) as aws:
        invoke(create(aws), {})
        wait_until(lambda: aws.environments("work") == 0, "the end of the idle one")
