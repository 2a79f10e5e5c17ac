"""`mark forecast`."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mark.app import forecasting
from mark.app.forecasting import MODELS, Evaluation, Recorded
from mark.cli.option_checks import check_positive, check_within, check_writable
from mark.errors import ConfigError
from mark.forecast.evaluation import CHAMPION, EvaluationOptions
from mark.forecast.training import Progress as Trained
from mark.forecast.training import TrainingOptions

__all__ = ["forecast"]

_MINUTES_OF_DAY = 1440

forecast = typer.Typer(
    name="forecast",
    help="Train forecasters on a trace, and see how good they are.\n\nExample: mark forecast evaluate trace.csv",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Trace = Annotated[Path, typer.Argument(help="A trace file: second,requests or minute,requests.", metavar="TRACE")]
Seed = Annotated[int, typer.Option(help="Makes the training reproducible.")]
Step = Annotated[float, typer.Option(help="Length of a step, as controller.step_s of who is to use it.")]
Midnight = Annotated[float, typer.Option(help="Hours after a midnight at which the trace begins.")]


@forecast.command("train")
def train(
    trace: Trace,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(help="At most so many.")] = 40,
    begins_at_h: Midnight = 0.0,
    step_s: Step = 60.0,
) -> None:
    """Train an LSTM on a trace: quantiles of the highest rate of each of the next 60 steps, minutes by default.

    Needs torch: pip install 'mark-serve[torch]'. Minutes for three weeks of minutes.

    Example: mark forecast train trace.csv -o load.forecast
    """
    check_within("--epochs", epochs, 1, 10_000)
    check_within("--seed", seed, 0)
    check_writable("--output", output)
    check_positive({"--step-s": step_s})
    known = _recorded(trace, begins_at_h, step_s)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bar = bars.add_task("training", total=epochs, loss="")

        def on_progress(trained: Trained) -> None:
            loss = "on all" if trained.loss is None else f"held-out loss {trained.loss:.4f} of the linear model's"
            bars.update(bar, completed=trained.epoch, total=trained.epochs, loss=loss)

        predictor = forecasting.train(known, TrainingOptions(seed=seed, epochs=epochs), on_progress)
    predictor.save(output)
    steps = len(known.maxima_per_s)
    typer.echo(f"{output}: trained on {steps:,} steps, {predictor.trained['epochs']} epochs", err=True)


@forecast.command("evaluate")
def evaluate(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    trace: Trace,
    models: Annotated[str, typer.Option(help="Names with commas.")] = ",".join(MODELS),
    level: Annotated[float, typer.Option(help="Probability with which the bound is to hold.")] = 0.95,
    minutes: Annotated[int, typer.Option(help="The maximum of so many next minutes is bounded.")] = 10,
    masked_minutes: Annotated[
        str | None, typer.Option(help="Minutes of each day that are not scored, such as 1411-1439.")
    ] = None,
    seed: Seed = 0,
    begins_at_h: Midnight = 0.0,
    html: Annotated[Path | None, typer.Option(help="Write a page with the table and a plot.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Score forecasters on the last 38 % of a trace, from origin to origin, each calibrated as it goes.

    over and short are what the bound was too high and too low by on average, and pinball what both cost at the level
    that was asked for; all three as shares of the mean of what came.

    Example: mark forecast evaluate trace.csv --models linear,lstm
    """
    names = _models(models)
    check_within("--minutes", minutes, 1, 60)
    check_within("--seed", seed, 0)
    if not 0.5 <= level < 1:
        raise ConfigError(f"--level must be from 0.5 to below 1, not {level}")
    if html is not None:
        from mark.report import check_can_draw

        check_writable("--html", html)
        check_can_draw()
    known = _recorded(trace, begins_at_h)
    options = EvaluationOptions(level, minutes, first_step=known.first_step, masked=_masked(masked_minutes, known))
    console = Console(stderr=True)
    with console.status("fitting") as status:
        found = forecasting.evaluate_models(
            known, names, options, TrainingOptions(seed=seed), lambda name: status.update(f"fitting {name}")
        )
    if html is not None:
        from mark.report.forecast_page import write_evaluation

        rule = f"Bound the maximum of the next {minutes} minutes at {level:.0%}; scored on the last 38 %."
        write_evaluation(html, trace.name, rule, _as_dict(found))
    if as_json:
        typer.echo(json.dumps(_as_dict(found), indent=2))
    else:
        Console().print(_table(trace.name, options, found))


