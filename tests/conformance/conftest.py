"""Servers of each kind with each ingress, one of each for the whole session; a test that harms one starts its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from conformance.known_differences import GRPCIO
from conformance.servers import INGRESSES, Server, serve_router, serve_worker


@pytest.fixture(scope="session", params=INGRESSES)
def ingress(request: pytest.FixtureRequest) -> str:
    """What takes the calls."""
    return str(request.param)


def _ends_well(server: Server) -> None:
    children = psutil.Process(server.process.pid).children(recursive=True) if server.lives else []
    assert server.stop() == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []


@pytest.fixture(scope="session")
def router(ingress: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`mark serve` with one worker."""
    server = serve_router(ingress, tmp_path_factory.mktemp("router"))
    yield server
    _ends_well(server)


@pytest.fixture(scope="session")
def worker(ingress: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`mark worker` that no router knows."""
    server = serve_worker(ingress, tmp_path_factory.mktemp("worker"))
    yield server
    _ends_well(server)


@pytest.fixture(scope="session", params=["router", "worker"])
def server(request: pytest.FixtureRequest, router: Server, worker: Server) -> Server:
    """Each of the two."""
    return router if request.param == "router" else worker


@pytest.fixture
def make_router(ingress: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a router with settings of its own; it is stopped at the end."""
    started: list[Server] = []

    def make(*settings: str) -> Server:
        server = serve_router(ingress, tmp_path, *settings)
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def make_server(ingress: str, tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Starts a server of a kind, for a test that stops it."""
    started: list[Server] = []

    def make(kind: str) -> Server:
        server = serve_router(ingress, tmp_path) if kind == "router" else serve_worker(ingress, tmp_path)
        started.append(server)
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture(autouse=True)
def known_difference(request: pytest.FixtureRequest) -> None:
    """What grpcio is known to do otherwise is expected to fail with it, and with nothing else."""
    mark = request.node.get_closest_marker("differs")
    if mark is not None and request.getfixturevalue("ingress") == "grpcio":
        request.applymarker(pytest.mark.xfail(reason=GRPCIO[mark.args[0]], strict=True))
