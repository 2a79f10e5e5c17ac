"""The life of a worker process: load, serve, drain, end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mark.domain.artifact import ModelArtifact, artifact_from_json
from mark.errors import ConfigError, MarkError, ModelLoadError

__all__ = ["WorkerOptions", "main", "run_worker"]

# Read by the math libraries when they are imported, which is why the imports below wait for it.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How to run a worker.

    Attributes:
        artifact: the model.
        address: "host:port", where port 0 takes a free one, or "unix:/path".
        threads: compute threads.
        cpu_share: share of the machine, in (0, 1].
        exit_with_parent: end as on SIGTERM when stdin ends, so that no worker outlives the router that started it.
        grace_s: how long a stopping worker finishes what it has accepted.
    """

    artifact: ModelArtifact
    address: str = "127.0.0.1:0"
    threads: int = 1
    cpu_share: float = 1.0
    exit_with_parent: bool = False
    grace_s: float = 5.0


def run_worker(options: WorkerOptions) -> None:
    """Serve until SIGTERM, SIGINT or, if asked, the end of stdin.

    Raises:
        ModelLoadError: the model does not load.
        ConfigError: the address is in use, or an option makes no sense.
    """
    if options.threads < 1:
        raise ConfigError(f"threads must be 1 or more, not {options.threads}")
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(options.threads)
    from mark.worker.example_inputs import warm_up
    from mark.worker.runtimes import first_line, load_model

    artifact = options.artifact
    model = load_model(artifact, options.threads)
    if artifact.runtime != "python":  # which may do more than compute, and prepares itself
        try:
            warm_up(model, artifact.signature)
        except Exception as error:
            raise ModelLoadError(
                f"{artifact.source} loads, but fails on inputs of ones: {first_line(error)}"
            ) from error
    asyncio.run(_serve(options, model))


async def _serve(options: WorkerOptions, model: object) -> None:
    from mark.protocol.parent import watch_parent
    from mark.protocol.service import make_server
    from mark.worker.servicer import WorkerService
    from mark.worker.throttle import CpuShare

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    try:
        service = WorkerService(options.artifact.signature, model, CpuShare(options.cpu_share))  # type: ignore[arg-type]
    except ValueError as error:
        raise ConfigError(str(error)) from error
    # Batches may be larger than one client's message, so the worker sets no limit of its own.
    server, address = await make_server(options.address, service, message_bytes_max=-1)
    orphaned = asyncio.Event()
    watching = None
    try:
        await server.start()
        if options.exit_with_parent:
            watching = loop.create_task(watch_parent(stop, orphaned))
        if not _announce(options.artifact.signature.name, address):
            orphaned.set()
            stop.set()
        await stop.wait()
        service.drain()
        await server.stop(options.grace_s)
        service.close()
        if watching is not None:
            watching.cancel()
    finally:
        _remove_socket(address, with_folder=orphaned.is_set())


def _announce(name: str, address: str) -> bool:
    """Say that it serves; False when nobody is left to hear it."""
    try:
        sys.stdout.write(f"mark worker: serving {name} at {address}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for what is left of the process
        return False
    return True


def _remove_socket(address: str, *, with_folder: bool) -> None:
    if not address.startswith("unix:"):
        return
    path = Path(address.removeprefix("unix:"))
    path.unlink(missing_ok=True)
    if with_folder:
        # Nobody else is left to remove the router's folder of sockets; the last worker to leave can.
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def parse_options(arguments: Sequence[str]) -> WorkerOptions:
    """Read the command line of a worker that a local cloud starts.

    Raises:
        ConfigError: the artifact is no artifact.
    """
    parser = argparse.ArgumentParser(prog="mark.worker", description=__doc__)
    parser.add_argument("--artifact", required=True, help="the model, as JSON")
    parser.add_argument("--address", default="127.0.0.1:0", help="host:port or unix:/path")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-share", type=float, default=1.0)
    parser.add_argument("--exit-with-parent", action="store_true")
    options = parser.parse_args(arguments)
    try:
        artifact = artifact_from_json(options.artifact)
    except ValueError as error:
        raise ConfigError(f"--artifact: {error}") from error
    return WorkerOptions(artifact, options.address, options.threads, options.cpu_share, options.exit_with_parent)


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
