"""Where grpcio does what the native ingress need not copy, each with the reason; nowhere else do the tests ask which
ingress it is.

A test that is marked with `differs(NAME)` is what HTTP/2 and gRPC ask for. On grpcio it must fail, so that a difference
that has gone is noticed.
"""

from __future__ import annotations

import pytest

__all__ = ["GRPCIO", "differs", "excused"]

GRPCIO = {
    "padding": "gRPC's C core knows no padding: it resets the stream of a padded DATA frame, and reads the padding of "
    "HEADERS as headers",
    "unknown flags": "gRPC's C core resets the stream of a DATA frame with flags that HTTP/2 says to ignore",
    "message missing": "grpc.aio never answers a call that ends before its message does; it lives until its deadline, "
    "or its connection's end",
    "unknown encoding": "gRPC's C core answers INTERNAL, where gRPC's protocol asks for UNIMPLEMENTED with the "
    "encodings that are known",
    "malformed request": "gRPC's C core answers requests that HTTP/2 says are malformed",
    "connection error": "gRPC's C core overlooks frames that HTTP/2 says end the connection",
    "goaway on error": "gRPC's C core closes a connection without a GOAWAY that says why",
    "floods": "gRPC's C core goes on with a connection that floods it with SETTINGS, resets or bombs of headers: what "
    "each costs is bounded, how often is not",
    "worker takes any size": "a worker with grpcio sets no limit on a message, compressed or not; the router that "
    "sends to it has one",
    "cancels newcomers": "a server of grpcio that stops answers CANCELLED to a call that reaches it, which mark's "
    "clients read as UNAVAILABLE",
}


def differs(name: str) -> pytest.MarkDecorator:
    """Marks a test that grpcio fails, for the reason of that name."""
    assert name in GRPCIO
    return pytest.mark.differs(name)


def excused(ingress: str, name: str) -> bool:
    """Whether the difference of that name may show: where it depends on who is first."""
    assert name in GRPCIO
    return ingress == "grpcio"
