"""Drives the dispatcher and the controller of live serving in virtual time, against a simulated cloud."""

from __future__ import annotations

from mark.sim.world import World, WorldParams

__all__ = ["World", "WorldParams"]
