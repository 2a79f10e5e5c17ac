"""The tags that say what belongs to a cluster: the source of truth of what runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["CLUSTER", "DECISION", "MODEL", "OFFERING", "ROLE", "STANDBY", "WORKER", "tag_list", "tags_of"]

CLUSTER: Final = "mark:cluster"  # on everything that belongs to a cluster
MODEL: Final = "mark:model"
OFFERING: Final = "mark:offering"
DECISION: Final = "mark:decision"  # the launch token of the first instance of the call that bought it
ROLE: Final = "mark:role"
WORKER: Final = "worker"  # serves from its launch to its end
STANDBY: Final = "standby"  # is kept stopped, and started to serve for a while


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tags_of(described: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags as most services give them."""
    return {tag["Key"]: tag["Value"] for tag in described}
