"""Figure 8: a surge of the load, and the interruption of a cluster on spot."""

from __future__ import annotations

from bench.paper.interruptions import interrupted, interruption_table
from bench.paper.surges import surge_table, surged
from bench.paper.table import Show

RISES = (0.5, 0.75, 1.0)
SHARES = (0.2, 0.4, 0.8)


def test_a_surge_within_two_minutes_is_carried(show: Show, quick: bool) -> None:
    surges = [surged(rise, policy) for rise in (RISES[-1:] if quick else RISES) for policy in ("mark", "sagemaker")]
    show(surge_table(surges))

    for surge in surges:
        if surge.policy == "mark":
            assert surge.worst_attainment > 0.90
            assert surge.attainment_after > 0.98


def test_an_interruption_keeps_the_promise_and_standbys_are_faster_than_what_was_taken(show: Show, quick: bool) -> None:
    found = [interrupted(share, 20 if quick else 60) for share in SHARES]
    show(interruption_table(found))

    for each in found:
        assert each.attainment >= 0.98
        assert 19 <= each.running <= 21
        assert each.taken >= 20 * each.share
        assert each.bridged_ms < each.before_ms
        assert each.functions_share < 0.001  # it is the standbys that bridge
