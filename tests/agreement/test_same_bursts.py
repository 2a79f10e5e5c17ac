"""One recorded sequence, one manual clock: live serving and the simulator send the same requests to functions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agreement.recorded import MS, Change, Functions, Sequence
from agreement.test_manual_clock import (
    BURSTS,
    FLAT,
    GAINS,
    LOADS,
    OVERLOAD,
    SLOW,
    agreed,
    milliseconds,
    sequences,
    served_by,
)
from hypothesis import given
from hypothesis import strategies as st

from mark._core import BurstVerdict

FUNCTIONS = {
    "plenty": Functions(),
    "slow": Functions(latency_ms=90.0),
    "too slow": Functions(latency_ms=120.0),
    "few": Functions(concurrency_max=3),
    "a budget": Functions(budget_usd_per_hour=50.0),
    "a cloud that throttles": Functions(cloud_max=2),
    "and a breaker": Functions(cloud_max=2, failures_max=3, open_ms=30.0),
}
LEAVES_OUT = {
    "too slow": BurstVerdict.TOO_LATE,
    "few": BurstVerdict.AT_LIMIT,
    "a budget": BurstVerdict.OVER_BUDGET,
    "and a breaker": BurstVerdict.BROKEN,
}


@pytest.mark.parametrize("load", ["bursts", "overload", "clumps"])
@pytest.mark.parametrize("functions", FUNCTIONS)
def test_they_send_the_same(functions: str, load: str) -> None:
    done = agreed(replace(served_by(GAINS, SLOW, instants_ns=LOADS[load]), functions=FUNCTIONS[functions]))

    if load == "overload":
        verdicts = {verdict for _, _, verdict in done.bursts}
        assert LEAVES_OUT.get(functions, BurstVerdict.SEND) in verdicts


def test_functions_answer_what_workers_do_not() -> None:
    alone = agreed(served_by(FLAT, instants_ns=BURSTS))
    helped = agreed(replace(served_by(FLAT, instants_ns=BURSTS), functions=Functions()))

    assert alone.unanswered > 0
    assert helped.unanswered < 0.1 * alone.unanswered  # that were left to a worker which then was late
    assert helped.counts["ANSWERED"] == helped.in_time
    assert helped.counts["submitted"] == len(BURSTS)


def test_they_send_the_same_while_workers_come_and_go() -> None:
    sequence = replace(
        served_by(GAINS, instants_ns=OVERLOAD),
        servers={1: GAINS, 2: SLOW},
        changes=(
            Change(100 * MS, "up", 1),
            Change(500 * MS, "down", 1),
            Change(900 * MS, "up", 2),
            Change(1700 * MS, "drain", 2),
        ),
        functions=Functions(concurrency_max=20, failures_max=2),
    )

    assert agreed(sequence).bursts


@st.composite
def functions(draw: st.DrawFn) -> Functions:
    return Functions(
        latency_ms=draw(milliseconds(5.0, 110.0)),
        concurrency_max=draw(st.sampled_from([1, 4, 1000])),
        cloud_max=draw(st.sampled_from([None, 1, 3])),
        budget_usd_per_hour=draw(st.sampled_from([None, 0.0, 5.0])),
        failures_max=draw(st.integers(0, 3)),
        open_ms=draw(st.sampled_from([1.0, 10.0, 100.0])),
    )


@given(sequences(), functions())
def test_they_send_the_same_in_any_sequence(sequence: Sequence, having: Functions) -> None:
    agreed(replace(sequence, functions=having))
