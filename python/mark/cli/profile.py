"""`mark profile`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mark import app
from mark.cli.option_checks import check_positive, check_within, check_writable
from mark.cli.profile_report import ProfileReport, priced_type
from mark.config import Config, ModelConfig, load_config, model_of
from mark.domain.device import device_of
from mark.domain.measured_profile import MeasuredModel, WorkerKind
from mark.domain.profile_text import measured_model_to_json
from mark.errors import ConfigError
from mark.worker.measuring import Effort
from mark.worker.profiling import SweepProgress

__all__ = ["profile"]

_THREADS_MAX = 1024
_SECONDS_MAX = 3600


def profile(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    config: Annotated[Path, typer.Argument(help="The YAML file that `mark serve` takes.")],
    model: Annotated[str | None, typer.Option(help="Which model of the file, where it has several.")] = None,
    offering: Annotated[list[str] | None, typer.Option(help="Only this offering of the file; may be repeated.")] = None,
    device: Annotated[str | None, typer.Option(help="Measure on cpu, cuda or cuda:N instead of theirs.")] = None,
    threads: Annotated[int | None, typer.Option(help="Measure with so many compute threads instead of theirs.")] = None,
    seconds: Annotated[float, typer.Option(help="Spend at most about so long on each batch size.")] = 10.0,
    stands_for: Annotated[
        list[str] | None, typer.Option(help="A type of the catalogue that this machine stands for; may be repeated.")
    ] = None,
    catalog: Annotated[
        str, typer.Option(help="Where its prices are from: aws-us-east-1 or aws-2018.")
    ] = "aws-us-east-1",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the profiles to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Measure batches of every size on a real worker, and say how far to batch under the SLO and what it costs.

    A size is measured until its p99 is known within 5 %, with 95 % confidence, or its seconds are over. Each kind of
    worker of the file's offerings is measured once. What -o writes is a profile for the file:
    `profiles: {small: FILE}`.

    Example: mark profile mark-demo/demo.yaml --stands-for c5.large -o mark-demo/digits.profile
    """
    check_positive({"--seconds": seconds})
    check_within("--seconds", seconds, 0, _SECONDS_MAX)
    if threads is not None:
        check_within("--threads", threads, 1, _THREADS_MAX)
    if output is not None:
        check_writable("--output", output)
    priced = [priced for name in stands_for or () for priced in priced_type(catalog, name)]
    asked = app.ProfileOptions(tuple(offering or ()), _checked(device), threads, Effort(time_max_s=seconds))
    # The files that it names for profiles may not be there yet, or be what is to be replaced.
    loaded = load_config(config, read_profiles=False)
    chosen = model_of(str(config), loaded, model)
    console = Console(stderr=True, quiet=as_json)
    measured = asyncio.run(_measure(loaded, chosen, asked, console))
    if output is not None:  # first: what was measured is not lost, whatever is said of it
        _write(output, measured)
    _tell(ProfileReport(chosen, measured, app.profiled_offerings(loaded, asked), priced, asked.effort), as_json=as_json)
    if output is not None:
        console.print(
            f"wrote {output}: name it under profiles of the model, for each offering that was measured", soft_wrap=True
        )


def _checked(device: str | None) -> str | None:
    try:
        return None if device is None else str(device_of(device))
    except ValueError as error:
        raise ConfigError(f"--{error}") from error


async def _measure(config: Config, model: ModelConfig, asked: app.ProfileOptions, console: Console) -> MeasuredModel:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[runs]}"))
    bars: dict[WorkerKind, TaskID] = {}
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        starting = progress.add_task(f"starting a worker for {model.name}", total=None, runs="")

        def tell(kind: WorkerKind, sweep: SweepProgress) -> None:
            progress.update(starting, visible=False)
            if kind not in bars:
                bars[kind] = progress.add_task(f"{model.name} on {kind}", total=1.0, runs="")
            runs = dict(sweep.sizes)[sweep.rows]
            progress.update(bars[kind], completed=sweep.share, runs=f"{sweep.rows} rows, run {runs + 1}")

        return await app.measure_model(config, model, asked, tell)


def _tell(report: ProfileReport, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
        return
    console = Console()
    for table, lines in report.as_tables():
        console.print(table)
        for line in lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _write(output: Path, measured: MeasuredModel) -> None:
    try:
        output.write_text(measured_model_to_json(measured), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written: {error.strerror}") from error
