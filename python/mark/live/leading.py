"""Waiting until this router leads its cluster."""

from __future__ import annotations

import asyncio

from mark.ports import Cloud, Led

__all__ = ["leads", "until_leads"]

_LOOK_S = 0.5


def leads(cloud: Cloud) -> bool:
    """Whether this router may change what runs, as it may where a cloud knows of no other.

    Raises:
        CloudError: another has taken over meanwhile: this one is to end.
    """
    return not isinstance(cloud, Led) or cloud.leads()


async def until_leads(cloud: Cloud) -> None:
    """Return once this router leads; see `leads`."""
    changes = 0
    while not leads(cloud):
        changes = await asyncio.to_thread(cloud.wait_for_change, changes, _LOOK_S)
