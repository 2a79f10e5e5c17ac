"""A part of a load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mark.domain.load import Load, LoadChunk

__all__ = ["LoadPart"]


@dataclass(frozen=True, slots=True)
class LoadPart:
    """What a load is between two instants, timed from the first of them. Implements `mark.domain.load.Load`.

    Attributes:
        load: the whole.
        from_s: where the part begins.
        until_s: where it ends, at the latest.
    """

    load: Load
    from_s: float = 0.0
    until_s: float = math.inf

    def chunks(self) -> Iterator[LoadChunk]:
        """The chunks that reach into the part, cut to it; nothing is read behind it."""
        began_s = 0.0
        for chunk in self.load.chunks():
            ends_s = np.minimum(chunk.ends_s, self.until_s) - self.from_s
            kept = np.diff(np.maximum(ends_s, 0.0), prepend=max(0.0, began_s - self.from_s)) > 0
            if np.any(kept):
                yield LoadChunk(ends_s[kept], chunk.rates_per_s[kept])
            began_s = float(chunk.ends_s[-1])
            if began_s >= self.until_s:
                return
