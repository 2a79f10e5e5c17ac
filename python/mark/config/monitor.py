"""What is done between two plans when the promise is broken."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mark.config.values import DAY_S, Count, NotBool, Seconds, Section
from mark.controlplane.slo_monitor import SloMonitorParams

__all__ = ["MonitorConfig"]


class MonitorConfig(Section):
    """The SLO monitor of one model."""

    enabled: bool = True
    every_s: Annotated[float, Field(ge=0.1, le=DAY_S, allow_inf_nan=False), NotBool] = 1.0
    requests: Count = 500
    cooldown_s: Seconds | None = None  # a step of the controller: then the next plan has had its say
    load_factor_max: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False), NotBool] = 2.0

    def as_params(self, sl_min: float, step_s: float) -> SloMonitorParams | None:
        """As a controller with such steps takes it, for a promise; None when it is off."""
        if not self.enabled:
            return None
        return SloMonitorParams(
            sl_min=sl_min,
            requests=self.requests,
            every_s=self.every_s,
            cooldown_s=step_s if self.cooldown_s is None else self.cooldown_s,
            load_factor_max=self.load_factor_max,
        )
