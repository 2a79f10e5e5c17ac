"""`mark trace`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from mark.cli.option_checks import check_writable
from mark.errors import ConfigError
from mark.workload.trace_import import (
    STDIN,
    ImportedTrace,
    LogFormat,
    LogReading,
    TraceUnit,
    import_logs,
    write_trace,
)
from mark.workload.trace_load import survey_trace

__all__ = ["trace"]

trace = typer.Typer(
    name="trace",
    help="Make traces out of logs, and look at them.\n\nExample: mark trace import access.log.gz -o trace.csv",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@trace.command("import")
def import_(
    logs: Annotated[list[Path], typer.Argument(help="Access logs, plain or .gz; - for stdin.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The trace file to write, plain or .gz.")],
    log_format: Annotated[
        LogFormat, typer.Option("--format", help="What the lines look like; auto looks at the first of each file.")
    ] = LogFormat.AUTO,
    column: Annotated[
        str | None, typer.Option(help="Of CSV: name or number, from 0, of the column that holds the time.")
    ] = None,
    unit: Annotated[TraceUnit, typer.Option("--bin", help="The bins of the trace.")] = TraceUnit.SECOND,
) -> None:
    """Count the requests of access logs in bins of time: nginx, Apache, AWS ALB, or a column of CSV.

    Timestamps of CSV are ISO 8601, or seconds or milliseconds since 1970. Lines may be out of order; those that cannot
    be read are counted and told. Bin 0 is that of the first request.

    Example: mark trace import access.log access.log.1.gz -o trace.csv
    """
    check_writable("--output", output)
    if any(log != STDIN and log.exists() and output.exists() and log.samefile(output) for log in logs):
        raise ConfigError(f"--output {output}: is one of the logs, which it would overwrite; name another file")
    console = Console(stderr=True)
    imported = _counted(logs, LogReading(log_format, column, unit), console)
    write_trace(imported, output)
    for line in _told(imported, output):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@trace.command("info")
def info(
    path: Annotated[Path, typer.Argument(help="A trace file.", metavar="TRACE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show bins, duration, rates and gaps of a trace file, which may be larger than memory.

    Example: mark trace info trace.csv
    """
    survey = survey_trace(path)
    figures: dict[str, Any] = {
        "bins": survey.bins,
        "bin_s": survey.bin_s,
        "duration_s": survey.duration_s,
        "requests": survey.requests,
        "mean_per_s": survey.mean_per_s,
        "peak_per_s": survey.peak_per_s,
        "gaps": survey.gaps,
        "bins_left_out": survey.bins_left_out,
        "longest_gap_s": survey.longest_gap_s,
    }
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    typer.echo(f"bins       {survey.bins:,} of {survey.bin_s:g} s")
    typer.echo(f"duration   {datetime.timedelta(seconds=survey.duration_s)}")
    typer.echo(f"requests   {survey.requests:,.10g}")
    typer.echo(f"rate       {survey.mean_per_s:.4g} per second on average, {survey.peak_per_s:.4g} in the busiest bin")
    left_out = f"{survey.gaps:,}: {survey.bins_left_out:,} bins are left out, the longest {survey.longest_gap_s:g} s"
    typer.echo(f"gaps       {left_out if survey.gaps else 'none'}")


def _counted(logs: Sequence[Path], reading: LogReading, console: Console) -> ImportedTrace:
    """The logs, with a bar on a terminal while they are read."""
    sizes = {path: path.stat().st_size for path in logs if path != STDIN and path.is_file()}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("reading logs", total=sum(sizes.values()) if len(sizes) == len(set(logs)) else None)
        return import_logs(logs, reading, lambda read: progress.advance(bar, read))


def _told(imported: ImportedTrace, output: Path) -> list[str]:
    read = imported.lines - imported.unreadable
    begin_s = min(imported.counts) * imported.unit.length_s
    begin = datetime.datetime.fromtimestamp(begin_s, tz=datetime.timezone.utc)
    told = [f"{output}: {read:,} requests from {begin:%Y-%m-%d %H:%M:%S} UTC on"]
    if imported.unreadable:
        told.append(
            f"{imported.unreadable:,} of {imported.lines:,} lines could not be read, first {imported.first_unreadable}"
        )
    return told
