"""Lambda functions over HTTP: what AWS answers, what that is taken to mean, and what is not sent again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.lambda_service import LambdaService, Reply

from mark._core import FunctionPrice
from mark.cloud.aws import functions, lambda_calls
from mark.cloud.aws.functions import LambdaFunctions, LambdaFunctionsParams
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.errors import CloudError, ModelFailed, Throttled

PRICE = FunctionPrice(usd_per_request=0.0, usd_per_s=1000.0, quantum_ns=1_000_000)  # a dollar a millisecond
ECHO = """\
from mark.worker.function import FunctionService

service = FunctionService(lambda message: message, 0.0)


def handler(event, context):
    return service.handle(event)
"""
TIMEOUT_S = 20.0


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaService]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")
    with LambdaService(tmp_path, "echo") as service:
        yield service


@pytest.fixture
def session(service: LambdaService) -> AwsSession:
    return AwsSession(AwsSettings("c", "us-east-1", endpoint_url=service.endpoint_url))


@contextlib.asynccontextmanager
async def made(session: AwsSession, **params: Any) -> AsyncIterator[LambdaFunctions]:
    on_lambda = LambdaFunctions(session, "mark-c-m", PRICE, LambdaFunctionsParams(**{"concurrency_max": 4, **params}))
    try:
        yield on_lambda
    finally:
        await on_lambda.close()


def told(**answer: Any) -> Reply:
    return Reply(200, {"cold": False, "ran_ms": 2.5, "instance": "a", **answer})


def answered(message: bytes) -> Reply:
    return told(response=base64.b64encode(message).decode())


REFUSED = Reply(429, {"Type": "User", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"})
REFUSED.headers["X-Amzn-ErrorType"] = "TooManyRequestsException"


def after(service: LambdaService, count: int) -> asyncio.Event:
    """Is set when so many events were sent."""
    sent, loop = asyncio.Event(), asyncio.get_running_loop()

    def look() -> None:
        if len(service.events) >= count:
            loop.call_soon_threadsafe(sent.set)

    service.on_event = look
    return sent


class Clock:
    """Lets the loop's time jump ahead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self.ahead_s = 0.0
        monkeypatch.setattr(self._loop, "time", lambda: self._time() + self.ahead_s)


async def test_what_aws_refuses_is_refused_without_a_call_for_a_pause_that_doubles(
    service: LambdaService, session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "_PAUSE_S", 100.0)
    monkeypatch.setattr(functions, "_PAUSE_MAX_S", 300.0)
    clock = Clock(monkeypatch)
    service.replies = [REFUSED, REFUSED, REFUSED, answered(b"yes"), REFUSED]
    async with made(session) as on_lambda:
        for pause_s in (100.0, 200.0, 300.0):
            with pytest.raises(Throttled, match="ReservedFunctionConcurrentInvocationLimitExceeded"):
                await on_lambda.invoke(b"x", TIMEOUT_S)
            sent = len(service.events)
            clock.ahead_s += pause_s - 20.0
            with pytest.raises(Throttled, match="asked again in"):
                await on_lambda.invoke(b"x", TIMEOUT_S)
            assert len(service.events) == sent
            clock.ahead_s += 20.0

        assert (await on_lambda.invoke(b"x", TIMEOUT_S)).message == b"yes"
        with pytest.raises(Throttled, match="did not answer"):
            await on_lambda.invoke(b"x", TIMEOUT_S)
        clock.ahead_s += 100.0  # as at first
        assert (await on_lambda.invoke(b"x", TIMEOUT_S)).message == b"x"


async def test_refusals_of_what_was_sent_together_are_one(
    service: LambdaService, session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "_PAUSE_S", 100.0)
    clock = Clock(monkeypatch)
    service.replies = [REFUSED] * 4
    async with made(session) as on_lambda:
        ended = await asyncio.gather(*(on_lambda.invoke(b"x", TIMEOUT_S) for _ in range(4)), return_exceptions=True)
        assert all(isinstance(each, Throttled) for each in ended)
        clock.ahead_s += 100.0

        assert (await on_lambda.invoke(b"x", TIMEOUT_S)).message == b"x"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(500, {"Message": "oh"}, {"X-Amzn-ErrorType": "ServiceException"}), "ServiceException"),
        (Reply(404, {}, {"X-Amzn-ErrorType": "ResourceNotFoundException"}), "`mark serve` deploys it"),
        (Reply(403, {}, {"X-Amzn-ErrorType": "AccessDeniedException"}), "`mark aws check`"),
        (Reply(200, {"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 3.00 seconds"},
               {"X-Amz-Function-Error": "Unhandled"}), "Sandbox.Timedout: Task timed out"),
        (Reply(200, {"some": "thing"}), r"as mark's do \(KeyError: 'ran_ms'\); deploy it again"),
        (Reply(200, {"response": "?", "ran_ms": 1, "cold": False, "instance": "a"}), "as mark's do"),
        (told(error={"code": "UNAVAILABLE", "message": "it drains"}), "UNAVAILABLE: it drains"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_an_error_and_is_not_sent_again(
    service: LambdaService, session: AwsSession, reply: Reply, words: str
) -> None:
    service.replies = [reply]
    async with made(session) as on_lambda:
        with pytest.raises(CloudError, match=words):
            await on_lambda.invoke(b"x", TIMEOUT_S)

        assert session.counts().calls == {("lambda", "Invoke"): 1}
        assert len(service.events) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (told(error={"code": "INVALID_ARGUMENT", "message": "inputs[0]: no"}), r"inputs\[0\]: no"),
        (Reply(200, {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "payload size exceeded"},
               {"X-Amz-Function-Error": "Unhandled"}), "exceeded; send fewer rows"),
    ],
)  # fmt: skip
async def test_what_the_model_refuses_is_its_answer(
    service: LambdaService, session: AwsSession, reply: Reply, words: str
) -> None:
    service.replies = [reply]
    async with made(session) as on_lambda:
        with pytest.raises(ModelFailed, match=words):
            await on_lambda.invoke(b"x", TIMEOUT_S)


