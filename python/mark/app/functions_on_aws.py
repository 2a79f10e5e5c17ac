"""A model's functions on AWS Lambda: deployed, measured, and used."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mark._core import FunctionPrice
from mark.app.aws import aws_settings
from mark.cloud.aws.function_deployment import FunctionDeployment, can_be_called, deploy_function
from mark.cloud.aws.function_package import FunctionPackage, build_zip, read_zip
from mark.cloud.aws.functions import LambdaFunctions, LambdaFunctionsParams
from mark.cloud.aws.models import ModelStore
from mark.cloud.aws.package_contents import files_of_model
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings
from mark.config import Config, ServerlessConfig
from mark.domain.artifact import ModelArtifact
from mark.errors import CloudError
from mark.worker.example_inputs import example_request
from mark.worker.measuring import measurement_of

__all__ = ["deploy", "is_there", "lambda_functions", "measure_latency_ms"]

_WARM_UP_RUNS = 2
_RUNS = 20
_COLD_TIMEOUT_S = 120.0  # the first call starts the function; a large image takes long


def lambda_functions(config: Config, settings: ServerlessConfig, model: str, price: FunctionPrice) -> LambdaFunctions:
    """The way to the function of a model that is deployed, inside a running event loop."""
    aws = aws_settings(config)
    params = LambdaFunctionsParams(
        concurrency_max=settings.concurrency_max,
        idle_s=settings.idle_s,
        keep_warm=settings.keep_warm,
        ping_s=settings.ping_s,
    )
    return LambdaFunctions(AwsSession(aws), aws.function(model), price, params)


async def deploy(
    config: Config, settings: ServerlessConfig, artifact: ModelArtifact, check_leads: Callable[[], None]
) -> None:
    """Make the function of a model what the configuration says, and return once it can be called.

    `check_leads` raises a CloudError when another router leads the cluster by now: it is not changed any more then.
    When cancelled, its thread ends before its next look at AWS; the next deployment finishes what was begun.

    Raises:
        ConfigError: its code cannot be made.
        CloudError: AWS does not do it.
    """
    stopped = threading.Event()

    def sleep(pause_s: float) -> None:
        if stopped.wait(pause_s):
            raise CloudError("the deployment was broken off")

    try:
        await asyncio.to_thread(_deploy, config, settings, artifact, (sleep, check_leads))
    finally:
        stopped.set()


async def is_there(config: Config, model: str) -> bool:
    """Whether the function of a model can be called, of whatever version it is.

    Raises:
        CloudError: AWS does not say, or it is another's.
    """
    aws = aws_settings(config)
    return await asyncio.to_thread(can_be_called, AwsSession(aws), aws, model)


def _deploy(
    config: Config,
    settings: ServerlessConfig,
    artifact: ModelArtifact,
    between: tuple[Callable[[float], None], Callable[[], None]],
) -> None:
    """Deploy; blocks. `between` its steps it sleeps, and checks that it leads.

    The zip that is made here has the model in it. One that is given, and an image, may have it, too; they fetch it from
    the cluster's bucket otherwise, so that a new model needs no new image.
    """
    aws = aws_settings(config)
    session = AwsSession(aws)

    def put(code: FunctionPackage | str, placed: ModelArtifact) -> None:
        deployment = FunctionDeployment(
            placed,
            code,
            memory_gb=settings.memory_gb,
            timeout_s=settings.timeout_s,
            concurrency_max=settings.concurrency_max,
            threads=settings.threads,
        )
        deploy_function(session, aws, deployment, *between)

    if settings.image is not None:
        put(settings.image, _in_bucket(session, aws, artifact))
    elif settings.package is not None:
        put(read_zip(Path(settings.package)), _in_bucket(session, aws, artifact))
    else:
        with tempfile.TemporaryDirectory(prefix="mark-function-") as folder:
            destination = Path(folder) / "function.zip"
            made = build_zip(artifact, destination, settings.include, check_loadable=aws.endpoint_url is None)
            put(made, files_of_model(artifact)[1])


async def measure_latency_ms(
    config: Config,
    settings: ServerlessConfig,
    artifact: ModelArtifact,
    price: FunctionPrice,
    bill: Callable[[float], None],
) -> float:
    """The p99 of a warm function for the smallest request, the way there and back included.

    Its calls cost: `bill` is told how many dollars, whether it comes to an end or not.

    Raises:
        CloudError: it does not answer.
        ModelFailed: the model fails on inputs of ones.
    """
    single = settings.model_copy(update={"keep_warm": 0})
    functions = lambda_functions(config, single, artifact.signature.name, price)
    sizes = artifact.signature.sizes
    request = example_request(artifact.signature, sizes[0] if sizes else 1)
    latencies_ms = []
    try:
        for run in range(_WARM_UP_RUNS + _RUNS):
            began_s = time.perf_counter()
            await functions.invoke(request, _COLD_TIMEOUT_S)
            if run >= _WARM_UP_RUNS:
                latencies_ms.append((time.perf_counter() - began_s) * 1e3)
    finally:
        await asyncio.shield(_closed(functions, bill))
    return measurement_of(1, latencies_ms).p99_ms


async def _closed(functions: LambdaFunctions, bill: Callable[[float], None]) -> None:
    await functions.close()
    bill(functions.use().usd)


def _in_bucket(session: AwsSession, aws: AwsSettings, artifact: ModelArtifact) -> ModelArtifact:
    if artifact.runtime == "python":
        return artifact
    bucket = aws.bucket(session.account)
    stored = ModelStore(lambda: session.client("s3"), lambda: bucket).upload(artifact)
    return replace(stored, source=f"s3://{bucket}/{stored.source}")
