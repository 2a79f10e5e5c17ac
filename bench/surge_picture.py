"""The picture of a surge: who carried what, second by second, with functions and without."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from integration.surge_run import Carried, SurgeRun

from mark.report.drawing import colour

__all__ = ["picture_of"]


def picture_of(runs: Mapping[str, SurgeRun], surge_at_s: float) -> str:
    """One panel for each run, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mark", "font.size": 9}):
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for axes, (title, run) in zip(panels, runs.items(), strict=True):
            _paint(axes, run, surge_at_s)
            axes.set_title(f"{title}: worst ten seconds {run.worst_window():.0%}", fontsize=9, loc="left")
        panels[0].set_ylabel("requests that ended in a second")
        panels[0].legend(frameon=False, fontsize=8, loc="upper left", ncols=3)
        panels[0].set_ylim(0, panels[0].get_ylim()[1] * 1.25)  # room for the legend
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None}, facecolor="white")
    return re.sub(r"[ \t]+$", "", written.getvalue(), flags=re.MULTILINE)


def _paint(axes: Any, run: SurgeRun, surge_at_s: float) -> None:
    seconds = np.arange(int(run.load.instants_s[-1]) + 1)
    parts = {
        "by instances": ("blue", _per_second(run.carried, [each.by_instances for each in run.carried], seconds)),
        "by functions": ("purple", _per_second(run.carried, [each.by_functions for each in run.carried], seconds)),
        "not in time": ("red", _per_second(run.carried, [each.not_in_time for each in run.carried], seconds)),
    }
    axes.stackplot(
        seconds[1:],
        [counts for _, counts in parts.values()],
        labels=list(parts),
        colors=[colour(swatch) for swatch, _ in parts.values()],
        alpha=0.75,
        linewidth=0,
    )
    axes.axvline(surge_at_s, ymax=0.8, color=colour("faint"), linewidth=0.8, linestyle="--")
    for before, after in zip(run.carried, run.carried[1:], strict=False):
        if after.instances > before.instances and after.at_s > 1.0:
            axes.axvline(after.at_s, ymax=0.8, color=colour("green"), linewidth=0.8)
            axes.annotate(
                f"{after.instances} instances", (after.at_s, 0), xytext=(2, 4), textcoords="offset points", fontsize=8
            )
    axes.set_xlabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)


def _per_second(carried: Sequence[Carried], totals: Sequence[int], seconds: Any) -> Any:
    """Counts of each second, from totals at the instants at which the router was looked at."""
    return np.diff(np.interp(seconds, [each.at_s for each in carried], totals))
