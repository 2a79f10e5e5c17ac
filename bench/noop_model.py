"""A model that does nothing, for benches of what is around it."""

from __future__ import annotations

from typing import Any


def make() -> Any:
    """The model: y is x."""
    return lambda inputs: {"y": inputs["x"]}
