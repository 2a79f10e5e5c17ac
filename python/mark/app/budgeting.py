"""What a model may spend, and which stages of degrading there are for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from mark.config import BatchingConfig, ControllerConfig
from mark.controlplane.spending import Granting, Spending, SpendingParams
from mark.domain.budget import Stage
from mark.domain.offering import Market, Offering

__all__ = ["spending_of"]

_CALM_STEPS = 5


def spending_of(
    granting: Granting,
    model: str,
    offerings: Iterable[Offering],
    settings: tuple[ControllerConfig, BatchingConfig],
    *,
    serverless: bool,
) -> Spending:
    """The spending of one model out of a budget.

    Args:
        granting: the budget.
        model: its name.
        offerings: what it may be planned with.
        settings: of its controller and its batching.
        serverless: whether it has functions.
    """
    controller, batching = settings
    params = SpendingParams(
        stages=tuple(_stages({offering.market for offering in offerings}, serverless=serverless)),
        calm_s=max(controller.cooldown_s, _CALM_STEPS * controller.step_s),
        window_s=controller.window_s,
        sheds=batching.priority_levels > 1,
    )
    return Spending(granting, model, params)


def _stages(markets: Collection[Market], *, serverless: bool) -> Iterator[Stage]:
    """Those that give something up, in order."""
    yield Stage.FULL
    if Market.SPOT in markets:
        yield Stage.SPOT_FIRST
    if serverless:
        yield Stage.NO_SERVERLESS
    yield Stage.SHED
