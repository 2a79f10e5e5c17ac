"""The model that every server serves, and the request that every one of them gets: numpy, and nothing else.

Imported in the peers' environments too, so that all compute the same with the same weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEATURES", "NAME", "OUTPUTS", "ROWS_MAX", "Mlp", "mark_model", "request_row"]

NAME = "mlp"
FEATURES = 64
HIDDEN = 16
OUTPUTS = 4
ROWS_MAX = 64

Rows = NDArray[np.float32]


class Mlp:
    """Rows of 64 numbers through a hidden layer of 16 to rows of 4."""

    def __init__(self) -> None:
        random = np.random.default_rng(2019)
        self._hidden = (random.standard_normal((FEATURES, HIDDEN)) / 8).astype(np.float32)
        self._output = (random.standard_normal((HIDDEN, OUTPUTS)) / 4).astype(np.float32)

    def __call__(self, rows: Rows) -> Rows:
        """Answers to a batch of shape (n, 64), as (n, 4)."""
        return np.asarray(np.maximum(rows @ self._hidden, 0) @ self._output, np.float32)


def request_row() -> Rows:
    """The one row that is asked, shape (1, 64)."""
    return np.random.default_rng(7).standard_normal((1, FEATURES)).astype(np.float32)


def mark_model() -> Any:
    """The factory that mark's Python runtime calls."""
    model = Mlp()
    return lambda inputs: {"y": model(inputs["x"])}
