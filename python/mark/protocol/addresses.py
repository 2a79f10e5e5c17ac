"""What an address must be before gRPC is asked to listen at it: gRPC itself takes more than is meant."""

from __future__ import annotations

import socket

from mark.errors import ConfigError

__all__ = ["check_listenable"]

_PORT_MAX = 65_535
_PROBE_TIMEOUT_S = 1.0


def check_listenable(address: str) -> None:
    """Refuse what gRPC would refuse late, or take in silence and turn into something else.

    Args:
        address: "host:port" or "unix:/path"; an IPv6 host in brackets.

    Raises:
        ConfigError: the address is malformed, in use, or not of this machine.
    """
    if address.startswith("unix:"):
        _check_socket(address)
        return
    host, _, port = address.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    # gRPC gives an address without a port 443, and takes a port that is too large modulo 65,536.
    is_port = port.isascii() and port.isdecimal() and int(port) <= _PORT_MAX
    if not host or not is_port or (":" in host and not in_brackets):
        raise ConfigError(
            f"cannot listen at {address!r}: write host:port, [IPv6 host]:port or unix:/path, a port up to {_PORT_MAX}"
        )
    try:
        _check_port(host.strip("[]"), int(port))
    except OSError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror or error}") from error


def _check_port(host: str, port: int) -> None:
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = places[0]
    with socket.socket(family, kind, protocol) as probe:
        # As gRPC does: connections of a server that has ended may linger at the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(place)
        probe.listen()


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
