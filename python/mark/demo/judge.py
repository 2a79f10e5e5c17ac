"""What a run of the demo was worth, and what a fleet sized for its peak would have cost."""

from __future__ import annotations

from pathlib import Path

from mark import app
from mark.config import Config
from mark.demo.picture import draw_picture
from mark.demo.report import DemoReport
from mark.demo.series import Series
from mark.domain.offering import Market
from mark.policies.provisioning import peak_sized_fleet
from mark.workload.report import LoadReport

__all__ = ["judge"]


def judge(load: LoadReport, series: Series, config: Config, picture: Path) -> DemoReport:
    """The report of a run, its picture drawn."""
    model = config.models[0]
    slo, last = model.as_slo(), series.last
    # Sized as the controller sizes: for the highest rate of one window, with the same head-room.
    peak_per_s = load.peak_rate_per_s(model.controller.window_s) * model.controller.headroom
    fleet, usd_per_hour = _peak_fleet(config, peak_per_s)
    duration_s = last.at_s if last is not None else load.duration_s
    draw_picture(series, slo, picture)
    figures = load.as_dict(slo.rt_max_ms)
    return DemoReport(
        slo=slo,
        requests=figures["requests"],
        answered=figures["answered"],
        answers_wrong=figures["answers_wrong"],
        attainment=figures["attainment"],
        p50_ms=figures["latency_ms"]["p50"],
        p98_ms=figures["latency_ms"]["p98"],
        p99_ms=figures["latency_ms"]["p99"],
        cost_usd=last.cost_usd if last is not None else 0.0,
        peak_per_s=peak_per_s,
        peak_fleet=fleet,
        cost_usd_peak_sized=None if usd_per_hour is None else usd_per_hour * duration_s / 3600,
        duration_s=duration_s,
        by_status=figures["by_status"],
        workers_taken=0 if series.interruption is None else series.interruption.workers,
        picture=picture,
    )


def _peak_fleet(config: Config, peak_per_s: float) -> tuple[dict[str, int] | None, float | None]:
    """The cheapest fleet for the peak and what it costs in an hour; None when the offerings do not carry it.

    On demand: one that is rented once and never replaced would not outlive the interruption on spot.
    """
    model = config.models[0]
    rented = [offering.as_offering() for offering in config.offerings]
    offerings = [offering for offering in rented if offering.market is Market.ON_DEMAND]
    try:
        fleet = peak_sized_fleet(offerings, app.capacities(model, model.as_profiles()), peak_per_s)
    except ValueError:
        return None, None
    return fleet, sum(offering.price_usd_per_hour * fleet.get(offering.name, 0) for offering in offerings)
