"""Made-up reports of simulated runs whose figures agree with each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mark.domain.simulation_report import Cost, LatencySummary, Served, SimulationReport, SimulationSeries

__all__ = ["MadeUp"]

Floats = npt.NDArray[np.float64]

_EDGES_MS: Floats = np.power(1.031, np.arange(400, dtype=np.float64))
_MARKETS = ("on_demand", "spot", "burstable", "serverless")


@dataclass(frozen=True)
class MadeUp:
    """What a run was like; `report()` works out the rest."""

    policy: str = "mark"
    bins: int = 12
    bin_s: float = 60.0
    base_per_s: float = 50.0
    miss_share: float = 0.004
    serverless_share: float = 0.02
    usd_per_hour: dict[str, float] = field(default_factory=lambda: {"c5.large": 0.085, "p2.xlarge/spot": 0.27})
    headroom: float = 1.2
    median_ms: float = 180.0
    rt_max_ms: float = 600.0
    interruptions: int = 2
    notes: tuple[str, ...] = ("assumed: instances boot in 60 s",)
    seed: int = 1

    def report(self) -> SimulationReport:
        offered = self._offered()
        in_time = np.floor(
            offered * (1 - self.miss_share * np.where(offered > 1.5 * offered.sum() / max(1, self.bins), 5, 0.5))
        )
        serverless = np.floor(in_time * self.serverless_share)
        fleet = self._fleet(offered)
        spent = self._spent(fleet, serverless)
        requests, answered, missed = int(offered.sum()), int(in_time.sum()), int((offered - in_time).sum())
        shares = 1 / (1 + (_EDGES_MS / self.median_ms) ** -5.0)
        return SimulationReport(
            scenario="paper/inception-v3",
            policy=self.policy,
            rt_max_ms=self.rt_max_ms,
            duration_s=self.bins * self.bin_s,
            requests=requests,
            cost=Cost(*(float(spent[market].sum()) for market in _MARKETS)),
            attainment=answered / requests if requests else 1.0,
            latency=LatencySummary(*(self.median_ms * factor for factor in (1.1, 1.0, 2.18, 2.51))),
            served=Served(answered - int(serverless.sum()), int(serverless.sum()), missed // 2, missed - missed // 2),
            interruptions=self.interruptions,
            wall_s=0.5,
            series=SimulationSeries(
                bin_s=self.bin_s, offered=offered, in_time=in_time, serverless=serverless,
                latency_mean_ms=np.where(offered > 0, 1.1 * self.median_ms, 0.0),
                forecast_per_s=np.append(offered[:1], offered[:-1]) * 1.05 / self.bin_s,
                capacity_per_s=sum(fleet.values(), np.zeros(self.bins)) * 10.0,
                usd_by_market=spent, fleet=fleet, latency_edges_ms=_EDGES_MS, latency_shares=shares / shares[-1:],
            ),
            notes=self.notes,
        )  # fmt: skip

    def _offered(self) -> Floats:
        """Days of waves, with bursts."""
        at_s = np.arange(self.bins) * self.bin_s
        rng = np.random.default_rng(self.seed)
        wave = 1 - 0.6 * np.cos(2 * np.pi * at_s / 86_400) + 0.15 * np.sin(2 * np.pi * at_s / 21_600)
        for start in rng.integers(0, max(1, self.bins), size=self.bins // 700):
            wave[start : start + 12] *= 2.2
        return rng.poisson(self.base_per_s * self.bin_s * wave).astype(np.float64)

    def _fleet(self, offered: Floats) -> dict[str, Floats]:
        if not self.usd_per_hour:
            return {}
        needed = np.ceil(offered / self.bin_s * self.headroom / 10)
        needed = np.array([needed[max(0, at - 10) : at + 3].max() for at in range(self.bins)])
        each = np.floor(needed / len(self.usd_per_hour))
        names = list(self.usd_per_hour)
        return {**dict.fromkeys(names[1:], each), names[0]: needed - each * (len(names) - 1)}

    def _spent(self, fleet: dict[str, Floats], serverless: Floats) -> dict[str, Floats]:
        spent = {market: np.zeros(self.bins) for market in ("on_demand", "spot", "burstable")}
        for offering, counts in fleet.items():
            market = "spot" if offering.endswith("/spot") else "on_demand"
            spent[market] = spent[market] + counts * self.usd_per_hour[offering] * self.bin_s / 3_600
        return {**spent, "serverless": serverless * 2e-5}
