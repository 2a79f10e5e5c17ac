"""What a router may spend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Protocol

from pydantic import Field, model_validator

from mark.config.values import NotBool, Section, wrong
from mark.domain.budget import BudgetCaps

__all__ = ["BudgetConfig", "check_budget"]

_Dollars = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False), NotBool]
_HOURS = 25  # of a day, and what reacting to its cap takes


class _Offered(Protocol):
    @property
    def standby(self) -> bool: ...
    @property
    def price_usd_per_hour(self) -> float | None: ...


class BudgetConfig(Section):
    """Caps on what all models together may cost; without the section there are none."""

    max_usd_per_hour: _Dollars | None = Field(
        default=None,
        description="What may be committed at any time: all that runs or boots, and an hour's functions.",
    )
    max_usd_per_day: _Dollars | None = Field(default=None, description="From midnight to midnight, UTC.")

    @model_validator(mode="after")
    def _check_some(self) -> BudgetConfig:
        if self.max_usd_per_hour is None and self.max_usd_per_day is None:
            raise wrong("give max_usd_per_hour, max_usd_per_day or both, or leave budget out")
        return self

    def as_caps(self) -> BudgetCaps:
        """As the control path takes it."""
        return BudgetCaps(
            math.inf if self.max_usd_per_hour is None else self.max_usd_per_hour,
            math.inf if self.max_usd_per_day is None else self.max_usd_per_day,
        )


def check_budget(budget: BudgetConfig | None, offerings: Iterable[_Offered], instances_min: int) -> None:
    """Refuse caps that do not even pay for the instances that are to run at all times, whatever the load."""
    prices = [each.price_usd_per_hour for each in offerings if not each.standby and each.price_usd_per_hour is not None]
    if budget is None or not prices:
        return
    least = instances_min * min(prices)
    if budget.max_usd_per_hour is not None and budget.max_usd_per_hour < least:
        raise wrong(
            f"does not pay for min_instances of the models, which cost ${least:g} an hour at least; raise it or lower "
            "min_instances",
            "budget", "max_usd_per_hour",
        )  # fmt: skip
    if budget.max_usd_per_day is not None and budget.max_usd_per_day < _HOURS * least:
        raise wrong(
            f"does not pay for min_instances of the models, which cost ${24 * least:g} a day at least, and an hour "
            "more for what is exchanged; raise it or lower min_instances",
            "budget", "max_usd_per_day",
        )  # fmt: skip