async def test_a_call_is_billed_in_whole_milliseconds_with_the_start_of_a_cold_one(
    service: LambdaService, session: AwsSession
) -> None:
    service.replies = [answered(b""), told(response="", cold=True, start_ms=100.2)]
    async with made(session) as on_lambda:
        warm, cold = [await on_lambda.invoke(b"", TIMEOUT_S) for _ in range(2)]

        assert (round(warm.usd, 6), warm.was_cold) == (3.0, False)
        assert (round(cold.usd, 6), cold.was_cold) == (103.0, True)
        assert (round(on_lambda.use().usd, 6), on_lambda.use().cold_starts) == (106.0, 1)


async def test_a_request_that_no_event_can_carry_is_not_sent(
    service: LambdaService, session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_calls, "EVENT_BYTES_MAX", 1000)
    async with made(session) as on_lambda:
        with pytest.raises(CloudError, match="takes 1015 as an event, and AWS Lambda carries 1000; send fewer rows"):
            await on_lambda.invoke(bytes(749), TIMEOUT_S)

        assert service.events == []
        assert on_lambda.use().usd == 0.0
        assert (await on_lambda.invoke(bytes(700), TIMEOUT_S)).message == bytes(700)


async def test_what_nobody_waits_for_any_more_is_billed_all_the_same(
    service: LambdaService, session: AwsSession
) -> None:
    async with made(session, concurrency_max=1) as on_lambda:
        waiting = asyncio.ensure_future(on_lambda.invoke(b"x", TIMEOUT_S))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(Throttled, match="concurrency_max"):  # for it is still at work
            await on_lambda.invoke(b"x", TIMEOUT_S)
    assert on_lambda.use().usd >= 1.0
    assert (on_lambda.use().alive, on_lambda.use().warm) == (0, 0)


async def test_one_that_does_not_answer_in_time_is_taken_to_be_billed_until_then(
    service: LambdaService, session: AwsSession, tmp_path: Path
) -> None:
    (tmp_path / "echo.py").write_text("import time\ntime.sleep(3600)\n", encoding="utf-8")
    async with made(session) as on_lambda:
        with pytest.raises(CloudError, match="did not answer"):
            await on_lambda.invoke(b"x", 0.3)
    assert 300.0 <= on_lambda.use().usd < 5000.0


async def test_as_many_as_are_kept_warm_are_pinged_at_once_and_billed_what_their_log_says(
    service: LambdaService, session: AwsSession
) -> None:
    pinged = after(service, 4)
    async with made(session, keep_warm=2, ping_s=0.2) as on_lambda:
        await on_lambda.start()
        await on_lambda.start()
        await asyncio.wait_for(pinged.wait(), TIMEOUT_S)
        use = on_lambda.use()
    sent = len(service.events)

    assert (use.warm, use.cold_starts) == (2, 2)  # two rounds, and each found both
    assert service.log_types == ["Tail"] * sent
    assert service.events[0] == {"ping": True, "hold_ms": 100.0}
    assert on_lambda.use().usd >= 4 * 107  # the log of each says seven more than it took
    assert len(service.events) == sent


async def test_a_function_that_was_pinged_is_warm_for_a_request(service: LambdaService, session: AwsSession) -> None:
    async with made(session, keep_warm=1, ping_s=1000.0) as on_lambda:
        await on_lambda.start()
        while on_lambda.use().warm == 0:  # noqa: ASYNC110 - that a ping was answered is told to nobody
            await asyncio.sleep(0.01)

        assert not (await on_lambda.invoke(b"x", TIMEOUT_S)).was_cold


async def test_a_ping_that_fails_is_told_and_the_next_round_comes(
    service: LambdaService, session: AwsSession, caplog: pytest.LogCaptureFixture
) -> None:
    pinged = after(service, 2)
    service.replies = [Reply(500, {}, {"X-Amzn-ErrorType": "ServiceException"})]
    async with made(session, keep_warm=1, ping_s=0.01) as on_lambda:
        await on_lambda.start()
        await asyncio.wait_for(pinged.wait(), TIMEOUT_S)

    assert "a function was not kept warm: function mark-c-m did not answer" in caplog.text


async def test_an_endpoint_that_nobody_listens_at_is_an_error_that_costs_nothing() -> None:
    session = AwsSession(AwsSettings("c", "us-east-1", endpoint_url="http://127.0.0.1:1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "none")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        async with made(session) as on_lambda:
            with pytest.raises(CloudError, match="did not answer"):
                await on_lambda.invoke(b"x", TIMEOUT_S)
            assert on_lambda.use().usd == 0.0


@pytest.mark.parametrize("params", [{"concurrency_max": 0}, {"concurrency_max": 1, "keep_warm": 2}, {"ping_s": 0.0}])
def test_numbers_that_make_no_sense_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs"):
        LambdaFunctionsParams(**{"concurrency_max": 1, **params})
