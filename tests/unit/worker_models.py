"""Models of one signature, good and bad, for the tests of a worker's servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mark._core import write_infer_request
from mark.domain.signature import ModelSignature, TensorSpec

__all__ = ["REQUEST", "SIGNATURE", "WRONG_MODELS", "burn", "double", "leave", "request_of"]

SIGNATURE = ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),), 4)


def request_of(value: float, rows: int = 1) -> bytes:
    """A request whose inputs are all the same."""
    return write_infer_request("m", "", "id", [("x", "FP32", (rows, 2), np.full((rows, 2), value, np.float32))], [])


REQUEST = request_of(1.0)


class Panic(BaseException):
    """As native libraries raise: no Exception."""


def double(inputs: Any) -> Any:
    return {"y": inputs["x"] * 2}


def leave(_: Any) -> Any:
    raise SystemExit(3)


def panic(_: Any) -> Any:
    raise Panic("index out of bounds")


def burn(cpu_s: float) -> None:
    """Compute on this thread, whatever else the machine does."""
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass


# For a request of one row: the model, and the words for what it does wrong, as a regular expression.
WRONG_MODELS: list[tuple[Callable[[Any], Any], str]] = [
    (leave, "SystemExit: 3"),
    (panic, "Panic: index out of bounds"),
    (lambda _: None, "the model gave a NoneType, not a mapping of arrays"),
    (lambda _: {}, "the model gave no output 'y', only nothing"),
    (lambda _: {"y": [1.0, 2.0]}, "output 'y' is a list, not an array"),
    (lambda _: {"y": np.float32(1) * np.ones(())}, "output 'y' is a float"),
    (lambda _: {"y": np.zeros((2, 2), np.float32)}, r"output 'y' has shape \[2, 2\] for 1 rows"),
    (lambda _: {"y": np.zeros((1, 2))}, "output 'y' is FP64, its signature says FP32"),
    (lambda _: {"y": np.zeros((1, 2), complex)}, "output 'y' an array of complex128 has no datatype"),
]
