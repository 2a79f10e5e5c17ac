"""Colours that most people can tell apart, however they see colours: after Okabe and Ito, 2008.

Each has a name, a hue for light paper and one for a dark screen. Plots are drawn in the light ones; the page then says
each by its name, so that the reader's setting decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["MARKETS", "OTHERS", "SWATCHES", "Style", "css_variables", "offering_swatches", "policy_styles"]

# name -> (light, dark); no two light ones are equal, for they stand for the names while a plot is drawn.
SWATCHES: Mapping[str, tuple[str, str]] = {
    "ink": ("#1c1e21", "#e8e6e3"),
    "grid": ("#d9dce0", "#3a3f46"),
    "faint": ("#5d646d", "#a5acb5"),
    "blue": ("#0072b2", "#4fa9e0"),
    "orange": ("#e69f00", "#f0b429"),
    "green": ("#009e73", "#2fc498"),
    "red": ("#d55e00", "#ff8a3d"),
    "purple": ("#cc79a7", "#e09cc3"),
    "sky": ("#56b4e9", "#8fd0f7"),
    "yellow": ("#c9b400", "#f0e442"),
    "grey": ("#8a9099", "#8b929b"),
}

_SERIES = ("blue", "orange", "green", "red", "purple", "sky", "yellow")
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))

# key of the report -> (words, swatch)
MARKETS: Mapping[str, tuple[str, str]] = {
    "on_demand": ("on demand", "blue"),
    "spot": ("spot", "orange"),
    "burstable": ("burstable", "green"),
    "serverless": ("serverless", "purple"),
}
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Style:
    """How a line looks; `dash` has the lengths of strokes and gaps, none for a solid line."""

    swatch: str
    dash: tuple[float, ...] = ()


def policy_styles(policies: Iterable[str]) -> dict[str, Style]:
    """One style for each policy: colours first, then dashes of the same colours."""
    return {
        policy: Style(_SERIES[number % len(_SERIES)], _DASHES[number // len(_SERIES) % len(_DASHES)])
        for number, policy in enumerate(policies)
    }


def offering_swatches(usage: Mapping[str, float]) -> dict[str, str]:
    """One colour for each of the offerings that are used most; the rest share `OTHERS`, in grey.

    Args:
        usage: by offering, how much it was used in all runs together; what was never used gets no colour.
    """
    used = sorted((name for name in usage if usage[name] > 0), key=lambda name: (-usage[name], name))
    if len(used) > len(_SERIES):
        return {**dict(zip(used, _SERIES, strict=False)), OTHERS: "grey"}
    return dict(zip(used, _SERIES, strict=False))


def css_variables(*, dark: bool) -> str:
    """The colours as custom properties of CSS."""
    return " ".join(f"--{name}: {hues[dark]};" for name, hues in SWATCHES.items())
