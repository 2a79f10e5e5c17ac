"""`mark load`."""

from __future__ import annotations

import asyncio
import enum
import json
import signal
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mark.cli.option_checks import check_positive, check_within, check_writable
from mark.client import AsyncClient
from mark.errors import ConfigError
from mark.workload import arrivals
from mark.workload.open_loop import OpenLoop
from mark.workload.random_requests import random_requests
from mark.workload.report import LoadReport
from mark.workload.trace_file import read_trace, slice_trace

__all__ = ["Arrival", "load"]


_ROWS_MAX = 65_536  # no server takes more in one request


class Arrival(enum.Enum):
    """How the gaps between requests are drawn."""

    POISSON = "poisson"
    CONSTANT = "constant"


def load(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    address: Annotated[str, typer.Argument(help="host:port of a server of the Open Inference Protocol.")],
    model: Annotated[str, typer.Option(help="The model to call.")],
    rate: Annotated[float, typer.Option(help="Requests per second; a trace has its own.")] = 10.0,
    duration_s: Annotated[float, typer.Option(help="Seconds to send for, at most the trace's length.")] = 10.0,
    arrival: Annotated[Arrival, typer.Option(help="Gaps between requests; a trace has its own.")] = Arrival.POISSON,
    trace: Annotated[Path | None, typer.Option(help="Replay a CSV of second,requests or minute,requests.")] = None,
    start_s: Annotated[float, typer.Option(help="Where in the trace to begin.")] = 0.0,
    scale: Annotated[float, typer.Option(help="Multiply the trace's rate.")] = 1.0,
    speed: Annotated[float, typer.Option(help="Play the trace this many times faster.")] = 1.0,
    rows: Annotated[int, typer.Option(help="Rows in each request.")] = 1,
    deadline_ms: Annotated[float | None, typer.Option(help="gRPC deadline of each request.")] = None,
    rt_max_ms: Annotated[float, typer.Option(help="Response time that keeps the promise.")] = 100.0,
    seed: Annotated[int, typer.Option(help="Makes arrivals and inputs reproducible.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Write the JSON report to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON report and nothing else.")] = False,
) -> None:
    """Send requests at instants fixed beforehand, and report latency from those instants.

    Ctrl-C stops sending and reports what was done until then.

    Example: mark load localhost:8001 --model digits --rate 200 --duration-s 30 --rt-max-ms 100
    """
    check_positive({"--rate": rate, "--duration-s": duration_s, "--scale": scale, "--speed": speed})
    check_positive({"--deadline-ms": deadline_ms, "--rt-max-ms": rt_max_ms})
    check_within("--start-s", start_s, 0)
    check_within("--rows", rows, 1, _ROWS_MAX)
    check_within("--seed", seed, 0)
    if output is not None:
        check_writable("--output", output)
    try:
        if trace is not None:
            part = slice_trace(read_trace(trace), start_s, duration_s * speed)
            instants_s = arrivals.from_trace(part, scale=scale, speed=speed, seed=seed)
            instants_s = instants_s[instants_s < duration_s]  # the last bin may reach further
        elif arrival is Arrival.POISSON:
            instants_s = arrivals.poisson(rate, duration_s, seed)
        else:
            instants_s = arrivals.constant(rate, duration_s)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not len(instants_s):
        raise ConfigError("nothing to send: rate, duration or the trace is empty")
    console = Console(stderr=True, quiet=as_json)
    report = asyncio.run(_run(address, (model, rows, seed), instants_s, deadline_ms, console))
    text = json.dumps(report.as_dict(rt_max_ms), indent=2)
    typer.echo(text)  # first: whatever becomes of the file, the run was not for nothing
    if output is not None:
        _write(output, text)


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written: {error.strerror}") from error


async def _run(
    address: str,
    what: tuple[str, int, int],
    instants_s: npt.NDArray[np.float64],
    deadline_ms: float | None,
    console: Console,
) -> LoadReport:
    model, rows, seed = what
    async with AsyncClient(address) as client:
        signature = await client.model_metadata(model)
        requests = random_requests(signature, rows, seed)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            bar = progress.add_task(f"{model} at {address}", total=len(instants_s))
            open_loop = OpenLoop(client, requests, deadline_ms=deadline_ms)
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, open_loop.stop)
            return await open_loop.run(instants_s, on_progress=lambda ended: progress.update(bar, completed=ended))
