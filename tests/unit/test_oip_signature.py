"""Signatures that the codec takes."""

from __future__ import annotations

from typing import Any

import pytest

from mark import _core


@pytest.mark.parametrize(
    "arguments",
    [
        ("m", "1", [("x", "FP31", [-1])], [("y", "FP32", [-1])], 1),
        ("m", "1", [("x", "FP32", [1])], [("y", "FP32", [-1])], 1),
        ("m", "1", [], [("y", "FP32", [-1])], 1),
        ("m", "1", [("x", "FP32", [-1])], [("y", "FP32", [-1])], 0),
    ],
)
def test_a_nonsensical_signature_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"datatype|shape\[0\]|needs inputs|rows_max"):
        _core.ModelSignature(*arguments)
