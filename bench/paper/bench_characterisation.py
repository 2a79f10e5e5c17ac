"""Tables 2 and 3, figures 1 and 2, and the limits of batches: what the scenarios are made of."""

from __future__ import annotations

import pytest
from bench.paper.batches import batch_curves, batch_limits_of, curves_table, limits_table
from bench.paper.published import BATCH_LATENCIES, BATCHES, SERVICES
from bench.paper.services import services_of, services_table, sizes_table
from bench.paper.table import Show

MODELS = ("inception-v3", "opennmt-ende")


def test_a_single_instance_costs_and_takes_what_was_published(show: Show, quick: bool) -> None:
    found = {model: services_of(model, 60 if quick else 240) for model in MODELS}
    show(services_table(found))
    show(sizes_table(found))

    for name, (usd, mean_ms) in SERVICES["inception-v3"].items():
        ours = found["inception-v3"][name]
        assert ours.mean_ms == pytest.approx(mean_ms, rel=0.03)
        assert ours.usd == pytest.approx(usd, rel=0.15 if name == "lambda" else 0.03)


def test_batches_are_the_published_ones(show: Show) -> None:
    curves, limits = batch_curves(), batch_limits_of()
    show(curves_table(curves))
    show(limits_table(limits))

    for key, points in curves.items():
        for size, ratio in points:
            assert ratio == pytest.approx(BATCH_LATENCIES[key][BATCHES.index(size)], rel=0.02)
    assert limits["inception-v3", "p2.xlarge"].n_batch == 8
    assert limits["opennmt-ende", "c5.4xlarge"].n_batch == 2
    assert limits["opennmt-ende", "c5.xlarge"].n_batch == 0
