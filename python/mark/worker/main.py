"""The life of a worker process: load, serve, drain, end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mark._core import Tracer, native_available
from mark.domain.artifact import ModelArtifact, artifact_from_json
from mark.domain.device import CPU, Device, device_of
from mark.errors import ConfigError, MarkError
from mark.tracing.params import TracingParams, make_trace_export
from mark.worker.ending import Ending
from mark.worker.loading import load_warm

if TYPE_CHECKING:
    from mark.protocol.tls import TlsFolder
    from mark.worker.runtimes import Model
    from mark.worker.serving import Serving
    from mark.worker.throttle import Throttle

__all__ = ["DEFAULT_INGRESS", "INGRESSES", "TRACE_SERVICE", "WorkerOptions", "main", "run_worker", "tracing_params"]

INGRESSES = ("native", "grpcio")
TRACE_SERVICE = "mark-worker"
DEFAULT_INGRESS = "native" if native_available else "grpcio"


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to run a worker.

    Attributes:
        artifact: the model.
        address: "host:port", where port 0 takes a free one, or "unix:/path".
        threads: compute threads.
        cpu_share: share of the machine, in (0, 1].
        baseline_share: of that share, in (0, 1]: what is left of it without credits, and earns them.
        credits_s: seconds at the full share that it has at first; None for as many as it wants.
        exit_with_parent: end as on SIGTERM when stdin ends, so that no worker outlives the router that started it.
        device: what the model computes on.
        grace_s: how long a stopping worker finishes what it has accepted; a batch that takes longer ends with it.
        tls_folder: its certificate, key and authorities, see `TlsFolder`; clients must show a certificate of these.
            None for connections without TLS.
        ingress: what speaks HTTP/2: "native", or "grpcio" where that was not built.
        metrics_port: serves metrics to Prometheus, at the host of the address, or to this machine alone where that is a
            file or clients must show a certificate; 0 takes a free one. None for no metrics.
        tracing: which requests leave spans, and where these go; None: none do.
    """

    artifact: ModelArtifact
    address: str = "127.0.0.1:0"
    threads: int = 1
    cpu_share: float = 1.0
    device: Device = CPU
    exit_with_parent: bool = False
    grace_s: float = 5.0
    baseline_share: float = 1.0
    credits_s: float | None = None
    tls_folder: Path | None = None
    ingress: str = DEFAULT_INGRESS
    metrics_port: int | None = None
    tracing: TracingParams | None = None


def run_worker(options: WorkerOptions) -> None:
    """Serve until SIGTERM, SIGINT or, if asked, the end of stdin; then return, or end the process after the grace.

    Raises:
        ModelLoadError: the model does not load.
        ConfigError: an address is in use, a file of the TLS folder is bad, or an option makes no sense.
    """
    if options.ingress == "native" and not native_available:
        raise ConfigError(
            "native was built without: install nghttp2 with its headers and build again, or say --ingress grpcio"
        )
    ending = Ending(options.address, options.grace_s)
    if options.exit_with_parent:
        ending.watch_parent()
    try:
        tls = _tls(options)
        model = load_warm(options.artifact, options.threads, options.device)
        with _measured(options, model) as measured:
            asyncio.run(_serve(options, measured, tls, ending))
    finally:
        ending.remove_files()


def _tls(options: WorkerOptions) -> TlsFolder | None:
    if options.tls_folder is None:
        return None
    from mark.protocol.tls import TlsFolder

    return TlsFolder(options.tls_folder)


@contextlib.contextmanager
def _measured(options: WorkerOptions, model: Model) -> Iterator[tuple[Model, Throttle]]:
    """The model and its throttle, with their metrics served where that is asked for."""
    throttle = _throttle(options)
    if options.metrics_port is None:
        yield model, throttle
        return
    from mark.worker.metrics import MetricsPort, WorkerCounts

    counts = WorkerCounts(options.artifact.signature.name)
    port = MetricsPort(counts, options.address, options.metrics_port, open_to_others=options.tls_folder is None)
    try:
        _say(f"metrics at {port.url}")
        yield counts.around_model(model), counts.around_throttle(throttle)
    finally:
        port.close()


