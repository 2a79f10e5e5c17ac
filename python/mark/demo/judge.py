"""What a run of the demo was worth, and what a fleet sized for its peak would have cost."""

from __future__ import annotations

from pathlib import Path

from mark import app
from mark.config import Config
from mark.demo.picture import draw_picture
from mark.demo.report import DemoReport
from mark.demo.series import Series
from mark.policies.peak_sized import on_demand_for_peak
from mark.workload.report import LoadReport

__all__ = ["judge"]


def judge(load: LoadReport, series: Series, config: Config, picture: Path) -> DemoReport:
    """The report of a run, its picture drawn."""
    model = config.models[0]
    slo, last = model.as_slo(), series.last
    # Sized as the controller sizes: for the highest rate of one window, with the same head-room.
    peak_per_s = load.peak_rate_per_s(model.controller.window_s) * model.controller.headroom
    offerings = [offering.as_offering() for offering in config.offerings]
    fleet = on_demand_for_peak(offerings, app.capacities(model, model.as_profiles()), peak_per_s)
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
        peak_fleet=None if fleet is None else dict(fleet.counts),
        cost_usd_peak_sized=None if fleet is None else fleet.usd(duration_s),
        duration_s=duration_s,
        by_status=figures["by_status"],
        workers_taken=0 if series.interruption is None else series.interruption.workers,
        picture=picture,
    )
