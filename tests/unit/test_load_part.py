"""A part of a load is the load between two instants."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mark.domain.load import LoadChunk
from mark.workload.load_part import LoadPart
from mark.workload.synthetic import SteppedLoad

LOAD = SteppedLoad(LoadChunk(np.array([10.0, 20.0, 35.0]), np.array([1.0, 2.0, 3.0])))


def stretches(part: LoadPart) -> list[tuple[float, float]]:
    return [pair for chunk in part.chunks() for pair in zip(chunk.ends_s, chunk.rates_per_s, strict=True)]


@pytest.mark.parametrize(
    ("from_s", "until_s", "expected"),
    [
        (0.0, math.inf, [(10.0, 1.0), (20.0, 2.0), (35.0, 3.0)]),
        (4.0, math.inf, [(6.0, 1.0), (16.0, 2.0), (31.0, 3.0)]),
        (10.0, 20.0, [(10.0, 2.0)]),
        (12.0, 15.0, [(3.0, 2.0)]),
        (0.0, 12.0, [(10.0, 1.0), (12.0, 2.0)]),
        (35.0, math.inf, []),
        (90.0, math.inf, []),
        (20.0, 20.0, []),
    ],
)
def test_a_part_is_cut_at_both_ends(from_s: float, until_s: float, expected: list[tuple[float, float]]) -> None:
    assert stretches(LoadPart(LOAD, from_s, until_s)) == expected


class InChunks:
    """Says when a chunk is read that lies behind what was asked for."""

    def __init__(self) -> None:
        self.read = 0

    def chunks(self):  # type: ignore[no-untyped-def]
        for begins_s in (0.0, 10.0, 20.0):
            self.read += 1
            yield LoadChunk(np.array([begins_s + 5.0, begins_s + 10.0]), np.array([1.0, 2.0]))


def test_chunks_are_cut_one_by_one_and_none_is_read_behind_the_end() -> None:
    load = InChunks()

    found = stretches(LoadPart(load, 7.0, 18.0))

    assert found == [(3.0, 2.0), (8.0, 1.0), (11.0, 2.0)]
    assert load.read == 2
