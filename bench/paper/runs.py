"""The runs that the tables are made of; one that several tables need is simulated once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mark.app.simulated_scenario import SimulatedScenario, simulated_scenario
from mark.app.simulation import SimulationQuestion, run, simulate
from mark.domain.load import LoadChunk
from mark.domain.simulation_report import SimulationReport
from mark.workload.mmpp import MmppLoad, TwoState
from mark.workload.synthetic import SteppedLoad
from mark.workload.trace_load import TraceLoad, mean_per_s

__all__ = [
    "FULL",
    "MODELS",
    "QUICK",
    "TRACE",
    "Extent",
    "burst_minutes",
    "on_mmpp",
    "on_twitter",
    "scenario_of",
    "without_bursts",
]

Floats = npt.NDArray[np.float64]

MODELS = ("inception-v3", "nasnet", "lstm-ptb", "opennmt-ende")
TRACE = Path(__file__).resolve().parents[3] / "shared" / "traces" / "twitter_2021_08_per_minute.csv"
SEED = 0
BURST_RATIO = 1.5  # a minute with so many times the requests of the median of the two hours around it is in a burst
_USUAL_MINUTES = 121
# "Two levels of about 1K and 2.5-3K/min" (figure 5 of the paper); how long each lasts is not given.
_MMPP_LEVELS_PER_MIN = (1000.0, 2750.0)
_MMPP_LEVEL_S = 600.0  # assumed
# The prototype divides the gaps between arrivals by this.
_MMPP_SCALES = {"inception-v3": 2.0, "nasnet": 1.0, "lstm-ptb": 6.0, "opennmt-ende": 1.0}


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is simulated.

    Attributes:
        models: of the paper's four.
        hours: of the Twitter trace, from its beginning.
        long_hours: of it for the long runs, by model; None for all 22 days.
        mmpp_hours: of the load with two levels.
    """

    models: tuple[str, ...]
    hours: float
    long_hours: dict[str, float | None]
    mmpp_hours: float


FULL = Extent(MODELS, 490 / 60, {"inception-v3": 24.0, "nasnet": 48.0, "lstm-ptb": 24.0, "opennmt-ende": 48.0}, 4.0)
QUICK = Extent(("lstm-ptb",), 1.0, {"lstm-ptb": 1.5}, 0.5)


@cache
def scenario_of(model: str) -> SimulatedScenario:
    """The built-in scenario of a model of the paper."""
    return simulated_scenario(f"paper/{model}", None)


@cache
def on_twitter(model: str, policy: str, hours: float | None) -> SimulationReport:
    """A policy on the beginning of the Twitter trace, at the paper's scale."""
    return run(SimulationQuestion(f"paper/{model}", None, TRACE, SEED, hours, None), policy)


@cache
def on_mmpp(model: str, policy: str, hours: float) -> SimulationReport:
    """A policy on the paper's load that changes between two levels by chance."""
    quiet_per_s, busy_per_s = (level / 60 * _MMPP_SCALES[model] for level in _MMPP_LEVELS_PER_MIN)
    process = TwoState(quiet_per_s, busy_per_s, _MMPP_LEVEL_S, _MMPP_LEVEL_S).process()
    return simulate(scenario_of(model), MmppLoad(process, hours * 3600, seed=SEED), policy, seed=SEED)


@cache
def without_bursts(model: str, policy: str, hours: float) -> SimulationReport:
    """A policy on the beginning of the Twitter trace, with its bursts cut off where they begin to be some."""
    simulated = scenario_of(model)
    rates_per_s, usual_per_s = _trace_rates()
    scale = (simulated.trace_mean_per_s or 0.0) / mean_per_s(TRACE)
    minutes = round(hours * 60)
    cut_per_s = scale * np.minimum(rates_per_s, BURST_RATIO * usual_per_s)[:minutes]
    load = SteppedLoad(LoadChunk(60.0 * np.arange(1, minutes + 1, dtype=np.float64), cut_per_s))
    return simulate(simulated, load, policy, seed=SEED)


def burst_minutes(hours: float) -> npt.NDArray[np.bool_]:
    """Which minutes of the beginning of the Twitter trace lie in a burst."""
    rates_per_s, usual_per_s = _trace_rates()
    return (rates_per_s > BURST_RATIO * usual_per_s)[: round(hours * 60)]


@cache
def _trace_rates() -> tuple[Floats, Floats]:
    """The rate of each minute, and what is usual around it."""
    rates_per_s = np.concatenate([chunk.rates_per_s for chunk in TraceLoad(TRACE).chunks()])
    padded = np.pad(rates_per_s, _USUAL_MINUTES // 2, mode="reflect")
    around = np.lib.stride_tricks.sliding_window_view(padded, _USUAL_MINUTES)
    return rates_per_s, np.median(around, axis=1)
