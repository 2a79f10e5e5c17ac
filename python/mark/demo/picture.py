"""The demo's picture: load, forecast, capacity and violations over time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from mark.demo.series import Interruption, Series
from mark.domain.slo import Slo
from mark.errors import ConfigError

__all__ = ["draw_picture"]

_LOAD = "#1f4e79"
_FORECAST = "#d98c00"
_CAPACITY = "#4a9c6d"
_VIOLATION = "#c0392b"
_INTERRUPTION = "#7d3c98"


def draw_picture(series: Series, slo: Slo, path: Path) -> None:
    """Write a PNG of three panels that share the time axis: rates, latency against the promise, and the fleet.

    An interruption is marked in each, from its notice to its end.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(f"the demo needs {error.name}: pip install 'mark-serve[demo]'") from error
    samples = series.samples
    at_s = [sample.at_s for sample in samples]
    figure = Figure(figsize=(10, 9), layout="constrained")
    FigureCanvasAgg(figure)
    rates, latency, fleet = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])

    capacity = [sample.capacity_per_s for sample in samples]
    rates.fill_between(at_s, capacity, step="post", color=_CAPACITY, alpha=0.15)
    rates.step(at_s, capacity, where="post", color=_CAPACITY, label="capacity ready")
    rates.step(at_s, [sample.forecast_per_s for sample in samples], where="post", color=_FORECAST, label="forecast")
    rates.plot(at_s, [sample.load_per_s for sample in samples], color=_LOAD, label="load")
    rates.set_ylabel("requests per second")
    rates.set_title("The fleet follows the load", loc="left")

    latency.plot(at_s, [sample.p98_ms for sample in samples], color=_LOAD, label="p98 latency")
    latency.axhline(slo.rt_max_ms, color=_VIOLATION, linestyle="--", label=f"rt_max {slo.rt_max_ms:g} ms")
    latency.set_ylabel("milliseconds")
    violations = latency.twinx()
    counts = [after.violations - before.violations for before, after in pairwise(samples)]
    violations.bar(at_s[1:], counts, width=0.4, color=_VIOLATION, alpha=0.4, label="violations")
    violations.set_ylabel("violations per sample")
    violations.set_ylim(0, max([5, *counts]))

    names = sorted({name for sample in samples for name in sample.ready})
    if names:  # none was ready, or no sample was taken: a short or an unlucky run
        fleet.stackplot(
            at_s,
            *[[sample.ready.get(name, 0) for sample in samples] for name in names],
            labels=names, step="post", alpha=0.6,
        )  # fmt: skip
    fleet.step(
        at_s, [sum(sample.ready.values()) + sample.pending for sample in samples],
        where="post", color="black", linewidth=0.8, label="with those that boot",
    )  # fmt: skip
    fleet.set_ylabel("instances")
    fleet.set_xlabel("seconds")

    for axes in (rates, latency, fleet):
        _mark_interruption(axes, series.interruption)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left", fontsize="small", ncols=4)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.2)  # room for the legend
    violations.legend(loc="upper right", fontsize="small")
    figure.savefig(path, dpi=120)


def _mark_interruption(axes: Any, interruption: Interruption | None) -> None:
    if interruption is not None:
        until_s = interruption.at_s + interruption.notice_s
        axes.axvspan(interruption.at_s, until_s, color=_INTERRUPTION, alpha=0.12)
        axes.axvline(until_s, color=_INTERRUPTION, linewidth=1, label=f"{interruption.workers} spot workers taken away")
