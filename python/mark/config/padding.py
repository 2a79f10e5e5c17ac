"""Sizes that batches are padded to: `batching.sizes`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator

from mark.config.values import Rows, wrong

__all__ = ["Sizes", "check_largest", "with_rows_max"]


def _check_increase(sizes: list[int]) -> list[int]:
    for index, (before, size) in enumerate(pairwise(sizes), start=1):
        if size <= before:
            raise wrong(f"sizes must increase, but {size} follows {before}: put them in order, each once", index)
    return sizes


Sizes = Annotated[list[Rows], AfterValidator(_check_increase)]


def with_rows_max(section: object) -> object:
    """The section as it was written, with `rows_max` from its sizes where it says none."""
    if not isinstance(section, dict) or "rows_max" in section:
        return section
    sizes = section.get("sizes")
    # What is no list of sizes is refused as that, not as a number of rows.
    if not isinstance(sizes, list) or not sizes or type(sizes[-1]) is not int or sizes[-1] < 1:
        return section
    return {**section, "rows_max": sizes[-1]}


def check_largest(sizes: Sequence[int], rows_max: int) -> None:
    """Refuse sizes that leave some batch without one, or one without a batch.

    Raises:
        PydanticCustomError: the last is not `rows_max`.
    """
    if sizes and sizes[-1] != rows_max:
        raise wrong(
            f"must end with rows_max ({rows_max}), not {sizes[-1]}: every batch is padded to one of them; set rows_max "
            f"to {sizes[-1]} or leave it out",
            "sizes",
        )
