"""What an address must be before gRPC is asked to listen at it: gRPC itself takes more than is meant."""

from __future__ import annotations

import socket

from mark.errors import ConfigError

__all__ = ["check_listenable"]

_PORT_MAX = 65_535
_PROBE_TIMEOUT_S = 1.0


def check_listenable(address: str) -> None:
    """Refuse what gRPC would take in silence and turn into something else.

    Args:
        address: "host:port" or "unix:/path".

    Raises:
        ConfigError: the port is missing, is no number or is too large, or somebody answers at the socket.
    """
    if address.startswith("unix:"):
        _check_socket(address)
        return
    port = address.rpartition(":")[2] if ":" in address else ""
    # gRPC gives an address without a port 443, and takes a port that is too large modulo 65,536.
    if not (port.isascii() and port.isdecimal() and int(port) <= _PORT_MAX):
        raise ConfigError(f"cannot listen at {address!r}: write host:port, a port up to {_PORT_MAX}, or unix:/path")


def _check_socket(address: str) -> None:
    # gRPC replaces a socket file even when a server still answers at it, which would then never be called again.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(address.removeprefix("unix:"))
        except (FileNotFoundError, ConnectionRefusedError):
            return  # nothing there, or left behind by a process that ended
        except OSError as error:
            raise ConfigError(f"cannot listen at {address}: {error}") from error
    raise ConfigError(f"cannot listen at {address}: the address is in use")
