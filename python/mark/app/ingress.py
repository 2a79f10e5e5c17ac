"""Which server clients talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mark._core import Tracer
from mark.config.server import ServerConfig

if TYPE_CHECKING:
    from mark.live.native_server import NativeIngress

__all__ = ["make_ingress"]


def make_ingress(settings: ServerConfig, tracer: Tracer | None) -> NativeIngress | None:
    """The native ingress, bound, where it is asked for; None: grpcio serves everything.

    Without a tracer it traces no request.

    Raises:
        ConfigError: the address is in use or cannot be bound.
    """
    if settings.ingress == "grpcio":
        return None
    # Only here: a build without the native data plane has no such names to import.
    from mark.live.native_server import NativeIngress

    return NativeIngress(
        settings.address, threads=settings.threads, message_bytes_max=settings.message_bytes_max, tracer=tracer
    )
