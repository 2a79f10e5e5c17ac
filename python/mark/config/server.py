"""The section `server`: where the router listens, and what speaks HTTP/2 there."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mark._core import native_available
from mark.config.values import Int32, NotBool, Seconds, Section, wrong

__all__ = ["DEFAULT_INGRESS", "Ingress", "ServerConfig"]

Ingress = Literal["native", "grpcio"]

DEFAULT_INGRESS: Ingress = "native" if native_available else "grpcio"
"""What serves where the configuration does not say."""


class ServerConfig(Section):
    """Where the router listens, and what speaks HTTP/2 there."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535), NotBool] = 8001
    message_bytes_max: Int32 = 64 << 20
    drain_s: Seconds = 10.0
    ingress: Ingress = DEFAULT_INGRESS
    threads: Annotated[int, Field(ge=1, le=64), NotBool] = 1  # of a native ingress

    @field_validator("ingress")
    @classmethod
    def _check_ingress(cls, ingress: Ingress) -> Ingress:
        if ingress == "native" and not native_available:
            raise wrong("native was built without: install nghttp2 with its headers and build again, or write grpcio")
        return ingress

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        if not host or host.split() != [host]:
            raise wrong(f"must be a name or an address such as 127.0.0.1, not {host!r}")
        if ":" in host or "[" in host:
            try:
                ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]") if host.endswith("]") else host)
            except ValueError as error:
                raise wrong(f"is no IPv6 address: {host!r}; a port is a key of its own, server.port") from error
        return host

    @property
    def address(self) -> str:
        """Where to listen, as "host:port"; an IPv6 host in brackets."""
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        return f"{host}:{self.port}"
