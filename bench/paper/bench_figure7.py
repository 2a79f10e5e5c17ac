"""Figure 7: what takes longer than RT_max, on Twitter and on a load with two levels."""

from __future__ import annotations

import pytest
from bench.paper.misses import figure7
from bench.paper.runs import TRACE, Extent, on_mmpp, on_twitter
from bench.paper.table import Show

pytestmark = [
    pytest.mark.skipif(not TRACE.is_file(), reason="the shared traces are not here"),
    pytest.mark.timeout(1800),
]


def test_mark_misses_less_than_two_per_cent_and_less_than_sagemaker(extent: Extent, show: Show) -> None:
    show(figure7(extent))

    for model in extent.models:
        pairs = (
            [on_twitter(model, policy, extent.hours) for policy in ("mark", "sagemaker")],
            [on_mmpp(model, policy, extent.mmpp_hours) for policy in ("mark", "sagemaker")],
        )
        for mark, sagemaker in pairs:
            assert mark.attainment >= 0.98
            assert mark.attainment >= sagemaker.attainment - 0.001
