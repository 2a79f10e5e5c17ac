"""Runs the demo: train, profile, serve, drive, watch, and judge."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import grpc.aio
import numpy as np
import numpy.typing as npt
import yaml
from rich.console import Console
from rich.live import Live

from mark import _core, app
from mark.client import AsyncClient
from mark.config import Config, parse_config
from mark.demo.digits_model import DigitsModel, train_digits_model
from mark.demo.fake_aws import fake_aws, write_function
from mark.demo.interruption import SHARE, interrupt_at, interrupt_call
from mark.demo.judge import judge
from mark.demo.report import DemoReport
from mark.demo.series import Series
from mark.demo.view import render
from mark.demo.watch import Watcher, run_watched, status_call
from mark.errors import ConfigError, WorkerError
from mark.workload import arrivals
from mark.workload.open_loop import OpenLoop
from mark.workload.report import LoadReport

__all__ = ["DemoParams", "run_demo"]

# Batches of another size, and other threads, round differently in the last bits of a float32.
_TOLERANCE = 1e-3
_INTERRUPTED_AT = 0.4  # of the day: the load is high, and still rises


@dataclass(frozen=True, slots=True)
class DemoParams:
    """What a person may choose.

    Attributes:
        folder: where the model, the configuration and the picture go.
        duration_s: how long the load lasts: one "day".
        peak_per_s: requests per second at the top of the day, before bursts.
        seed: of the arrivals.
        provider: "local" rents processes of this machine, "aws" does so by way of a fake AWS on it.
    """

    folder: Path
    duration_s: float = 60.0
    peak_per_s: float = 220.0
    seed: int = 1
    provider: Literal["local", "aws"] = "local"


@dataclass(frozen=True, slots=True)
class _Stage:
    """What a run needs beside the model.

    Attributes:
        params: of the run.
        console: to talk to.
        environment: of the router.
        interrupt: takes spot workers away; None for the router's own way.
    """

    params: DemoParams
    console: Console
    environment: Mapping[str, str] | None = None
    interrupt: Callable[[], Awaitable[Any]] | None = None


async def run_demo(params: DemoParams, console: Console) -> DemoReport:
    """Serve a freshly trained model on four kinds of worker, interrupt it, and report what the fleet did.

    Raises:
        MarkError: something that a person can mend; the message says what.
    """
    _check_packages()
    instants_s = _instants(params)
    folder = params.folder
    console.print("Training a small convolutional classifier on scikit-learn's handwritten digits ...", soft_wrap=True)
    began_s = time.perf_counter()
    model = await asyncio.to_thread(train_digits_model, folder / "digits.pt")
    console.print(
        f"  {model.accuracy:.1%} of {len(model.images)} held-out images right; exported to {model.path}; "
        f"{time.perf_counter() - began_s:.1f} s",
        soft_wrap=True,
    )
    if params.provider == "aws":
        return await _on_aws(params, model, instants_s, console)
    config = await _profiled(_read("digits.yaml", folder), console)
    load, series, _ = await _served(config, model, instants_s, _Stage(params, console))
    return judge(load, series, config, folder / "demo.png")


async def _on_aws(
    params: DemoParams, model: DigitsModel, instants_s: npt.NDArray[np.float64], console: Console
) -> DemoReport:
    """The same by way of AWS's API: a cluster is set up, serves, is taken down, and its bill is compared."""
    folder = params.folder
    write_function(folder)
    read = _read("digits-aws.yaml", folder)
    # What offerings are on AWS, processes of this machine are behind it: those are measured.
    measured = await _profiled(read.model_copy(update={"provider": "local"}), console)
    async with fake_aws() as aws:
        section = None if read.aws is None else read.aws.model_copy(update={"endpoint_url": aws.endpoint_url})
        config = measured.model_copy(update={"provider": "aws", "aws": section})
        file = _write(config, folder)
        await aws.mark("aws", "bootstrap", str(file), "--yes")
        stage = _Stage(params, console, await aws.allow_router(file), lambda: aws.interrupt(SHARE))
        load, series, bill_usd = await _served(config, model, instants_s, stage)
        outcome = await aws.outcome(file, config.cluster, bill_usd)
    return replace(judge(load, series, config, folder / "demo.png"), aws=outcome)


async def _served(
    config: Config, model: DigitsModel, instants_s: npt.NDArray[np.float64], stage: _Stage
) -> tuple[LoadReport, Series, float]:
    """Serve, drive, stop; what the client and the watcher saw, and what the router says that it has spent."""
    file, console = _write(config, stage.params.folder), stage.console
    console.print(f"Serving it: mark serve {file}", soft_wrap=True)
    began_s = time.perf_counter()
    async with _router(file, stage.environment) as address:
        console.print(f"  ready at {address}; {time.perf_counter() - began_s:.1f} s", soft_wrap=True)
        page = re.search(r"the page is at (\S+)", file.with_suffix(".log").read_text(encoding="utf-8"))
        if page is not None:
            console.print(f"  look on at {page[1]}", soft_wrap=True)
        load, series = await _drive(address, model, config, instants_s, stage)
    said = re.findall(r"have cost \$(\d+\.\d+)", file.with_suffix(".log").read_text(encoding="utf-8"))
    return load, series, float(said[-1]) if said else math.nan


