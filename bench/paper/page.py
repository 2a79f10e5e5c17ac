"""All tables on one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.paper.ablation import ablation_table, savings_of
from bench.paper.batches import batch_curves, batch_limits_of, curves_table, limits_table
from bench.paper.costs import long_ratios_table, oracle_gap, oracle_table, table5
from bench.paper.interruptions import interrupted, interruption_table
from bench.paper.misses import figure7
from bench.paper.runs import Extent
from bench.paper.services import services_of, services_table, sizes_table
from bench.paper.surges import surge_table, surged
from bench.paper.table import Table

__all__ = ["page"]

_WHOLE_TRACE = "opennmt-ende"  # the cheapest to simulate

_HEAD = """# The paper's evaluation, simulated

<!-- Written by `.venv/bin/python -m bench.paper` (a quarter of an hour on one core); do not edit. -->

Tables 2, 3 and 5 and figures 1, 2, 6 (means only), 7 and 8 of MArk (Zhang, Yu, Wang, Yan, USENIX ATC 2019) again, in
`mark`'s simulator: the published figure, ours beside it, and why they differ; and an ablation that the paper has not.
`.venv/bin/pytest bench/paper` prints the same tables, over shorter times where days are simulated, and asserts what is
claimed.

Not the paper's are the trace (Twitter, August 2021, 22 days from Archive Team's stream; the paper's is of 2017 and not
public) and the clouds, which exist in numbers only. Its rates are scaled so that the mean of all 22 days is 4,000
requests a minute, times what the paper's prototype gives each model. "In time" is the share of all requests answered
within the SLO, refused ones being misses; 98 % is promised. What else is assumed is in the notes of each scenario:
`mark simulate paper/inception-v3 --trace day.csv`.

![SageMaker's cost over mark's, published and ours, and a surge by minute](pictures/paper.svg)
"""


def page(extent: Extent) -> str:
    """The page, in markdown."""
    return "\n".join([_HEAD, *(table.as_markdown() for table in _tables(extent))]).rstrip() + "\n"


def _tables(extent: Extent) -> Iterator[Table]:
    yield table5(extent)
    yield oracle_table([oracle_gap(model, extent.hours) for model in extent.models])
    yield long_ratios_table(replace(extent, long_hours={**extent.long_hours, _WHOLE_TRACE: None}))
    yield ablation_table(savings_of(extent))
    yield figure7(extent)
    yield surge_table([surged(rise, policy) for rise in (0.5, 0.75, 1.0) for policy in ("mark", "sagemaker")])
    yield interruption_table([interrupted(share) for share in (0.2, 0.4, 0.8)])
    found = {model: services_of(model) for model in ("inception-v3", "opennmt-ende")}
    yield services_table(found)
    yield sizes_table(found)
    yield curves_table(batch_curves())
    yield limits_table(batch_limits_of())
