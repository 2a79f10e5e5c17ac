"""What `mark load` sends with: mark's native client, or grpcio's."""

from __future__ import annotations

import asyncio
import enum
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mark.client import AsyncClient
from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError
from mark.workload.native_load import NativeLoad, native_load_available
from mark.workload.open_loop import OpenLoop
from mark.workload.random_requests import random_requests
from mark.workload.report import LoadReport

__all__ = ["LoadClient", "Sending", "send", "sending_of"]

_CONNECTIONS = 4


class LoadClient(enum.Enum):
    """What sends the requests."""

    NATIVE = "native"
    GRPCIO = "grpcio"


@dataclass(frozen=True, slots=True, eq=False)
class Sending:
    """How requests are sent.

    Attributes:
        client: what sends them.
        connections: of the native client.
        in_flight: requests that wait at any time, for `duration_s`; None: they are sent at `instants_s`.
        instants_s: in seconds from the beginning.
        duration_s: of a closed loop.
        deadline_ms: of each request, or None.
        tls: whom to trust, and what to show; None: no TLS.
    """

    client: LoadClient
    connections: int
    in_flight: int | None
    instants_s: npt.NDArray[np.float64]
    duration_s: float
    deadline_ms: float | None
    tls: TlsIdentity | None


def sending_of(  # noqa: PLR0913 - what a Sending has
    client: LoadClient | None,
    connections: int | None,
    in_flight: int | None,
    *,
    instants_s: npt.NDArray[np.float64],
    duration_s: float,
    deadline_ms: float | None,
    tls: TlsIdentity | None = None,
) -> Sending:
    """How to send what was asked for.

    Raises:
        ConfigError: this build, or the client, cannot do it.
    """
    chosen = client or (LoadClient.NATIVE if native_load_available() else LoadClient.GRPCIO)
    if chosen is LoadClient.NATIVE and not native_load_available():
        raise ConfigError(
            "--client native: this mark was built without its native data plane; install nghttp2, OpenSSL 3 and zlib "
            "with their headers and build it again, or use --client grpcio"
        )
    if chosen is LoadClient.GRPCIO:
        for option, value in {"--connections": connections, "--in-flight": in_flight}.items():
            if value is not None:
                raise ConfigError(f"{option}: only the native client has it; leave it out, or use --client native")
    return Sending(chosen, connections or _CONNECTIONS, in_flight, instants_s, duration_s, deadline_ms, tls)


async def send(address: str, what: tuple[str, int, int], sending: Sending, console: Console) -> LoadReport:
    """Send requests for a model, of so many rows, drawn with a seed; SIGINT ends it early."""
    model, rows, seed = what
    async with AsyncClient(address, tls=sending.tls) as client:
        signature = await client.model_metadata(model)
        requests = random_requests(signature, rows, seed)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        total = len(sending.instants_s) if sending.in_flight is None else None
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            bar = progress.add_task(f"{model} at {address}", total=total)
            stop, run = _work(address, client, requests, sending)
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)
            return await run(lambda ended: progress.update(bar, completed=ended))


_Run = Callable[[Callable[[int], None]], Coroutine[Any, Any, LoadReport]]


def _work(
    address: str, client: AsyncClient, requests: list[bytes], sending: Sending
) -> tuple[Callable[[], None], _Run]:
    deadline_ms, instants_s = sending.deadline_ms, sending.instants_s
    if sending.client is LoadClient.GRPCIO:
        open_loop = OpenLoop(client, requests, deadline_ms=deadline_ms)
        return open_loop.stop, lambda tell: open_loop.run(instants_s, on_progress=tell)
    in_flight = sending.in_flight
    load = NativeLoad(
        address, requests, deadline_ms=deadline_ms, connections=sending.connections,
        in_flight_max=max(20_000, in_flight or 0), tls=sending.tls,
    )  # fmt: skip
    if in_flight is None:
        return load.stop, lambda tell: load.run(instants_s, on_progress=tell)
    return load.stop, lambda tell: load.run_closed(in_flight, sending.duration_s, on_progress=tell)
