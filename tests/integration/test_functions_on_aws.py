"""From a configuration to a burst on AWS Lambda, on the fake AWS: deployed, measured, used, billed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mark._core import Outcome, write_infer_request
from mark.app.aws import aws_settings
from mark.app.router import Router
from mark.app.serverless import burst_loop, deploy_functions, measure_missing_latencies
from mark.cloud.aws import function_deployment
from mark.cloud.aws.cloud import AwsCloud
from mark.cloud.aws.function_package import build_zip
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.policy import policy
from mark.cloud.aws.session import AwsSession
from mark.config import Config, parse_config
from mark.errors import CloudError, ModelFailed, Overloaded, WorkerError
from mark.live.burst_loop import BurstLoop, GivenUp
from mark.live.clock import SteadyClock
from mark.protocol import messages
from mark.testing.aws import FakeAws

MODEL = """\
def make():
    def run(inputs):
        if inputs["x"][0, 0] == 13:
            raise ValueError("no thirteen")
        return {"y": inputs["x"] * 2}

    return run
"""
CONFIG = """\
cluster: shop
provider: aws
aws: {{region: us-east-1, endpoint_url: '{endpoint_url}'}}
offerings: [{{name: cpu, types: [c5.large]}}]
models:
  - name: m
    runtime: python
    source: doubling:make
    inputs: [{{name: x, datatype: FP32, shape: [-1, 2]}}]
    outputs: [{{name: y, datatype: FP32, shape: [-1, 2]}}]
    slo: {{rt_max_ms: 5000}}
    serverless:
      price_usd_per_gb_s: 0.0000166667
      price_usd_per_request: 0.0000002
      memory_gb: 2
      concurrency_max: 2
      keep_warm: 1