def _write(config: Config, folder: Path) -> Path:
    file = folder / "demo.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    return file


def _check_packages() -> None:
    # All of them now, not the last of them after the whole run.
    for package in ("torch", "sklearn", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"the demo needs {package}: pip install 'mark-serve[demo]'")


def _instants(params: DemoParams) -> npt.NDArray[np.float64]:
    peak_per_s = params.peak_per_s
    try:
        return arrivals.daily(
            peak_per_s=peak_per_s, valley_per_s=peak_per_s / 5, duration_s=params.duration_s, seed=params.seed
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _read(name: str, folder: Path) -> Config:
    text = resources.files("mark.demo").joinpath(name).read_text(encoding="utf-8")
    return parse_config(text, name=name, folder=folder)


async def _profiled(config: Config, console: Console) -> Config:
    console.print("Profiling it on each offering ...")
    began_s = time.perf_counter()
    config = await app.measure_missing_profiles(config)
    for model in config.models:
        for name, rows_per_s in app.capacities(model, model.as_profiles()).items():
            points = ", ".join(f"{rows}: {latency_ms:.0f}" for rows, latency_ms in model.profiles[name])
            console.print(
                f"  {name:12} {rows_per_s:6.0f} rows/s under the SLO; p99 ms by rows: {points}", soft_wrap=True
            )
    console.print(f"  {time.perf_counter() - began_s:.1f} s")
    return config


@asynccontextmanager
async def _router(config_file: Path, environment: Mapping[str, str] | None) -> AsyncIterator[str]:
    """A router process, as a person would start it; stopped by SIGTERM at the end."""
    log = config_file.with_suffix(".log").open("wb")
    # Free ports, so that the demo runs beside whatever this machine serves already. The file keeps its own, for the
    # person who serves it afterwards.
    free_ports = ("--set", "server.port=0", "--set", "http.address=127.0.0.1:0")
    command = (sys.executable, "-m", "mark", "serve", "--exit-with-parent", *free_ports, str(config_file))
    # A group of its own: Ctrl-C reaches the demo, which then stops the router in order. Should the demo be killed, its
    # end of the pipe closes, and the router stops by itself.
    router = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        if router.stdout is None:
            raise WorkerError("the router has no output to read its address from")
        line = (await router.stdout.readline()).decode()
        _, found, address = line.strip().rpartition(" at ")
        if not found:
            raise WorkerError(f"the router did not start; see {log.name}")
        yield address
    finally:
        if router.returncode is None:
            os.kill(router.pid, signal.SIGTERM)
        await router.wait()
        log.close()


async def _drive(
    address: str, model: DigitsModel, config: Config, instants_s: npt.NDArray[np.float64], stage: _Stage
) -> tuple[LoadReport, Series]:
    console = stage.console
    pool = len(model.images)
    requests = [
        _core.write_infer_request("digits", "", str(index), [("image", "FP32", (1, 1, 8, 8), image)], [])
        for index, image in enumerate(model.images[:, None])
    ]
    slo, series = config.models[0].as_slo(), Series()
    duration_s = float(instants_s[-1]) if len(instants_s) else 0.0
    async with AsyncClient(address) as client, grpc.aio.insecure_channel(address) as channel:
        load = OpenLoop(client, requests, check=lambda index, response: _agrees(response, model.logits[index % pool]))
        with Live(render(series, slo, duration_s), console=console, refresh_per_second=4) as live:
            watcher = Watcher(status_call(channel), load, series, lambda: live.update(render(series, slo, duration_s)))
            interrupting = interrupt_at(
                _INTERRUPTED_AT * duration_s, stage.interrupt or interrupt_call(channel), series, live.console.print
            )
            report = await run_watched(load.run(instants_s), _all(watcher.run(), interrupting))
            if series.last is None:  # shorter than the watcher's first look
                await watcher.look()
        if not console.is_terminal:
            console.line()  # which the live view leaves out there
    return report, series


async def _all(*works: Coroutine[None, None, None]) -> None:
    await asyncio.gather(*works)


def _agrees(response: bytes, logits: Any) -> bool:
    (_, _, _, raw), *_ = _core.parse_infer_response(response).tensors
    answered = np.frombuffer(raw, dtype=np.float32)
    return bool(
        answered.shape == logits.shape
        and answered.argmax() == logits.argmax()
        and np.allclose(answered, logits, atol=_TOLERANCE)
    )
