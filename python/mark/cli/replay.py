"""`mark replay`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mark.app.replay import Replay, recorded_run
from mark.app.replay import replay as replayed
from mark.cli.option_checks import check_within
from mark.cli.simulation_options import check_policy
from mark.domain.simulation_report import SimulationReport
from mark.live.record_log import read_log
from mark.report.wording import duration, percent, usd

__all__ = ["replay"]


def replay(
    log: Annotated[Path, typer.Argument(help="A decision log, of mark serve or mark simulate.")],
    policy: Annotated[str, typer.Option(help="How the fleet is sized instead.")] = "peak-static",
    model: Annotated[str, typer.Option(help="Which model of the log, where it has several.")] = "",
    seed: Annotated[int, typer.Option(help="Places requests inside the seconds in which they were counted.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say what another policy would have cost on what a log recorded, and whether it would have kept the promise.

    The load, prices, refusals and interruptions of the log's last run are simulated twice: with the policy that served,
    which shows how near the simulator comes to what was, and with the one that is asked for.

    Example: mark replay mark-demo/decisions.jsonl --policy peak-static
    """
    check_policy("--policy", policy)
    check_within("--seed", seed, 0)
    read = read_log(log)
    for fault in read.faults:
        typer.echo(f"mark: passed over: {fault}", err=True)
    found = replayed(recorded_run(read.records, model), policy, seed=seed)
    if as_json:
        typer.echo(json.dumps(_as_dict(found), indent=2))
        return
    console = Console()
    console.print(_table(found))
    for line in _lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _as_dict(found: Replay) -> dict[str, Any]:
    recorded = found.recorded
    return {
        "model": recorded.model,
        "duration_s": recorded.duration_s - recorded.counted_from_s,
        "recorded": {"usd": recorded.usd, "attainment": recorded.attainment, "requests": recorded.requests},
        "replayed": found.again.as_dict(),
        "other": found.other.as_dict(),
        "difference": {
            "usd": found.other.cost.total_usd - found.again.cost.total_usd,
            "attainment": found.other.attainment - found.again.attainment,
        },
        "notes": list(found.notes),
    }


def _table(found: Replay) -> Table:
    recorded = found.recorded
    largest_usd = max(recorded.usd, found.again.cost.total_usd, found.other.cost.total_usd)
    table = Table(title=f"{recorded.model}, {duration(recorded.duration_s - recorded.counted_from_s)}", box=None)
    for name in ("", "cost", "in time", "requests"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    table.add_row("recorded", usd(recorded.usd, largest_usd), percent(recorded.attainment), f"{recorded.requests:,}")

    def add(name: str, report: SimulationReport) -> None:
        cost = usd(report.cost.total_usd, largest_usd)
        table.add_row(name, cost, percent(report.attainment), f"{report.requests:,}")

    add(f"{found.policy}, replayed", found.again)
    if found.other is not found.again:
        add(f"{found.other.policy}, replayed", found.other)
    return table


def _lines(found: Replay) -> list[str]:
    recorded, again, other = found.recorded, found.again, found.other
    lines = [_difference("the replay", again, "what was recorded", recorded.usd, recorded.attainment)]
    if other is not again:
        lines.append(_difference(other.policy, other, found.policy, again.cost.total_usd, again.attainment))
        kept = "keeps" if other.attainment >= found.sl_min else "breaks"
        lines.append(f"{other.policy} {kept} the promise of {found.sl_min:.2%} within {other.rt_max_ms:g} ms")
    return [*lines, *(f"note: {note}" for note in (*found.notes, *other.notes))]


def _difference(name: str, report: SimulationReport, than: str, than_usd: float, than_attainment: float) -> str:
    more_usd = report.cost.total_usd - than_usd
    share = f" ({more_usd / than_usd:+.1%})" if than_usd > 0 else ""
    points = 100 * (report.attainment - than_attainment)
    cost = usd(abs(more_usd), max(report.cost.total_usd, than_usd))
    words = "more" if more_usd >= 0 else "less"
    return f"{name} costs {cost} {words}{share} than {than}; in time: {points:+.2f} percentage points"
