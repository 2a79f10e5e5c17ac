"""Requests of the conformance tests, and the answers that the codec writes to them: what every ingress must send."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mark._core import ModelSignature, write_infer_request, write_infer_response

__all__ = ["FAILS", "SIGNATURE", "answer_to", "request_of", "row", "sleeping"]

SIGNATURE = ModelSignature("doubler", "1", [("x", "FP32", (-1, -1))], [("y", "FP32", (-1, -1))], 8)

Rows = npt.NDArray[np.float32]


def row(*values: float) -> Rows:
    """One row."""
    return np.array([values], dtype=np.float32)


FAILS = row(666.0, 0.0)


def sleeping(for_s: float) -> Rows:
    """A row that takes the model so long."""
    return row(-2.0, for_s)


def request_of(rows: Rows, request_id: str = "r", outputs: Sequence[str] = (), version: str = "") -> bytes:
    """A ModelInferRequest."""
    return write_infer_request("doubler", version, request_id, [("x", "FP32", rows.shape, rows)], outputs)


def answer_to(rows: Rows, request_id: str = "r") -> bytes:
    """The ModelInferResponse to it."""
    return write_infer_response("doubler", "1", request_id, [("y", "FP32", rows.shape, rows * np.float32(2))])
