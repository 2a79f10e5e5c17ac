"""Real routers and workers, as processes, for the integration tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.router_process import CONFIG, RouterProcess, assert_nothing_left, start_router

from mark._core import native_available

INGRESSES = ["grpcio", *(["native"] if native_available else [])]


@pytest.fixture
def make_router(tmp_path: Path) -> Iterator[Callable[..., RouterProcess]]:
    """Starts routers; each is stopped at the end, and must leave no worker behind."""
    started: list[RouterProcess] = []

    def make(config: str = CONFIG, *arguments: str) -> RouterProcess:
        router = start_router(config, tmp_path, *arguments)
        started.append(router)
        return router

    yield make
    for router in started:
        workers = router.workers if router.process.poll() is None else []
        router.stop()
        assert_nothing_left(workers)


@pytest.fixture(scope="module", params=INGRESSES)
def router(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """One router of each kind for the tests of a module."""
    chosen = f"server.ingress={request.param}"
    started = start_router(CONFIG, tmp_path_factory.mktemp("router"), "--set", chosen)
    started.wait_ready(2)  # all that there are to be
    workers = started.workers
    yield started
    assert started.stop() == 0, started.log.read_text(encoding="utf-8")
    assert_nothing_left(workers)
