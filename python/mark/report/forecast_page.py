"""Pages about forecasts: how good several models were, and one forecast with what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.report.document import document, figure, write_page
from mark.report.drawing import check_can_draw, colour, draw
from mark.report.palette import Style
from mark.report.plots import LegendEntry, Picture

__all__ = ["FanPicture", "write_evaluation", "write_fan"]

Floats = npt.NDArray[np.float64]

_COLUMNS = {
    "coverage": "coverage",
    "coverage_uncalibrated": "uncalibrated",
    "pinball": "pinball",
    "over": "over",
    "short": "short",
}


@dataclass(frozen=True, slots=True, eq=False)
class FanPicture:
    """One forecast.

    Attributes:
        title: heads the page.
        history_per_s: rates before it, oldest first.
        levels: of the quantiles, increasing.
        quantiles_per_s: [levels, steps] that were predicted.
        truth_per_s: what came, as far as it is known.
        step_s: length of a step.
    """

    title: str
    history_per_s: Floats
    levels: tuple[float, ...]
    quantiles_per_s: Floats
    truth_per_s: Floats
    step_s: float


def write_fan(path: Path, picture: FanPicture) -> None:
    """Write one self-contained page: history, fan of quantiles and truth.

    Raises:
        ConfigError: there is nothing to draw with, or the file cannot be written.
    """
    check_can_draw()
    heading = f"<header><h1>{escape(picture.title)}</h1></header>"
    write_page(path, document(picture.title, [heading, figure(_fan(picture))]))


def write_evaluation(path: Path, title: str, rule: str, found: Mapping[str, Any]) -> None:
    """Write one self-contained page: a table of the models, and how much each bound was too high and too low.

    Args:
        path: where to; its folder exists.
        title: heads the page.
        rule: in words, what was scored.
        found: "champion", and "models" by name, as `mark forecast evaluate --json` prints them.

    Raises:
        ConfigError: there is nothing to draw with, or the file cannot be written.
    """
    check_can_draw()
    parts = [
        f"<header><h1>{escape(title)}</h1><p>{escape(rule)}</p>",
        f'<p class="verdict">{escape(found["champion"])} has the least pinball loss.</p></header>',
        *_table(found),
        figure(_errors(found["models"])),
    ]
    write_page(path, document(title, parts))


def _fan(picture: FanPicture) -> Picture:
    minutes = picture.step_s / 60
    before = np.arange(-len(picture.history_per_s), 0) * minutes
    after = np.arange(picture.quantiles_per_s.shape[1]) * minutes
    came = np.arange(len(picture.truth_per_s)) * minutes

    def paint(axes: Any) -> None:
        pairs = len(picture.levels) // 2
        for pair in range(pairs):
            low, high = picture.quantiles_per_s[pair], picture.quantiles_per_s[-1 - pair]
            axes.fill_between(after, low, high, color=colour("orange"), alpha=0.18, linewidth=0)
        axes.plot(after, picture.quantiles_per_s[len(picture.levels) // 2], color=colour("orange"), linewidth=1.3)
        axes.plot(before, picture.history_per_s, color=colour("blue"), linewidth=1.3)
        axes.plot(came, picture.truth_per_s, color=colour("green"), linewidth=1.3)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("minutes from now")
        axes.set_ylabel("requests per second")

    lowest, highest = picture.levels[0], picture.levels[-1]
    alt = f"Rates before a forecast, quantiles from {lowest:.0%} to {highest:.0%} of the next steps, and what came"
    legend = (
        LegendEntry("history", Style("blue")),
        LegendEntry("median", Style("orange")),
        LegendEntry(f"{lowest:.0%} to {highest:.0%}", Style("orange"), area=True, opacity=0.4),
        LegendEntry("what came", Style("green")),
    )
    return Picture("Forecast", draw("fan", alt, paint, height_inches=3.0), legend)


def _errors(models: Mapping[str, Mapping[str, float]]) -> Picture:
    names = list(models)
    over = [100 * models[name]["over"] for name in names]
    short = [-100 * models[name]["short"] for name in names]

    def paint(axes: Any) -> None:
        axes.barh(names, over, color=colour("blue"))
        axes.barh(names, short, color=colour("red"))
        axes.invert_yaxis()
        axes.axvline(0, color=colour("ink"), linewidth=0.8)
        axes.set_xlabel("mean of bound less truth, % of the mean load")

    alt = "How much the bound of each model was too high and too low on average"
    legend = (LegendEntry("too high", Style("blue"), area=True), LegendEntry("too low", Style("red"), area=True))
    return Picture("What the bounds missed by", draw("errors", alt, paint), legend)


def _table(found: Mapping[str, Any]) -> list[str]:
    models: Mapping[str, Mapping[str, float]] = found["models"]
    rows = [
        '<div class="wide" tabindex="0" role="region" aria-label="Models, in figures"><table>',
        "<thead><tr><th>model</th>",
    ]
    rows += [f"<th>{name}</th>" for name in (*_COLUMNS.values(), "fit s", "predict ms")]
    rows.append("</tr></thead><tbody>")
    for name, figures in models.items():
        best = ' class="best"' if name == found["champion"] else ""
        cells = [f"{figures[column]:.2%}" for column in _COLUMNS]
        cells += [f"{figures['fit_s']:.1f}", f"{figures['predict_ms']:.3f}"]
        rows.append(f"<tr{best}><th>{escape(name)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return [*rows, "</tbody></table></div>"]
