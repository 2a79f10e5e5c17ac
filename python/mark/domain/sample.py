"""How one model is served at a moment: what the live page and `mark top` show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mark.domain.forecast import Forecast

__all__ = ["ModelSample"]


@dataclass(frozen=True, slots=True)
class ModelSample:
    """One look at one model, once a second. Rates are over the second before it.

    As JSON (`as_dict`) it is an object with these very names: `forecast` has those of `Forecast` or is null, windows
    are strings, and what is not finite is null.

    Attributes:
        unix_s: when, in seconds since 1970.
        model: its name.
        load_per_s: rows per second that were offered, refused ones included.
        requests_per_s: requests per second that ended, by outcome ("answered", "late", ...).
        forecast: what the last plan was made for; None before the first plan.
        forecast_unix_s: when that plan was made: about when step 0 of the forecast began; 0 before the first.
        foreseen_per_s: what the plan before the last expected of now, in rows per second: "bound", that it planned for,
            and the quantiles of its forecast by level, such as "0.9"; empty while there is none.
        capacity_planned_per_s: rows per second that the fleet serves under the SLO once the last plan is carried out.
        capacity_ready_per_s: rows per second that the instances which answer now serve under the SLO.
        instances: those that live, by market and then by state ("ready", "pending", "draining").
        latency_ms: of what was answered in the last seconds, by "p50", "p98" and "p99"; empty when nothing was.
        rt_max_ms: what was promised: an answer within this time ...
        sl_min: ... for at least this share of requests.
        attainment: share of the requests that were answered in time, by window in seconds.
        burn_rate: share of misses over the share that the promise allows, by window in seconds.
        error_budget_left: share of the longest window's budget; less than 0 when it is overdrawn.
        queued: requests that wait.
        in_flight: requests that are with a worker.
        usd_per_hour: what instances are billed at now, by market; of functions, what they cost in the last hour.
        usd_total: what the model has cost so far.
        usd_peak_sized: what a fleet on demand sized for the highest load so far would have cost for as long; None where
            the offerings cannot carry it, or there are none.
    """

    unix_s: float
    model: str
    load_per_s: float
    requests_per_s: Mapping[str, float]
    forecast: Forecast | None
    forecast_unix_s: float
    foreseen_per_s: Mapping[str, float]
    capacity_planned_per_s: float
    capacity_ready_per_s: float
    instances: Mapping[str, Mapping[str, int]]
    latency_ms: Mapping[str, float]
    rt_max_ms: float
    sl_min: float
    attainment: Mapping[int, float]
    burn_rate: Mapping[int, float]
    error_budget_left: float
    queued: int
    in_flight: int
    usd_per_hour: Mapping[str, float]
    usd_total: float
    usd_peak_sized: float | None

    @property
    def step_now(self) -> int:
        """Which step of the forecast runs now; 0 without one."""
        if self.forecast is None or self.forecast.step_s <= 0:
            return 0
        return max(0, math.floor((self.unix_s - self.forecast_unix_s) / self.forecast.step_s))

    def as_dict(self) -> dict[str, Any]:
        """The sample as JSON-ready values, in the order of its attributes: the sample's own, and no copies."""
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "forecast": None if self.forecast is None else _as_dict(self.forecast),
            "attainment": {str(window_s): share for window_s, share in self.attainment.items()},
            "burn_rate": {str(window_s): _finite(rate) for window_s, rate in self.burn_rate.items()},
            "error_budget_left": _finite(self.error_budget_left),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSample:
        """Read what `as_dict` wrote; fields that a later version added are passed over.

        Raises:
            ValueError: it is no sample; the message names the field that is missing or wrong.
        """
        try:
            values = {name: data[name] for name in cls.__slots__}
        except KeyError as error:
            raise ValueError(f"no sample of a model: {error.args[0]} is missing") from error
        try:
            values["forecast"] = None if data["forecast"] is None else _forecast(data["forecast"])
            values["attainment"] = {int(window_s): float(share) for window_s, share in data["attainment"].items()}
            values["burn_rate"] = {
                int(window_s): math.inf if rate is None else float(rate) for window_s, rate in data["burn_rate"].items()
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no sample of a model: forecast, attainment or burn_rate: {error}") from error
        if values["error_budget_left"] is None:
            values["error_budget_left"] = -math.inf
        return cls(**values)


def _as_dict(forecast: Forecast) -> dict[str, Any]:
    return {name: getattr(forecast, name) for name in forecast.__slots__}


def _forecast(data: Mapping[str, Any]) -> Forecast:
    return Forecast(
        step_s=float(data["step_s"]),
        rates_per_s=tuple(data["rates_per_s"]),
        forecaster=str(data["forecaster"]),
        levels=tuple(data["levels"]),
        quantiles_per_s=tuple(tuple(rates) for rates in data["quantiles_per_s"]),
        fallback=str(data["fallback"]),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
