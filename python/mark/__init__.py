"""mark serves machine-learning models within a response-time promise, at the least cost."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mark.client import AsyncClient, Client

try:
    __version__ = version("mark-serve")
except PackageNotFoundError:  # a source tree on the path, never installed
    __version__ = "0+unknown"

__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> object:
    # Late, so that a worker process starts without NumPy and gRPC's client before its thread settings are in place.
    if name in {"AsyncClient", "Client"}:
        from mark import client

        return getattr(client, name)
    raise AttributeError(f"module 'mark' has no attribute {name!r}")
