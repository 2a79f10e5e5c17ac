"""Traces of loads that nobody recorded."""

from __future__ import annotations

import enum

import numpy as np

from mark.domain.load import Load
from mark.domain.trace import Trace
from mark.workload.mmpp import MmppLoad, TwoState
from mark.workload.synthetic import Bursts, DailyLoad, surge

__all__ = ["MadeUp", "load_of", "trace_of"]

_DAY_S = 86_400.0


class MadeUp(enum.Enum):
    """What kind of load."""

    DAILY = "daily"
    MMPP = "mmpp"
    SURGE = "surge"


def load_of(kind: MadeUp, rate_per_s: float, duration_s: float, seed: int) -> Load:
    """A load of a kind, about as high as `rate_per_s`.

    Daily: from half of the rate to one and a half times it and back each day, and in every day about twelve surprise
    bursts of ten minutes, three times the rate of their moment. MMPP: quiet at half of the rate for half an hour and
    busy at one and a half times it as long, on average. Surge: at the rate until the middle of the duration, then twice
    as high within two minutes.

    Raises:
        ValueError: rate or duration make no sense.
    """
    if kind is MadeUp.DAILY:
        bursts = Bursts(height=2.0, length_s=600.0, per_day=12.0)
        return DailyLoad(1.5 * rate_per_s, 0.5 * rate_per_s, days=duration_s / _DAY_S, bursts=bursts, seed=seed)
    if kind is MadeUp.MMPP:
        states = TwoState(0.5 * rate_per_s, 1.5 * rate_per_s, quiet_s=1800.0, busy_s=1800.0)
        return MmppLoad(states.process(), duration_s, seed)
    return surge(rate_per_s, 1.0, at_s=duration_s / 2, rise_s=min(120.0, duration_s / 4), duration_s=duration_s)


def trace_of(load: Load, bin_s: float, seed: int) -> Trace:
    """Requests of a load by bin, drawn as Poisson counts; the last bin may be shorter than the others."""
    means = np.zeros(1)
    begin_s = 0.0
    for chunk in load.chunks():
        edges = np.concatenate([[begin_s], chunk.ends_s])
        begin_s = float(edges[-1])
        means.resize(int(np.ceil(begin_s / bin_s)), refcheck=False)
        # Requests up to each edge, read off at the bins' edges.
        until = np.concatenate([[0.0], np.cumsum(np.diff(edges) * chunk.rates_per_s)])
        bin_edges = np.clip(np.arange(len(means) + 1) * bin_s, edges[0], edges[-1])
        means += np.diff(np.interp(bin_edges, edges, until))
    counts = np.random.default_rng(seed).poisson(means)
    return Trace(bin_s, counts.astype(np.float64))
