"""Machines as EC2 lists them, for tests of what reads the list."""

from __future__ import annotations

from mark.cloud.aws import tags
from mark.cloud.aws.machines import Machine
from mark.cloud.aws.pools import Pool
from mark.domain.offering import Market

__all__ = ["POOL", "clock_ns", "machine"]

POOL = Pool("t3.medium", "us-east-1a", Market.ON_DEMAND)


def clock_ns(epoch_s: float) -> int:
    return round(epoch_s * 1e9)


def machine(
    name: str = "i-1",
    state: str = "running",
    *,
    offering: str = "o",
    role: str = tags.WORKER,
    launched_at_s: float = 0.0,
    changed_at_s: float | None = None,
    detail: str = "",
) -> Machine:
    carried = {tags.CLUSTER: "c", tags.OFFERING: offering, tags.MODEL: "m", tags.ROLE: role, tags.DECISION: f"d-{name}"}
    address = "10.0.0.1" if state in {"pending", "running"} else ""
    return Machine(name, state, POOL, carried, launched_at_s, changed_at_s, address, detail)
