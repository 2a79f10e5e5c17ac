"""What serverless functions promise, asked of the fake ones and of real processes alike."""

from __future__ import annotations

import asyncio
import io
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from mark._core import FunctionPrice
from mark.cloud.aws.functions import LambdaFunctions, LambdaFunctionsParams
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.cloud.local_functions import LocalFunctions, LocalFunctionsParams
from mark.errors import CloudError, ModelFailed, Throttled
from mark.live.clock import SteadyClock
from mark.ports import Functions
from mark.testing import FakeFunctions
from mark.testing.aws import FakeAws, FakeAwsParams

PRICE = FunctionPrice(usd_per_request=1.0, usd_per_s=1000.0, quantum_ns=1_000_000)
IDLE_S = 2.0  # no pause between two requests of a test is as long
SLOW_S = 0.25
TIMEOUT_S = 20.0

# A function that echoes; some messages have a meaning.
FUNCTION = textwrap.dedent(
    f"""
    import os, sys, time
    from concurrent import futures
    import grpc

    def infer(request, context):
        if request == b"raise":
            context.abort(grpc.StatusCode.INTERNAL, "the model raised")
        if request == b"end":
            os._exit(3)
        if request == b"hang":
            time.sleep(3600)
        if request == b"slow":
            time.sleep({SLOW_S})
        return request

    handlers = {{
        "ServerReady": grpc.unary_unary_rpc_method_handler(lambda request, context: bytes([8, 1])),
        "ModelInfer": grpc.unary_unary_rpc_method_handler(infer),
    }}
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)]
    )
    server.add_insecure_port(sys.argv[1])
    server.start()
    print("worker: serving m at", sys.argv[1], flush=True)
    sys.stdin.read()
    """
)

# The same one as AWS Lambda runs it, with mark's own envelope.
LAMBDA_FUNCTION = textwrap.dedent(
    f"""
    import os, time
    from mark.errors import ModelFailed
    from mark.worker.function import FunctionService, process_age_s

    def infer(request):
        if request == b"raise":
            raise ModelFailed("the model raised")
        if request == b"end":
            os._exit(3)
        if request == b"hang":
            time.sleep(3600)
        if request == b"slow":
            time.sleep({SLOW_S})
        return request

    service = FunctionService(infer, process_age_s())

    def handler(event, context):
        return service.handle(event)
    """
)


def create_function(session: AwsSession, name: str, script: Path) -> None:
    trust = '{"Version": "2012-10-17", "Statement": []}'
    role = session.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(script, script.name)
    session.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=role,
        Handler=f"{script.stem}.handler",
        Code={"ZipFile": packed.getvalue()},
        Timeout=30,
    )


class World:
    """Functions, and how they are made to fail."""

    def __init__(self, functions: Functions, fake: FakeFunctions | None) -> None:
        self.functions = functions
        self._fake = fake

    async def ask(self, message: bytes = b"x", timeout_s: float = TIMEOUT_S) -> bytes:
        if self._fake is not None and message == b"raise":
            self._fake.fail_next(ModelFailed("the model raised"))
        if self._fake is not None and message == b"end":
            self._fake.fail_next(CloudError("a function did not answer: it ended"))
        return (await self.functions.invoke(message, timeout_s)).message

    async def until(self, holds: Callable[[], bool]) -> None:
        async def look() -> None:
            while not holds():  # noqa: ASYNC110 - that a process has ended is told to nobody here
                await asyncio.sleep(0.02)

        await asyncio.wait_for(look(), 60.0)


