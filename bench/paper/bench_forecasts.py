"""What a forecast is worth in dollars, at the same attainment."""

from __future__ import annotations

import pytest
from bench.paper.forecasts import FULL, QUICK, money_table, reports_of
from bench.paper.table import Show


def test_the_champion_costs_less_than_what_keeps_the_promise_as_well(show: Show, quick: bool) -> None:
    pytest.importorskip("torch", reason="the LSTMs need torch")
    stretches = (QUICK,) if quick else FULL
    show(money_table(stretches))

    for stretch in stretches:
        champion, oracle, *others = reports_of(stretch)
        assert champion.attainment >= 0.98
        assert champion.cost.total_usd < 1.5 * oracle.cost.total_usd
        as_good = [each for each in others if each.attainment >= champion.attainment]
        assert all(each.cost.total_usd > champion.cost.total_usd for each in as_good)
        # None of those that miss more is so much cheaper that it would not matter.
        assert as_good or max(each.cost.total_usd for each in others) > champion.cost.total_usd
