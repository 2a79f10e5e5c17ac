"""The section `http`: where the router serves its page, its metrics and its health, and who may see them."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, field_validator

from mark.config.values import Section, wrong

__all__ = ["DEFAULT_ADDRESS", "HttpConfig"]

DEFAULT_ADDRESS: Final = "127.0.0.1:8002"

_OFF: Final = "off"
_PORT_MAX = 65_535


def _off_is_a_word(value: object) -> object:
    # To YAML, off is the value false.
    return _OFF if value is False else value


class HttpConfig(Section):
    """The live page, /metrics and /healthz: read-only, on a port of their own."""

    address: Annotated[str, BeforeValidator(_off_is_a_word)] = DEFAULT_ADDRESS
    token_file: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if address == _OFF:
            return address
        host, _, port = address.rpartition(":")
        in_brackets = host.startswith("[") and host.endswith("]")
        is_port = port.isascii() and port.isdecimal() and int(port) <= _PORT_MAX
        if not host or host.split() != [host] or not is_port or (":" in host and not in_brackets):
            raise wrong(f"must be off, host:port or [IPv6 host]:port, a port up to {_PORT_MAX}; not {address!r}")
        return address

    @property
    def is_off(self) -> bool:
        """Whether nothing is served."""
        return self.address == _OFF

    @property
    def is_chosen(self) -> bool:
        """Whether the file gives the address: then it is that one or an error, and not another where it is in use."""
        return "address" in self.model_fields_set

    @property
    def host(self) -> str:
        """Where to listen, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Where to listen; 0 takes a free one."""
        return int(self.address.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