"""
TRUST = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with FakeAws() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def config(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    (tmp_path / "doubling.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = parse_config(CONFIG.format(endpoint_url=aws.endpoint_url))
    settings = aws_settings(config)
    session = AwsSession(settings)
    session.client("iam").create_role(RoleName=settings.function_role, AssumeRolePolicyDocument=TRUST)
    session.client("iam").put_role_policy(
        RoleName=settings.function_role,
        PolicyName="mark",
        PolicyDocument=json.dumps(policy("function", settings, session.account)),
    )
    session.client("s3").create_bucket(Bucket=settings.bucket(session.account))
    aws.allow(policy("router", settings, session.account))
    return config


@pytest.fixture
async def bursts(config: Config) -> AsyncIterator[BurstLoop]:
    await deploy_functions(config)
    measured = await measure_missing_latencies(config)
    serverless = measured.models[0].serverless
    assert serverless is not None
    assert 0 < (serverless.latency_ms or 0) < 5000
    loop = burst_loop(measured, measured.models[0], SteadyClock())
    assert loop is not None
    yield loop
    await loop.close()


def given_up(value: float) -> GivenUp:
    array = np.full((1, 2), value, np.float32)
    message = write_infer_request("m", "", "7", [("x", "FP32", (1, 2), array)], [])
    now_ns = SteadyClock().now_ns()
    return GivenUp(message, now_ns, now_ns + 5_000_000_000, Outcome.PREDICTED_MISS, Overloaded("full"))


async def test_a_burst_is_answered_by_the_function_that_was_deployed_and_the_bill_is_awss(
    aws: FakeAws, bursts: BurstLoop
) -> None:
    before_usd = aws.record().usd
    answers = [await bursts.answer(given_up(float(value))) for value in range(10)]
    with pytest.raises(ModelFailed, match="no thirteen"):
        await bursts.answer(given_up(13.0))

    response = messages.ModelInferResponse.FromString(answers[3])
    np.testing.assert_array_equal(np.frombuffer(response.raw_output_contents[0], np.float32), [6, 6])
    assert bursts.use().usd > 11 * 0.0000002
    assert bursts.use().usd == pytest.approx(aws.record().usd - before_usd, abs=0.0001)
    assert aws.cold_starts == {"mark-shop-m": 1}


async def test_what_is_kept_warm_is_started_before_it_is_needed_and_nothing_runs_after_the_end(
    aws: FakeAws, bursts: BurstLoop
) -> None:
    await bursts.start()
    while bursts.use().warm == 0:  # noqa: ASYNC110 - that a ping was answered is told to nobody
        await asyncio.sleep(0.01)
    await bursts.close()

    assert bursts.use().alive == 0
    assert aws.calls["lambda:Invoke"] == 22 + 1


async def test_deploying_again_changes_nothing(aws: FakeAws, config: Config) -> None:
    await deploy_functions(config)
    made = {name: count for name, count in aws.calls.items() if name.startswith("lambda:") and "Get" not in name}

    await deploy_functions(config)

    assert made == {"lambda:CreateFunction": 1, "lambda:PutFunctionConcurrency": 1}
    assert {name: aws.calls[name] for name in made} == made


async def test_the_policy_of_a_router_is_enough_and_what_it_lacks_is_told(aws: FakeAws, config: Config) -> None:
    document = policy("router", aws_settings(config))
    calling = [each for each in document["Statement"] if each["Sid"] != "RunFunctions"]

    aws.allow({**document, "Statement": calling})
    await deploy_functions(config)
    with pytest.raises(CloudError, match="not allowed"):
        await measure_missing_latencies(config)
    aws.allow(document)
    await measure_missing_latencies(config)


async def test_a_deployment_that_is_broken_off_ends_and_the_next_one_finishes_it(
    aws: FakeAws, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = asyncio.Event()
    loop, until_ready = asyncio.get_running_loop(), function_deployment._Deploying._until_ready

    def pending(self: function_deployment._Deploying) -> None:
        loop.call_soon_threadsafe(looked.set)
        self._sleep(3600.0)

    monkeypatch.setattr(function_deployment._Deploying, "_until_ready", pending)
    loop.set_default_executor(ThreadPoolExecutor(1))
    deploying = asyncio.ensure_future(deploy_functions(config))
    await asyncio.wait_for(looked.wait(), 30.0)
    deploying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deploying
    await asyncio.wait_for(loop.run_in_executor(None, lambda: None), 10.0)  # so its thread is free
    monkeypatch.setattr(function_deployment._Deploying, "_until_ready", until_ready)

    await deploy_functions(config)

    assert aws.calls["lambda:CreateFunction"] == aws.calls["lambda:PutFunctionConcurrency"] == 1


async def test_a_zip_that_is_given_fetches_a_later_model_from_the_bucket(
    aws: FakeAws, config: Config, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 2]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    path, package = tmp_path / "m.onnx", tmp_path / "m.zip"
    path.write_bytes(b"an earlier model")
    section = f"package: {package}, price_usd_per_gb_s: 0.1"
    text = CONFIG.format(endpoint_url=aws.endpoint_url).replace("runtime: python", "runtime: onnx")
    text = text.replace("doubling:make", str(path)).partition("    serverless:")[0] + f"    serverless: {{{section}}}\n"
    changed = parse_config(text)
    artifact = changed.models[0].artifact()
    assert artifact is not None
    site = tmp_path / "site" / "mark"
    site.mkdir(parents=True)
    (site / "_core.cpython-312-x86_64-linux-gnu.so").touch()
    build_zip(artifact, package, site=site.parent)
    onnx.save(model, str(path))

    await deploy_functions(changed)
    measured = await measure_missing_latencies(changed)

    assert measured.models[0].serverless is not None
    assert measured.models[0].serverless.latency_ms is not None


@pytest.fixture
def alone(aws: FakeAws, config: Config) -> Config:
    """What a router needs beside its functions; it rents no instance, and waits for none."""
    settings = aws_settings(config)
    session = AwsSession(settings)
    aws.allow(None)
    session.client("sqs").create_queue(QueueName=settings.queue)
    aws.allow(policy("router", settings, session.account))
    model = config.models[0]
    serverless = None if model.serverless is None else model.serverless.model_copy(update={"keep_warm": 0})
    update = {
        "serverless": serverless,
        "profiles": {"cpu": [(1, 5.0)]},
        "controller": model.controller.model_copy(update={"min_instances": 0}),
    }
    server = config.server.model_copy(update={"address": "127.0.0.1:0"})
    return config.model_copy(update={"models": [model.model_copy(update=update)], "server": server})


async def test_what_measuring_a_function_costs_is_on_the_bill(aws: FakeAws, alone: Config) -> None:
    router = Router(alone)

    await router.start()
    await router.stop()

    assert aws.calls["lambda:Invoke"] == 22
    assert router.spent_usd() >= 22 * 0.0000002
    assert router.spent_usd() == pytest.approx(aws.record().usd, abs=0.0001)  # the way there and back is not measured


async def test_what_measuring_cost_before_it_failed_is_told(aws: FakeAws, alone: Config) -> None:
    await deploy_functions(alone)
    billed: list[float] = []

    aws.fail("lambda:Invoke", "ServiceException", times=None)
    with pytest.raises(CloudError):
        await measure_missing_latencies(alone, bill=lambda _, usd: billed.append(usd))

    assert billed == [0.0]


def following(config: Config) -> tuple[Router, Lease]:
    """A router that waits, in a hurry, for the lease of another, which is held."""
    settings = aws_settings(config)
    session = AwsSession(settings)
    # Until it is released: however long a test takes, it must not run out.
    other = Lease(lambda: session.client("s3"), lambda: settings.bucket(session.account), lease_s=60.0)
    other.take()
    router = Router(config)
    assert isinstance(router._cloud, AwsCloud)
    router._cloud._lease._lease_s = 0.6
    return router, other


async def has_waited(aws: FakeAws, other: Lease, since: str) -> None:
    """Return once the router has asked for the lease, which stays the other one's, ten times since a first call."""
    until = None
    while until is None or aws.calls["s3:GetObject"] < until:
        await asyncio.to_thread(other.renew)
        await asyncio.sleep(0.1)
        if until is None and aws.calls[since]:
            until = aws.calls["s3:GetObject"] + 10


