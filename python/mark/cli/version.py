"""`mark version`."""

from __future__ import annotations

import platform

import grpc
import typer

from mark import __version__, _core

__all__ = ["version"]


def version() -> None:
    """Print the versions of mark and of what it runs on.

    Example: mark version
    """
    build = "assertions on" if _core.assertions_enabled else "release"
    plane = "native data plane" if _core.native_available else "no native data plane: built without nghttp2"
    on = f"Python {platform.python_version()}, grpcio {grpc.__version__}"
    typer.echo(f"mark {__version__} (core: {build}; {plane}), {on}")
