"""Figures in words, one way everywhere: a table of the terminal and a page say the same."""

from __future__ import annotations

import math

__all__ = ["duration", "milliseconds", "percent", "ratio", "usd"]

NONE = "–"  # noqa: RUF001 - a dash stands for what there is not


def usd(value_usd: float, largest_usd: float) -> str:
    """Dollars; as many digits as tell amounts up to `largest_usd` apart, so that a column lines up."""
    if not math.isfinite(value_usd):
        return NONE
    digits = 2 if largest_usd >= 100 else 4 if largest_usd >= 0.1 else 6
    return f"${value_usd:,.{digits}f}"


def percent(share: float) -> str:
    """A share; one below 1 is never rounded up to 100 %, for a promise of all may hang on it."""
    if not math.isfinite(share):
        return NONE
    return f"{math.floor(share * 1e4 + 1e-6) / 100:.2f}%"


def milliseconds(value_ms: float) -> str:
    """A latency, with three digits that count at least."""
    if not math.isfinite(value_ms):
        return NONE
    return f"{value_ms:,.{0 if value_ms >= 100 else 1 if value_ms >= 10 else 2}f}"


def ratio(value: float) -> str:
    """How many times as much."""
    return f"{value:.2f}x" if math.isfinite(value) else NONE


def duration(length_s: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, unit_s in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if length_s >= 2 * unit_s:
            return f"{length_s / unit_s:.4g} {unit}"
    return f"{length_s:.4g} s"