async def test_a_router_that_finds_no_function_waits_for_the_lead_to_deploy_it(aws: FakeAws, alone: Config) -> None:
    router, other = await asyncio.to_thread(following, alone)

    starting = asyncio.ensure_future(router.start())
    await has_waited(aws, other, since="lambda:GetFunction")
    assert {name for name in aws.calls if name.startswith("lambda:")} == {"lambda:GetFunction"}
    assert not starting.done()
    await asyncio.to_thread(other.release)
    await starting

    assert aws.calls["lambda:CreateFunction"] == 1
    await router.stop()


async def test_a_router_that_follows_uses_the_function_as_it_is_and_deploys_its_own_once_it_leads(
    aws: FakeAws, alone: Config
) -> None:
    await deploy_functions(alone)
    changed = alone.models[0].serverless
    assert changed is not None
    update = {"serverless": changed.model_copy(update={"memory_gb": 3.0})}
    grown = alone.model_copy(update={"models": [alone.models[0].model_copy(update=update)]})
    router, other = await asyncio.to_thread(following, grown)

    await router.start()

    assert aws.calls["lambda:Invoke"] == 22
    assert aws.calls["lambda:UpdateFunctionConfiguration"] == 0
    await asyncio.to_thread(other.release)
    for _ in range(800):
        if aws.calls["lambda:UpdateFunctionConfiguration"]:
            break
        await asyncio.sleep(0.05)  # that it deploys later is told to nobody
    assert aws.calls["lambda:UpdateFunctionConfiguration"] == 1
    await router.stop()


async def test_a_router_that_follows_and_finds_nothing_that_serves_waits_until_it_leads(
    aws: FakeAws, alone: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mark.app.router._READY_TIMEOUT_S", 0.2)
    model = alone.models[0]
    controller = model.controller.model_copy(update={"min_instances": 1})
    models = [model.model_copy(update={"controller": controller, "serverless": None})]
    offerings = [each.model_copy(update={"boot_s": 0.0}) for each in alone.offerings]
    router, other = await asyncio.to_thread(
        following, alone.model_copy(update={"models": models, "offerings": offerings})
    )

    starting = asyncio.ensure_future(router.start())
    before = aws.calls["s3:GetObject"]
    while aws.calls["s3:GetObject"] < before + 10:
        await asyncio.to_thread(other.renew)
        await asyncio.sleep(0.1)
    assert not starting.done()
    await asyncio.to_thread(other.release)

    with pytest.raises(WorkerError, match="not ready after 0 s: model m: no worker"):
        await asyncio.wait_for(starting, 20.0)
    await router.stop()


async def test_a_router_that_leads_no_more_changes_no_function(aws: FakeAws, alone: Config) -> None:
    class Follower:
        def leads(self) -> bool:
            return False

        def check_leads(self) -> None:
            raise CloudError("another one leads")

    cloud: Any = Follower()
    with pytest.raises(CloudError, match="another one leads"):
        await deploy_functions(alone, cloud)

    assert aws.calls["lambda:CreateFunction"] == 0
    await deploy_functions(alone)
    changed = alone.models[0].serverless
    assert changed is not None
    update = {"serverless": changed.model_copy(update={"memory_gb": 3.0})}
    grown = alone.model_copy(update={"models": [alone.models[0].model_copy(update=update)]})
    with pytest.raises(CloudError, match="another one leads"):
        await deploy_functions(grown, cloud)
    assert aws.calls["lambda:UpdateFunctionConfiguration"] == 0
