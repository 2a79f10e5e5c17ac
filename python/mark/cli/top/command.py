"""`mark top`."""

from __future__ import annotations

import asyncio
import shutil
import sys
from typing import Annotated

import typer
from rich.console import Console

from mark.cli.top.frame import Size, draw
from mark.cli.top.glyphs import glyphs_for
from mark.cli.top.once import look_once
from mark.cli.top.session import Session
from mark.cli.top.view import View

__all__ = ["top"]

_SIZE = (100, 30)  # of a frame that goes to no terminal


def top(
    address: Annotated[str, typer.Argument(help="host:port of a router.")] = "127.0.0.1:8001",
    model: Annotated[str, typer.Option(help="The model to show first.")] = "",
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
) -> None:
    """Watch a running router: load, forecast, latency, promise, fleet, money, and each decision with its reasons.

    Arrows choose a decision and Enter opens it; Tab shows the next model, + and - less or more time, a the plans that
    changed nothing, too; q ends. Where the output is no terminal, it prints one frame.

    Example: mark top localhost:8001
    """
    console = Console(highlight=False)
    if once or not console.is_terminal or console.is_dumb_terminal:
        _print_once(address, model, console)
        return
    code = asyncio.run(_run(address, model, console))
    if code:
        raise typer.Exit(code)


def _print_once(address: str, model: str, console: Console) -> None:
    view = View(model, takes_keys=False)
    asyncio.run(look_once(address, view))
    size = Size(*shutil.get_terminal_size(_SIZE))
    lines = draw(view, size, 0.0, glyphs_for(console.encoding)).lines
    while lines and not lines[-1].plain.strip():
        lines.pop()
    for line in lines:
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


async def _run(address: str, model: str, console: Console) -> int:
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    return await Session(address, View(model, takes_keys=keys is not None), console, keys).run()
