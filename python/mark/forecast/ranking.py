"""Which of several predictors has been the best of late."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["Ranking"]


class Ranking:
    """Mean losses with exponential forgetting, and a champion that is replaced only by one that is clearly better.

    Thread safety: none.
    """

    def __init__(
        self, names: Sequence[str], half_life: float = 1440.0, margin: float = 0.02, scores_min: int = 60
    ) -> None:
        """Make one in which the first of the names is the champion.

        Args:
            names: of the candidates.
            half_life: a loss counts half after so many further ones.
            margin: a challenger must be better than the champion by this share.
            scores_min: a challenger must have so many losses first.
        """
        self._kept = 0.5 ** (1 / half_life)
        self._margin, self._scores_min = margin, scores_min
        self._sums = dict.fromkeys(names, 0.0)
        self._weights = dict.fromkeys(names, 0.0)
        self._counts = dict.fromkeys(names, 0)
        self._champion = names[0]

    @property
    def champion(self) -> str:
        """The best of late."""
        return self._champion

    def loss(self, name: str) -> float | None:
        """Mean loss of a candidate of late; None before its first."""
        return self._sums[name] / self._weights[name] if self._counts[name] else None

    def count(self, name: str) -> int:
        """How many losses a candidate has."""
        return self._counts[name]

    def join(self, name: str) -> None:
        """Take part from now on; begin anew if it did already."""
        self.forget(name)

    def forget(self, name: str) -> None:
        """Begin anew for one candidate; if it leads, the next one that has enough losses takes over."""
        self._sums[name] = self._weights[name] = 0.0
        self._counts[name] = 0

    def add(self, losses: Mapping[str, float]) -> None:
        """Take note of the candidates' losses in one step, and choose the champion."""
        for name, loss in losses.items():
            self._sums[name] = self._kept * self._sums[name] + loss
            self._weights[name] = self._kept * self._weights[name] + 1.0
            self._counts[name] += 1
        known = {name: self._sums[name] / self._weights[name] for name in self._sums if self._ready(name)}
        if not known:
            return
        best = min(known, key=lambda name: known[name])
        to_beat = known.get(self._champion, 0.0) if self._counts[self._champion] else math.inf
        if known[best] < (1 - self._margin) * to_beat:
            self._champion = best

    def _ready(self, name: str) -> bool:
        return self._counts[name] >= self._scores_min
