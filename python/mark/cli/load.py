"""`mark load`."""

from __future__ import annotations

import asyncio
import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

from mark.cli.load_run import LoadClient, send, sending_of
from mark.cli.option_checks import check_positive, check_within, check_writable
from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError
from mark.protocol.tls import read_client_identity
from mark.workload import arrivals
from mark.workload.trace_file import read_trace, slice_trace

__all__ = ["Arrival", "load"]


_IN_FLIGHT_MAX = 1_000_000
_ROWS_MAX = 65_536  # no server takes more in one request


class Arrival(enum.Enum):
    """How the gaps between requests are drawn."""

    POISSON = "poisson"
    CONSTANT = "constant"


def load(  # noqa: PLR0913, PLR0917 - every parameter is an option of the command line
    address: Annotated[str, typer.Argument(help="host:port of a server of the Open Inference Protocol.")],
    model: Annotated[str, typer.Option(help="The model to call.")],
    rate: Annotated[float, typer.Option(help="Requests per second; a trace has its own.")] = 10.0,
    duration_s: Annotated[float, typer.Option(help="Seconds to send for, at most the trace's length.")] = 10.0,
    arrival: Annotated[Arrival, typer.Option(help="Gaps between requests; a trace has its own.")] = Arrival.POISSON,
    trace: Annotated[Path | None, typer.Option(help="Replay a CSV of second,requests or minute,requests.")] = None,
    start_s: Annotated[float, typer.Option(help="Where in the trace to begin.")] = 0.0,
    scale: Annotated[float, typer.Option(help="Multiply the trace's rate.")] = 1.0,
    speed: Annotated[float, typer.Option(help="Play the trace this many times faster.")] = 1.0,
    rows: Annotated[int, typer.Option(help="Rows in each request.")] = 1,
    deadline_ms: Annotated[float | None, typer.Option(help="gRPC deadline of each request.")] = None,
    rt_max_ms: Annotated[float, typer.Option(help="Response time that keeps the promise.")] = 100.0,
    seed: Annotated[int, typer.Option(help="Makes arrivals and inputs reproducible.")] = 0,
    in_flight: Annotated[int | None, typer.Option(help="Keep so many in flight, instead of a rate.")] = None,
    client: Annotated[LoadClient | None, typer.Option(help="What sends; native where mark has it.")] = None,
    connections: Annotated[int | None, typer.Option(help="Connections of the native client; 4 by default.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="Use TLS, and trust the authorities in this PEM file.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file to show, where the server asks.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's private key, a PEM file.")] = None,
    tls_name: Annotated[str, typer.Option(help="The name in the server's certificate; the host by default.")] = "",
    output: Annotated[Path | None, typer.Option(help="Write the JSON report to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON report and nothing else.")] = False,
) -> None:
    """Send requests at instants fixed beforehand, and report latency from those instants.

    With --in-flight, each answer makes room for the next request: that measures throughput, and its latencies say
    nothing about what clients would suffer. Ctrl-C stops sending and reports what was done until then.

    Example: mark load localhost:8001 --model digits --rate 200 --duration-s 30 --rt-max-ms 100
    """
    check_positive({"--rate": rate, "--duration-s": duration_s, "--scale": scale, "--speed": speed})
    check_positive({"--deadline-ms": deadline_ms, "--rt-max-ms": rt_max_ms})
    check_within("--start-s", start_s, 0)
    check_within("--rows", rows, 1, _ROWS_MAX)
    check_within("--seed", seed, 0)
    if output is not None:
        check_writable("--output", output)
    for option, value in {"--in-flight": in_flight, "--connections": connections}.items():
        if value is not None:
            check_within(option, value, 1, _IN_FLIGHT_MAX)
    if in_flight is not None and trace is not None:
        raise ConfigError("--in-flight and --trace exclude one another: a trace has its own rate")
    tls = _tls(tls_ca, tls_certificate, tls_key, tls_name)
    instants_s = np.zeros(0)
    if in_flight is None:
        gaps = _Gaps(rate, duration_s, arrival, start_s, scale, speed, seed)
        instants_s = _instants(gaps, trace)
    sending = sending_of(
        client, connections, in_flight, instants_s=instants_s, duration_s=duration_s, deadline_ms=deadline_ms, tls=tls
    )
    console = Console(stderr=True, quiet=as_json)
    report = asyncio.run(send(address, (model, rows, seed), sending, console))
    text = json.dumps(report.as_dict(rt_max_ms), indent=2)
    typer.echo(text)  # first: whatever becomes of the file, the run was not for nothing
    if output is not None:
        _write(output, text)


def _tls(authorities: Path | None, certificate: Path | None, key: Path | None, peer_name: str) -> TlsIdentity | None:
    if authorities is None:
        for option, value in {"--tls-certificate": certificate, "--tls-key": key, "--tls-name": peer_name}.items():
            if value:
                raise ConfigError(f"{option}: needs --tls-ca, which says whom to trust")
        return None
    if (certificate is None) != (key is None):
        raise ConfigError("--tls-certificate and --tls-key: give both, or none")
    return read_client_identity(authorities, certificate, key, peer_name)


@dataclass(frozen=True, slots=True)
class _Gaps:
    rate: float
    duration_s: float
    arrival: Arrival
    start_s: float
    scale: float
    speed: float
    seed: int


def _instants(gaps: _Gaps, trace: Path | None) -> npt.NDArray[np.float64]:
    try:
        if trace is not None:
            part = slice_trace(read_trace(trace), gaps.start_s, gaps.duration_s * gaps.speed)
            instants_s = arrivals.from_trace(part, scale=gaps.scale, speed=gaps.speed, seed=gaps.seed)
            instants_s = instants_s[instants_s < gaps.duration_s]  # the last bin may reach further
        elif gaps.arrival is Arrival.POISSON:
            instants_s = arrivals.poisson(gaps.rate, gaps.duration_s, gaps.seed)
        else:
            instants_s = arrivals.constant(gaps.rate, gaps.duration_s)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not len(instants_s):
        raise ConfigError("nothing to send: rate, duration or the trace is empty")
    return instants_s


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output {output}: cannot be written: {error.strerror}") from error