@pytest.fixture(params=["fake", "local", "lambda"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    if request.param == "lambda":
        (tmp_path / "echoing.py").write_text(LAMBDA_FUNCTION, encoding="utf-8")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        with FakeAws(FakeAwsParams(function_idle_s=IDLE_S)) as aws:
            settings = AwsSettings("c", "us-east-1", endpoint_url=aws.endpoint_url)
            session = AwsSession(settings)
            create_function(session, settings.function("m"), tmp_path / "echoing.py")
            on_lambda = LambdaFunctions(session, settings.function("m"), PRICE, LambdaFunctionsParams(2, idle_s=IDLE_S))
            yield World(on_lambda, None)
            await on_lambda.close()
        assert not [each for each in threading.enumerate() if each.name.startswith("mark-lambda")]
        return
    if request.param == "fake":
        fake = FakeFunctions(PRICE, SteadyClock(), latency_s=SLOW_S, cold_start_s=0.1, concurrency_max=2)
        fake.idle_s = IDLE_S
        yield World(fake, fake)
        await fake.close()
        return
    script = tmp_path / "function.py"
    script.write_text(FUNCTION, encoding="utf-8")
    params = LocalFunctionsParams(concurrency_max=2, idle_s=IDLE_S)
    functions = LocalFunctions(lambda address: [sys.executable, str(script), address], PRICE, params)
    yield World(functions, None)
    await functions.close(0.0)
    assert not [child for child in psutil.Process().children() if str(script) in child.cmdline()]


async def test_the_first_request_starts_a_function_and_the_next_one_finds_it_warm(world: World) -> None:
    first = await world.functions.invoke(b"one", TIMEOUT_S)
    second = await world.functions.invoke(b"two", TIMEOUT_S)

    assert (first.message, first.was_cold) == (b"one", True)
    assert (second.message, second.was_cold) == (b"two", False)
    assert (world.functions.use().alive, world.functions.use().cold_starts) == (1, 1)


async def test_a_request_and_its_duration_are_billed_and_the_start_of_a_cold_one(world: World) -> None:
    assert world.functions.use().usd == 0.0
    began_s = time.monotonic()
    cold = await world.functions.invoke(b"slow", TIMEOUT_S)
    cold_s = time.monotonic() - began_s
    began_s = time.monotonic()
    warm = await world.functions.invoke(b"slow", TIMEOUT_S)
    warm_s = time.monotonic() - began_s

    assert SLOW_S * 1000 <= warm.usd - 1.0 <= warm_s * 1000 + 1.0
    assert SLOW_S * 1000 < cold.usd - 1.0 <= cold_s * 1000 + 1.0
    assert world.functions.use().usd == pytest.approx(cold.usd + warm.usd)


async def test_each_serves_one_at_a_time_and_there_are_only_so_many(world: World) -> None:
    asking = [asyncio.ensure_future(world.ask(b"slow")) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Throttled, match="concurrency_max"):
        await world.ask()

    assert await asyncio.gather(*asking) == [b"slow", b"slow"]
    assert world.functions.use().cold_starts == 2
    assert await world.ask(b"again") == b"again"


async def test_one_that_is_idle_for_long_ends(world: World) -> None:
    await world.ask()
    assert world.functions.use().alive == 1

    await world.until(lambda: world.functions.use().alive == 0)

    assert (await world.functions.invoke(b"x", TIMEOUT_S)).was_cold


async def test_what_the_model_raises_is_told_and_leaves_the_function_warm(world: World) -> None:
    await world.ask()
    before_usd = world.functions.use().usd

    with pytest.raises(ModelFailed, match="the model raised"):
        await world.ask(b"raise")

    assert world.functions.use().usd > before_usd
    assert not (await world.functions.invoke(b"x", TIMEOUT_S)).was_cold


async def test_a_function_that_ends_is_an_error_and_the_next_request_gets_another(world: World) -> None:
    await world.ask()

    with pytest.raises(CloudError, match="did not answer"):
        await world.ask(b"end")

    await world.until(lambda: world.functions.use().alive == 0)
    assert (await world.functions.invoke(b"x", TIMEOUT_S)).was_cold


async def test_no_answer_in_time_is_an_error_and_takes_no_longer(world: World) -> None:
    await world.ask()
    began_s = time.monotonic()

    with pytest.raises(CloudError, match="did not answer"):
        await world.ask(b"hang", timeout_s=0.1)

    assert time.monotonic() - began_s < 5.0
    assert await world.ask(b"next") == b"next"


async def test_a_start_that_takes_too_long_is_an_error(world: World) -> None:
    with pytest.raises(CloudError, match="did not"):
        await world.ask(timeout_s=0.01)


async def test_closing_ends_everything_and_refuses_more(world: World) -> None:
    await world.ask()

    await world.functions.close()
    await world.functions.close()

    assert world.functions.use().alive == 0
    with pytest.raises(CloudError, match="closed"):
        await world.ask()