@forecast.command("show")
def show(
    trace: Trace,
    at: Annotated[float, typer.Option(help="When: hours from the beginning of the trace.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("forecast.html"),
    model: Annotated[str, typer.Option(help="Which model, fitted on what went before.")] = "linear",
    file: Annotated[Path | None, typer.Option(help="Or what mark forecast train wrote.")] = None,
    begins_at_h: Midnight = 0.0,
) -> None:
    """Plot one forecast: the three hours before it, the fan of quantiles, and what came.

    Example: mark forecast show trace.csv --at 300 --file load.forecast -o forecast.html
    """
    from mark.report import check_can_draw

    check_positive({"--at": at})
    _models(model)
    check_writable("--output", output)
    check_can_draw()
    known = _recorded(trace, begins_at_h)
    moment = forecasting.moment_of(known, at * 3600, model, file, shown_steps=3 * known.calendar.hour_steps)
    from mark.report.forecast_page import FanPicture, write_fan

    picture = FanPicture(
        title=f"{trace.name}, hour {at:g}: {moment.model}",
        history_per_s=moment.history_per_s,
        levels=moment.fan.levels,
        quantiles_per_s=moment.fan.per_step,
        truth_per_s=moment.truth_per_s,
        step_s=known.step_s,
    )
    write_fan(output, picture)
    typer.echo(f"wrote {output}", err=True)


def _recorded(trace: Path, begins_at_h: float, step_s: float = 60.0) -> Recorded:
    check_within("--begins-at-h", begins_at_h, 0, 24)
    return forecasting.recorded(trace, step_s, midnight_s=begins_at_h * 3600)


def _models(written: str) -> tuple[str, ...]:
    """The models of a list with commas; refuses what there is not."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in written.split(",") if name.strip()))
    if not names:
        raise ConfigError(f"--models: names no model; known are {', '.join(MODELS)}")
    for name in names:
        if name not in MODELS:
            nearest = difflib.get_close_matches(name, MODELS, n=1, cutoff=0.0)[0]
            raise ConfigError(f"there is no model {name!r}; did you mean {nearest!r}? known are {', '.join(MODELS)}")
    return names


def _masked(written: str | None, known: Recorded) -> npt.NDArray[np.bool_] | None:
    """Which steps of the trace fall into the minutes of the day that are left out."""
    if written is None:
        return None
    found = re.fullmatch(r"(\d{1,4})-(\d{1,4})", written)
    if found is None or not int(found[1]) <= int(found[2]) < _MINUTES_OF_DAY:
        raise ConfigError(f"--masked-minutes {written}: must have the form first-last, within 0 to 1439")
    steps = known.first_step + np.arange(len(known.maxima_per_s))
    minutes = (steps * known.step_s / 60) % _MINUTES_OF_DAY
    masked: npt.NDArray[np.bool_] = (minutes >= int(found[1])) & (minutes < int(found[2]) + 1)
    return masked


def _as_dict(found: Evaluation) -> dict[str, object]:
    """The evaluation as JSON-ready values."""
    models = {
        name: {
            "coverage": score.coverage,
            "coverage_uncalibrated": score.raw_coverage,
            "pinball": score.pinball,
            "over": score.over,
            "short": score.short,
            "fit_s": found.fit_s[name],
            "predict_ms": score.predict_ms,
        }
        for name, score in found.scores.items()
    }
    return {"champion": found.champion, "models": models}


def _table(name: str, options: EvaluationOptions, found: Evaluation) -> Table:
    title = f"{name}: bound the maximum of the next {options.rule_steps} minutes at {options.level:.0%}"
    table = Table("model", title=title, title_justify="left")
    for column in ("coverage", "uncalibrated", "pinball", "over", "short", "fit s", "predict ms"):
        table.add_column(column, justify="right")
    for model, score in found.scores.items():
        style = "bold" if model == found.champion else None
        shares = (score.coverage, score.raw_coverage)
        figures = [f"{share:.1%}" for share in shares]
        figures += [f"{share:.2%}" for share in (score.pinball, score.over, score.short)]
        figures += [f"{found.fit_s[model]:.1f}", f"{score.predict_ms:.3f}"]
        shown = "champion, online" if model == CHAMPION else model
        table.add_row(shown, *figures, style=style)
    return table
