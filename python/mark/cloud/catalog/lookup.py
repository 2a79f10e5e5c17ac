"""Finds what is built in by its name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from mark.cloud.catalog.aws_2018 import AWS_2018
from mark.cloud.catalog.aws_us_east_1 import AWS_US_EAST_1
from mark.cloud.catalog.entry import Catalog
from mark.errors import ConfigError

__all__ = ["CATALOG_NAMES", "catalog", "look_up"]

_Value = TypeVar("_Value")

_CATALOGS = {built_in.name: built_in for built_in in (AWS_2018, AWS_US_EAST_1)}
CATALOG_NAMES = tuple(_CATALOGS)


def catalog(name: str) -> Catalog:
    """The built-in catalogue of a name.

    Raises:
        ConfigError: there is none; the message has the nearest name.
    """
    return look_up("catalogue", name, _CATALOGS)


def look_up(kind: str, name: str, known: Mapping[str, _Value]) -> _Value:
    """What is known by a name; `kind` says in a word what it is.

    Raises:
        ConfigError: nothing is; the message has the nearest name and all others.
    """
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    meant = f"; did you mean {nearest[0]!r}?" if nearest else ";"
    raise ConfigError(f"there is no {kind} {name!r}{meant} known are {', '.join(known)}")
