"""The parts of serverless functions that are made from a configuration, and the latency that it lacks, measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mark._core import BurstLimits, BurstPolicy, FunctionPoolParams, FunctionPrice
from mark.app.clouds import worker_command
from mark.app.extra import needs_extra
from mark.app.parts import core_signature
from mark.app.profiles import measure_offering
from mark.cloud.local import LocalCloud
from mark.cloud.local_functions import LocalFunctions, LocalFunctionsParams
from mark.config import Config, ModelConfig, ServerlessConfig
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering, Serverless
from mark.errors import ConfigError
from mark.live.burst_loop import BurstLoop, BurstLoopParams
from mark.live.clock import SteadyClock
from mark.ports import Clock, Functions, Led

__all__ = [
    "burst_latency_ns",
    "burst_limits",
    "burst_loop",
    "deploy_functions",
    "function_pool_params",
    "function_price",
    "functions_are_there",
    "measure_missing_latencies",
    "planned_serverless",
    "serverless_of",
]

_QUANTUM_NS = 1_000_000  # AWS Lambda bills whole milliseconds
_OFFERING = "function"
_COLD_START_NS = 1_000_000_000  # assumed in simulations: a worker process that loads a small model


def function_price(settings: ServerlessConfig) -> FunctionPrice:
    """What a request costs: a fee, and the memory for as long as it runs."""
    return FunctionPrice(
        usd_per_request=settings.price_usd_per_request,
        usd_per_s=settings.memory_gb * settings.price_usd_per_gb_s,
        quantum_ns=_QUANTUM_NS,
    )


def burst_limits(settings: ServerlessConfig) -> BurstLimits:
    """What may be spent, and how many failures are too many."""
    budget = settings.budget_usd_per_hour
    return BurstLimits(
        budget_usd_per_hour=math.inf if budget is None else budget,
        failures_max=settings.breaker.failures_max,
        open_ns=round(settings.breaker.open_s * 1e9),
    )


def serverless_of(model: ModelConfig) -> Serverless | None:
    """What a plan has to know of a model's functions; None where it has none, or their latency is not known yet."""
    settings = model.serverless
    if settings is None or settings.latency_ms is None:
        return None
    latency_ms = settings.latency_ms
    return settings.as_serverless(function_price(settings).usd(_ns(latency_ms)), latency_ms)


def burst_latency_ns(model: ModelConfig) -> int:
    """What the dispatcher has to know of a model's functions: how long a warm one takes; 0 where it has none."""
    serverless = serverless_of(model)
    return 0 if serverless is None else _ns(serverless.latency_ms)


def planned_serverless(path: str, model: ModelConfig) -> Serverless | None:
    """As `serverless_of`, for a plan or a simulation, which measures nothing.

    Raises:
        ConfigError: the model has functions, and the file at `path` does not say their latency.
    """
    found = serverless_of(model)
    if found is None and model.serverless is not None:
        raise ConfigError(
            f"{path}: model {model.name!r} has serverless without latency_ms, the p99 of a warm function; `mark serve` "
            "measures it only for itself"
        )
    return found


def burst_loop(config: Config, model: ModelConfig, clock: Clock) -> BurstLoop | None:
    """The way to a model's functions, inside a running event loop; None where it has none."""
    settings, artifact = model.serverless, model.artifact()
    if settings is None or artifact is None or settings.latency_ms is None:
        return None
    price, latency_ns = function_price(settings), _ns(settings.latency_ms)
    functions = _functions(config, settings, artifact, price)
    policy = BurstPolicy(
        latency_ns,
        concurrency_max=settings.concurrency_max,
        usd_per_request=price.usd(latency_ns),
        limits=burst_limits(settings),
    )
    return BurstLoop(
        functions,
        policy,
        clock,
        BurstLoopParams(
            core_signature(artifact.signature),
            margin_ns=_ns(model.batching.margin_ms),
            timeout_s=settings.timeout_s,
            sizes=artifact.signature.sizes,
        ),
    )


def _functions(config: Config, settings: ServerlessConfig, artifact: ModelArtifact, price: FunctionPrice) -> Functions:
    if config.provider == "aws":
        with needs_extra():
            from mark.app.functions_on_aws import lambda_functions

        return lambda_functions(config, settings, artifact.signature.name, price)
    params = LocalFunctionsParams(
        concurrency_max=settings.concurrency_max,
        idle_s=settings.idle_s,
        keep_warm=settings.keep_warm,
        ping_s=settings.ping_s,
    )
    offering = _offering(settings)
    return LocalFunctions(lambda address: worker_command(artifact, offering, address), price, params)


