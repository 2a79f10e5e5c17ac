"""A model whose batches take a known time and no processor: what a bench of the request path can reckon with."""

from __future__ import annotations

import time
from typing import Any

ONCE_S = 0.020
EACH_ROW_S = 0.005


def make() -> Any:
    """The model: y is x, after 20 ms and 5 ms for each row."""

    def run(inputs: Any) -> Any:
        time.sleep(ONCE_S + EACH_ROW_S * len(inputs["x"]))
        return {"y": inputs["x"]}

    return run
