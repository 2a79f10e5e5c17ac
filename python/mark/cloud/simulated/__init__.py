"""A cloud in virtual time: prices, boot times, spot interruptions, sold-out offerings and credits, drawn by seed."""

from __future__ import annotations

from mark.cloud.simulated.behaviour import CloudBehaviour, Interruption, PriceChange, SoldOut
from mark.cloud.simulated.cloud import SimulatedCloud

__all__ = ["CloudBehaviour", "Interruption", "PriceChange", "SimulatedCloud", "SoldOut"]