async def _serve(
    options: WorkerOptions, measured: tuple[Model, Throttle], tls: TlsFolder | None, ending: Ending
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_soon() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    ending.serve(stop_soon)
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ending.begin)
    traces = make_trace_export(options.tracing)
    serving = _serving(options, *measured, tls, None if traces is None else traces.tracer)
    if traces is not None:
        traces.start()
    try:
        address = await serving.start()
        ending.bound()
        if not _say(f"serving {options.artifact.signature.name} at {address}"):
            ending.orphan()
        await stop.wait()
    finally:
        await serving.stop(options.grace_s)
        if traces is not None:
            await asyncio.to_thread(traces.close)


def _serving(
    options: WorkerOptions, model: Model, throttle: Throttle, tls: TlsFolder | None, tracer: Tracer | None
) -> Serving:
    from mark.worker.serving import GrpcioServing, NativeServing

    kind = NativeServing if options.ingress == "native" else GrpcioServing
    try:
        return kind(options.artifact.signature, model, throttle, options.address, tls, tracer)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _throttle(options: WorkerOptions) -> Throttle:
    from mark.worker.throttle import CpuCredits, CpuShare, CpuUse

    try:
        share = CpuShare(options.cpu_share, options.threads)
        if options.credits_s is None:
            return share
        return CpuCredits(share, options.baseline_share, options.credits_s, CpuUse.now().wall_s)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _say(words: str) -> bool:
    """Say something on the first lines of the output; False when nobody is left to hear it."""
    try:
        sys.stdout.write(f"mark worker: {words}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for what is left of the process
        return False
    return True


def parse_options(arguments: Sequence[str]) -> WorkerOptions:
    """Read the command line of a worker that a local cloud starts.

    Raises:
        ConfigError: the artifact is no artifact, or the device no device.
    """
    parser = argparse.ArgumentParser(prog="mark.worker", description=__doc__)
    parser.add_argument("--artifact", required=True, help="the model, as JSON")
    parser.add_argument("--address", default="127.0.0.1:0", help="host:port or unix:/path")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-share", type=float, default=1.0)
    parser.add_argument("--baseline-share", type=float, default=1.0)
    parser.add_argument("--credits-s", type=float, default=None)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--exit-with-parent", action="store_true")
    parser.add_argument("--grace-s", type=float, default=5.0, help="how long a stopping worker may finish its batch")
    parser.add_argument("--tls-folder", type=Path, default=None, help="certificate.pem, key.pem and authorities.pem")
    parser.add_argument("--metrics-port", type=int, default=None, help="serve metrics to Prometheus; 0 for a free port")
    parser.add_argument("--ingress", choices=INGRESSES, default=DEFAULT_INGRESS, help="what speaks HTTP/2")
    parser.add_argument("--trace-endpoint", default=None, help="where spans go: OTLP over gRPC, http://host:port")
    parser.add_argument("--trace-share", type=float, default=0.0, help="of requests that their clients do not trace")
    parser.add_argument("--trace-service", default=TRACE_SERVICE, help="as which the spans name this process")
    options = parser.parse_args(arguments)
    try:
        artifact = artifact_from_json(options.artifact)
    except ValueError as error:
        raise ConfigError(f"--artifact: {error}") from error
    try:
        device = device_of(options.device)
    except ValueError as error:
        raise ConfigError(f"--device: {error}") from error
    return WorkerOptions(
        artifact,
        address=options.address,
        threads=options.threads,
        cpu_share=options.cpu_share,
        device=device,
        exit_with_parent=options.exit_with_parent,
        grace_s=options.grace_s,
        baseline_share=options.baseline_share,
        credits_s=options.credits_s,
        tls_folder=options.tls_folder,
        ingress=options.ingress,
        metrics_port=options.metrics_port,
        tracing=tracing_params(options.trace_endpoint, options.trace_share, options.trace_service),
    )


def tracing_params(endpoint: str | None, share: float, service: str) -> TracingParams | None:
    """What the options of a command line say; None without an endpoint: nothing is traced.

    Raises:
        ConfigError: the endpoint is none, or the share.
    """
    if endpoint is None:
        return None
    try:
        return TracingParams(endpoint, share, service)
    except ValueError as error:
        raise ConfigError(f"--trace-endpoint, --trace-share: {error}") from error


def main(arguments: Sequence[str]) -> int:
    """Run a worker; 2 when a person has to mend something first."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run_worker(parse_options(arguments))
    except MarkError as error:
        sys.stderr.write(f"mark worker: {error}\n")
        return 2
    return 0
