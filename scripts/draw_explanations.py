"""Draws the pictures of docs/explanation with the simulator: `python scripts/draw_explanations.py`.

Two minutes of a core. Everything is made up and seeded, so that the same program draws the same pictures.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "site"))

from picture import standalone

from mark.app.simulated_scenario import simulated_scenario
from mark.app.simulation import simulate
from mark.report.comparison_plots import cost_bars, latency_plot
from mark.report.palette import offering_swatches
from mark.report.plots import Picture, attainment_plot, fleet_plot, highest_rate_per_s, rates_plot
from mark.workload.made_trace import MadeUp, load_of

__all__ = ["draw_all", "main"]

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
_SCENARIO = "paper/inception-v3"
_RATE_PER_S = 200.0
_HOURS = 24.0
_COMPARED = (
    "mark",
    "mark-spot",
    "mark-no-batching",
    "mark-no-forecast",
    "oracle",
    "reactive",
    "peak-static",
    "sagemaker",
)


def draw_all(hours: float = _HOURS) -> dict[str, Picture]:
    """Every picture by the name of its file.

    Args:
        hours: length of the day that most of them show; less is quicker.
    """
    scenario = simulated_scenario(_SCENARIO, None, None)
    sl_min = scenario.scenario.slo.sl_min
    day = load_of(MadeUp.DAILY, _RATE_PER_S, hours * 3600, seed=1)
    reports = {policy: simulate(scenario, day, policy, seed=1) for policy in _COMPARED}
    spot = reports["mark-spot"]
    usage = {offering: float(counts.sum()) for offering, counts in spot.series.fleet.items()}
    return {
        "planned-day": rates_plot("planned-day", reports["mark"], highest_rate_per_s(reports["mark"].series)),
        "policies-cost": cost_bars(list(reports.values()), sl_min),
        "batched-latency": latency_plot([reports["mark"], reports["mark-no-batching"]]),
        "spot-fleet": fleet_plot("spot-fleet", spot, offering_swatches(usage)),
        "spot-attainment": attainment_plot("spot-attainment", spot, sl_min),
    }


def main() -> None:
    """Write them all, and say what each shows."""
    for name, picture in draw_all().items():
        (PICTURES / f"{name}.svg").write_text(standalone(picture), encoding="utf-8")
        found = re.search(r'aria-label="([^"]*)"', picture.svg)
        sys.stdout.write(f"{name}: {found[1] if found else picture.title}\n")


if __name__ == "__main__":
    main()
