"""Clients of the Open Inference Protocol: NumPy arrays in and out, the deadline as an argument, typed errors."""

from __future__ import annotations

from mark.client.aio import AsyncClient
from mark.client.sync import Client

__all__ = ["AsyncClient", "Client"]
