"""Signatures that the codec takes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mark import _core

GOOD = ("x", "FP32", [-1])


@pytest.mark.parametrize(
    ("inputs", "outputs", "rows_max", "words"),
    [
        ([("x", "FP31", [-1])], [GOOD], 1, "unknown datatype 'FP31'"),
        ([("x", "FP32", [1])], [GOOD], 1, "input 'x' must have shape[0] == -1"),
        ([GOOD], [("x", "FP32", [])], 1, "output 'x' must have shape[0] == -1"),
        ([], [GOOD], 1, "needs inputs and outputs"),
        ([GOOD], [GOOD], 0, "rows_max must be at least 1"),
        ([GOOD, ("x", "INT8", [-1, 2])], [GOOD], 1, "input 'x' is given twice"),
        ([GOOD], [("y", "FP32", [-1]), GOOD, GOOD], 1, "output 'x' is given twice"),
        ([("x", "FP32", [-1, -2])], [GOOD], 1, "input 'x' has dimension -2"),
        ([GOOD], [("y", "FP32", [-1, 2, -(2**63)])], 1, f"output 'y' has dimension {-(2**63)}"),
        ([("x", "FP32", [-1] * 65)], [GOOD], 1, "input 'x' has more than 64 dimensions"),
    ],
)
def test_a_nonsensical_signature_is_refused(inputs: list[Any], outputs: list[Any], rows_max: int, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        _core.ModelSignature("m", "1", inputs, outputs, rows_max)


def test_an_input_and_an_output_may_have_one_name() -> None:
    assert _core.ModelSignature("m", "1", [GOOD], [GOOD], 1).name == "m"
