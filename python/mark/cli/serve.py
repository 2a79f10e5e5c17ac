"""`mark serve`."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gc
import logging
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from mark import app
from mark.config import Config, load_config
from mark.protocol.parent import watch_parent

__all__ = ["LogLevel", "serve"]


class LogLevel(enum.Enum):
    """Levels of the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: Annotated[Path, typer.Argument(help="The YAML file that says what to serve, on what, and how fast.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting: dotted.path=value; may be repeated.")
    ] = None,
    exit_with_parent: Annotated[
        bool,
        typer.Option("--exit-with-parent", help="Stop as on SIGTERM when stdin ends: when whoever started it does."),
    ] = False,
    log_level: Annotated[LogLevel, typer.Option(help="How much to say on stderr.")] = LogLevel.INFO,
) -> None:
    """Serve the models of CONFIG until Ctrl-C or SIGTERM, then drain and give the fleet back.

    `mark demo` leaves the file of this example behind.

    Example: mark serve mark-demo/demo.yaml --set server.port=9000
    """
    logging.basicConfig(level=log_level.value.upper(), format="%(asctime)s %(levelname)s %(message)s")
    try:
        # A seventh more requests on the same core than asyncio's own loop; docs/decisions/0008.
        uvloop.run(_serve(load_config(config, override or ()), exit_with_parent))
    except asyncio.CancelledError:
        raise typer.Exit(130) from None  # stopped at once, by a second signal; the workers end with their pipe


async def _serve(config: Config, exit_with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def on_signal(signum: signal.Signals) -> None:
        # The second one means now: cancel the drain as well.
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()
        with contextlib.suppress(OSError):  # nobody may be left to read it
            typer.echo(f"mark: {signum.name}: draining; once more to stop at once", err=True)

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, on_signal, signum)
    watching = loop.create_task(watch_parent(stop, asyncio.Event())) if exit_with_parent else None
    # What was made until here lives as long as the router: not scanning it again and again is worth 3 % of its rate.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    names = ", ".join(model.name for model in config.models)
    spent_usd = await app.serve(config, stop, lambda address: typer.echo(f"mark: serving {names} at {address}"))
    with contextlib.suppress(OSError):  # as above
        typer.echo(f"mark: stopped; instances and functions have cost ${spent_usd:.6f}", err=True)
    if watching is not None:
        watching.cancel()
