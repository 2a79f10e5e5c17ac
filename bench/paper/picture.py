"""The overview picture: what the policies cost beside what was published, and a surge by minute."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from bench.paper.published import TWITTER_USD
from bench.paper.runs import Extent, on_twitter
from bench.paper.surges import surged

from mark.report.drawing import colour

__all__ = ["overview"]

_POLICIES = ("mark", "mark-spot")


def overview(extent: Extent) -> str:
    """The picture, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mark", "font.size": 9}):
        figure = Figure(figsize=(9.0, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        _paint_costs(left, extent)
        _paint_surges(right)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None}, facecolor="white")
    return re.sub(r"[ \t]+$", "", written.getvalue(), flags=re.MULTILINE)


def _paint_costs(axes: Any, extent: Extent) -> None:
    places = np.arange(len(extent.models))
    shown = [(policy, is_ours) for policy in _POLICIES for is_ours in (False, True)]
    for number, (policy, is_ours) in enumerate(shown):
        ratios = [_ratio(model, policy, extent.hours if is_ours else None) for model in extent.models]
        axes.bar(
            places + (number - 1.5) * 0.2,
            ratios,
            0.18,
            color=colour("blue" if policy == "mark" else "orange"),
            alpha=1.0 if is_ours else 0.45,
            label=f"{policy}, {'ours' if is_ours else 'published'}",
        )
    axes.axhline(1.0, color=colour("faint"), linewidth=0.8)
    axes.set_xticks(places, extent.models)
    axes.set_ylabel("SageMaker's cost over it")
    axes.set_title(f"Table 5: {extent.hours * 60:.0f} minutes of Twitter", fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=8)


def _ratio(model: str, policy: str, hours: float | None) -> float:
    """Ours over so many hours; the published one for None."""
    if hours is None:
        return TWITTER_USD[model]["sagemaker"] / TWITTER_USD[model][policy]
    usd = {name: on_twitter(model, name, hours).cost.total_usd for name in ("sagemaker", policy)}
    return usd["sagemaker"] / usd[policy]


def _paint_surges(axes: Any) -> None:
    for policy, swatch in (("mark", "blue"), ("sagemaker", "red")):
        means_ms = surged(1.0, policy).means_ms
        axes.plot(np.arange(len(means_ms)) + 0.5, means_ms, color=colour(swatch), label=policy)
    axes.axvspan(10, 12, color=colour("grid"), zorder=0)
    axes.axhline(100.0, color=colour("faint"), linewidth=0.8, linestyle="--")
    axes.annotate("RT_max", (0, 100), xytext=(0, 2), textcoords="offset points", fontsize=8)
    axes.set_xlabel("minutes")
    axes.set_ylabel("mean latency of a minute, ms")
    axes.set_ylim(0, 115)
    axes.set_title("Figure 8c: LSTM-ptb, load doubles in 2 minutes", fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=8)
