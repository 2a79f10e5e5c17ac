"""One recorded sequence, one manual clock: live serving and the simulator admit and batch the same."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from agreement.live_replay import replay_live
from agreement.recorded import MS, Change, Replayed, Sequence, Server
from agreement.simulated_replay import replay_simulated
from hypothesis import given
from hypothesis import strategies as st

GAINS = Server(((1, 20.0), (8, 40.0)))  # 8 rows take twice as long as one
NO_GAIN = Server(((1, 6.0), (8, 48.0)))
FLAT = Server(((1, 25.0), (8, 25.0)))
SLOW = Server(((1, 45.0), (8, 90.0)))
PIPELINED = Server(((1, 10.0), (8, 30.0)), batches_in_flight_max=2)


def poisson(seed: int, *stretches: tuple[float, float]) -> tuple[int, ...]:
    """Arrivals at so many a second for so many seconds, one stretch after the other."""
    random_ = random.Random(seed)
    instants, begins_s = [], 0.0
    for rate_per_s, lasts_s in stretches:
        at_s = begins_s + random_.expovariate(rate_per_s)
        while at_s < begins_s + lasts_s:
            instants.append(round(at_s * 1e9))
            at_s += random_.expovariate(rate_per_s)
        begins_s += lasts_s
    return tuple(instants)


def served_by(*servers: Server, instants_ns: tuple[int, ...]) -> Sequence:
    """All of these workers, from the beginning."""
    by_number = dict(enumerate(servers, 1))
    return Sequence(instants_ns, by_number, tuple(Change(0, "up", number) for number in by_number))


LIGHT = poisson(1, (15.0, 4.0))
BUSY = poisson(2, (120.0, 3.0))
BURSTS = poisson(3, *[(20.0, 0.5), (900.0, 0.1)] * 4)
OVERLOAD = poisson(4, (1200.0, 2.0))
CLUMPS = tuple(sorted((at_ns // (10 * MS)) * 10 * MS for at_ns in poisson(5, (300.0, 2.0))))  # many at one instant
LOADS = {"light": LIGHT, "busy": BUSY, "bursts": BURSTS, "overload": OVERLOAD, "clumps": CLUMPS}
FLEETS = {
    "one that gains": (GAINS,),
    "one that gains nothing": (NO_GAIN,),
    "free batching": (FLAT, FLAT),
    "unequal": (GAINS, NO_GAIN, SLOW, FLAT),
    "pipelined": (PIPELINED, SLOW),
}


def agreed(sequence: Sequence) -> Replayed:
    """What both did; fails where they differ."""
    live, simulated = replay_live(sequence), replay_simulated(sequence)
    assert live.batches == simulated.batches
    assert live.trail == simulated.trail
    assert live == simulated
    assert live.in_time + live.late + live.unanswered == len(sequence.instants_ns)
    return live


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("fleet", FLEETS)
def test_they_admit_and_batch_the_same(fleet: str, load: str) -> None:
    done = agreed(served_by(*FLEETS[fleet], instants_ns=LOADS[load]))

    assert done.in_time > 0
    assert (done.unanswered > 0) or load != "overload"


def test_they_agree_while_workers_come_and_go() -> None:
    sequence = replace(
        served_by(GAINS, NO_GAIN, instants_ns=OVERLOAD),
        servers={1: GAINS, 2: NO_GAIN, 3: FLAT, 4: SLOW},
        changes=(
            Change(0, "up", 1),
            Change(0, "up", 2),
            Change(500 * MS, "down", 1),
            Change(900 * MS, "up", 3),
            Change(1000 * MS, "up", 4),
            Change(1200 * MS, "drain", 2),
            Change(1700 * MS, "down", 3),
        ),
    )

    done = agreed(sequence)

    assert {worker for _, worker, _ in done.batches} == {1, 2, 3, 4}
    assert done.counts["retried"] > 0


def test_they_agree_when_nobody_serves_yet_and_when_nobody_is_left() -> None:
    changes = (Change(250 * MS, "up", 1), Change(1500 * MS, "down", 1))
    done = agreed(replace(served_by(instants_ns=BUSY), servers={1: GAINS}, changes=changes))

    assert done.counts["EXPIRED"] > 0
    assert done.in_time > 0


@pytest.mark.parametrize("changes", [{"admission": False}, {"queue_requests_max": 5}, {"margin_ns": 0}])
def test_they_agree_on_the_bounds_of_the_request_path(changes: dict[str, int]) -> None:
    sequence = replace(served_by(GAINS, SLOW, instants_ns=OVERLOAD), **changes)  # type: ignore[arg-type]
    done = agreed(sequence)

    assert done.unanswered > 0


def milliseconds(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 10), round(high * 10)).map(lambda tenths: tenths / 10)


@st.composite
def servers(draw: st.DrawFn) -> Server:
    one = draw(milliseconds(1.0, 60.0))
    return Server(((1, one), (8, one * draw(st.sampled_from([1.0, 1.5, 3.0, 8.0])))), draw(st.integers(1, 2)))


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """Gaps on a coarse grid, so that arrivals, answers and changes often fall on the same instant."""
    gaps_ms = draw(st.lists(st.sampled_from([0, 0, 1, 2, 5, 10, 40]), min_size=1, max_size=80))
    instants, at_ns = [], 0
    for gap_ms in gaps_ms:
        at_ns += gap_ms * MS
        instants.append(at_ns)
    fleet = dict(enumerate(draw(st.lists(servers(), min_size=1, max_size=4)), 1))
    changes = []
    for number in fleet:
        up_ns = draw(st.sampled_from([0, 0, 30, 100])) * MS
        changes.append(Change(up_ns, "up", number))
        if draw(st.booleans()):
            away_ns = up_ns + draw(st.integers(1, 400)) * MS
            changes.append(Change(away_ns, draw(st.sampled_from(["down", "drain"])), number))
    return Sequence(
        tuple(instants),
        fleet,
        tuple(sorted(changes, key=lambda change: change.at_ns)),
        margin_ns=draw(st.sampled_from([0, 2, 20])) * MS,
        queue_requests_max=draw(st.sampled_from([3, 4096])),
        admission=draw(st.booleans()),
    )


@given(sequences())
def test_they_agree_on_any_sequence(sequence: Sequence) -> None:
    agreed(sequence)
