"""Refuses numbers of the command line that make no sense, in one line, before anything is done with them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from mark.errors import ConfigError

__all__ = ["check_positive", "check_within", "check_writable"]


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


def check_writable(option: str, path: Path) -> None:
    """Refuse a file beforehand that could not be written after all the work.

    Raises:
        ConfigError: naming the option and the path.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder; name a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{option} {path}: may not be written by this user")
