"""Refuses numbers of the command line that make no sense, in one line, before anything is done with them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mark.errors import ConfigError

__all__ = ["check_positive", "check_within"]


def check_positive(options: Mapping[str, float | None]) -> None:
    """Refuse what is not positive and finite; None stands for an option that was not given.

    Raises:
        ConfigError: naming the option.
    """
    for option, value in options.items():
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{option} must be positive and finite, not {value}")


def check_within(option: str, value: float, least: float, most: float = math.inf) -> None:
    """Refuse what is less than `least` or more than `most`.

    Raises:
        ConfigError: naming the option.
    """
    if not least <= value <= most:
        bounds = f"{least} or more" if most == math.inf else f"from {least} to {most}"
        raise ConfigError(f"{option} must be {bounds}, not {value}")
