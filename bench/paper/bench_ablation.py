"""What batching, forecast, serverless and spot each save."""

from __future__ import annotations

import pytest
from bench.paper.ablation import ablation_table, savings_of
from bench.paper.runs import TRACE, Extent
from bench.paper.table import Show

pytestmark = [
    pytest.mark.skipif(not TRACE.is_file(), reason="the shared traces are not here"),
    pytest.mark.timeout(1800),
]


def test_each_idea_saves_or_keeps_the_promise(extent: Extent, quick: bool, show: Show) -> None:
    savings = savings_of(extent)
    show(ablation_table(savings))

    for saving in savings:
        assert saving.with_attainment >= 0.98
        if saving.idea == "spot":
            assert saving.share > 0.3
        elif saving.idea == "forecast":
            # Where it saves nothing, it keeps the promise, or costs next to nothing.
            assert quick or saving.share > -0.1 or saving.without_attainment < 0.98
        else:
            assert saving.share > -0.01