async def deploy_functions(config: Config, leader: Led | None = None) -> None:
    """Make the functions of every model callable; local ones are, always.

    Args:
        config: what is served.
        leader: the open cloud; nothing is changed unless this router leads it. None where there is no other router.

    Raises:
        ConfigError: the code of one cannot be made.
        CloudError: AWS does not do it.
    """
    if config.provider != "aws":
        return
    with needs_extra():
        from mark.app.functions_on_aws import deploy

    for model in config.models:
        settings, artifact = model.serverless, model.artifact()
        if settings is not None and artifact is not None:
            await deploy(config, settings, artifact, _led_anyway if leader is None else leader.check_leads)


async def functions_are_there(config: Config) -> bool:
    """Whether the functions of every model can be called, of whatever version they are; local ones can, always.

    Raises:
        CloudError: AWS does not say, or one is another's.
    """
    if config.provider != "aws":
        return True
    with needs_extra():
        from mark.app.functions_on_aws import is_there

    for model in config.models:
        if model.serverless is not None and model.artifact() is not None and not await is_there(config, model.name):
            return False
    return True


def _led_anyway() -> None:
    """There is no other router."""


def function_pool_params(settings: ServerlessConfig, latency_ms: float) -> FunctionPoolParams:
    """The same functions, simulated."""
    params = FunctionPoolParams(_ns(latency_ms), concurrency_max=settings.concurrency_max)
    params.set_starts(
        cold_start_ns=_COLD_START_NS, burst=float(settings.concurrency_max), per_s=float(settings.concurrency_max)
    )
    params.set_warmth(
        idle_max_ns=round(settings.idle_s * 1e9),
        keep_warm=settings.keep_warm,
        ping_interval_ns=round(settings.ping_s * 1e9),
    )
    params.set_price(
        usd_per_request=settings.price_usd_per_request,
        usd_per_s=settings.memory_gb * settings.price_usd_per_gb_s,
        billed_quantum_ns=_QUANTUM_NS,
    )
    return params


async def measure_missing_latencies(
    config: Config,
    on_progress: Callable[[str, str, int], None] | None = None,
    bill: Callable[[str, float], None] = lambda _model, _usd: None,
) -> Config:
    """Measure the latency of functions for one row where the configuration does not say it.

    Args:
        config: what is served.
        on_progress: told model, "function" and rows before it is measured.
        bill: told model and dollars that its calls have cost, those that fail included.

    Raises:
        ModelLoadError: the model does not start.
        CloudError: the function of AWS does not answer.
        ConfigError: not even a function answers within `rt_max_ms`.
    """
    models = []
    for model in config.models:
        settings, artifact = model.serverless, model.artifact()
        if settings is not None and artifact is not None and settings.latency_ms is None:
            if on_progress is not None:
                on_progress(artifact.signature.name, _OFFERING, (*artifact.signature.sizes, 1)[0])
            latency_ms = await _measure(config, settings, artifact, partial(bill, model.name))
            if latency_ms >= model.slo.rt_max_ms:
                raise ConfigError(
                    f"model {model.name!r}: a function takes {latency_ms:.1f} ms for one row, and rt_max_ms is "
                    f"{model.slo.rt_max_ms:g}; give functions more threads, cpu_share or memory_gb, raise rt_max_ms or "
                    "leave serverless out"
                )
            settings = settings.model_copy(update={"latency_ms": latency_ms})
        models.append(model.model_copy(update={"serverless": settings}))
    return config.model_copy(update={"models": models})


async def _measure(
    config: Config, settings: ServerlessConfig, artifact: ModelArtifact, bill: Callable[[float], None]
) -> float:
    if config.provider == "aws":
        with needs_extra():
            from mark.app.functions_on_aws import measure_latency_ms

        return await measure_latency_ms(config, settings, artifact, function_price(settings), bill)
    cloud = LocalCloud([_offering(settings)], clock=SteadyClock(), command=worker_command)
    least = artifact.signature.sizes[:1]
    single = replace(artifact, signature=replace(artifact.signature, rows_max=least[0] if least else 1, sizes=least))
    profile = await measure_offering(cloud, single, _OFFERING, None)
    return profile.points[0].latency_ms


def _offering(settings: ServerlessConfig) -> Offering:
    """The kind of process that a function is."""
    return Offering(
        _OFFERING, Market.ON_DEMAND, 0.0, boot_s=0.0, max_count=1,
        threads=settings.threads, cpu_share=settings.cpu_share,
    )  # fmt: skip


def _ns(milliseconds: float) -> int:
    return max(1, round(milliseconds * 1e6))
