"""The page of a real router with real workers, under load, while the cloud takes some of them away."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from browser.conftest import OpenPage
from browser.test_looks import TRIES, problems
from integration.router_process import CONFIG, RouterProcess, assert_nothing_left, start_router
from playwright.sync_api import Page, expect

from mark.client import Client
from mark.errors import RequestError
from mark.protocol import messages

# All are in time on a busy machine, too.
SPOT = (
    CONFIG.replace(
        "  - {name: small, price_usd_per_hour: 0.1, max_count: 4}\n",
        "  - {name: small, price_usd_per_hour: 0.1, max_count: 4}\n"
        "  - {name: cheap, market: spot, price_usd_per_hour: 0.03, max_count: 4}\n",
    )
    .replace(
        "profiles: {small: [[1, 4.0], [8, 8.0]]}",
        "profiles: {small: [[1, 4.0], [8, 8.0]], cheap: [[1, 4.0], [8, 8.0]]}",
    )
    .replace("rt_max_ms: 2000", "rt_max_ms: 8000")
)
TOLD_S = 1.5
LAG = """() => new Promise((done) => { const lags = []; const source = new EventSource("/events");
    source.addEventListener("sample", (event) => { lags.push(Date.now() / 1000 - JSON.parse(event.data).unix_s);
        if (lags.length === 3) { source.close(); done(lags); } }); })"""


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RouterProcess]:
    started = start_router(SPOT, tmp_path, "--set", "http.address=127.0.0.1:0")
    workers = started.workers
    yield started
    assert started.stop() == 0, started.log.read_text(encoding="utf-8")
    assert_nothing_left(workers)


def page_of(router: RouterProcess) -> str:
    said = re.search(r"the page is at (\S+)", router.log.read_text(encoding="utf-8"))
    assert said is not None
    return said[1]


@pytest.fixture
def load(router: RouterProcess) -> Iterator[None]:
    """Some requests, one after the other, as long as the test takes."""
    stop = threading.Event()

    def send() -> None:
        with Client(router.address) as client:
            while not stop.is_set():
                with contextlib.suppress(RequestError):  # while there is nobody to answer
                    client.infer("doubler", {"x": np.ones((1, 4), dtype=np.float32)})

    thread = threading.Thread(target=send)
    thread.start()
    yield
    stop.set()
    thread.join()


def interrupt(router: RouterProcess) -> Any:
    request = messages.InterruptRequest(share=1.0, notice_s=1.0)
    with grpc.insecure_channel(router.address) as channel:
        call = channel.unary_unary(messages.INTERRUPT, response_deserializer=messages.InterruptResponse.FromString)
        return call(request.SerializeToString(), timeout=10)


def number(page: Page, name: str) -> float:
    text = page.locator("#figures > div", has_text=name).locator(".value").inner_text()
    return float(re.sub(r"[^\d.]", "", text))


def test_it_shows_what_happens_as_it_happens(
    router: RouterProcess, load: None, open_page: OpenPage, screenshot: Callable[[Page, str], None]
) -> None:
    page = open_page(page_of(router))
    page.wait_for_selector("#figures .value")

    expect(page.locator("#figures > div", has_text="Load").locator(".value")).not_to_have_text("0")
    assert page.inner_text("#verdict").startswith("The promise is kept: 100")
    assert number(page, "In time") == 100
    assert number(page, "Dollars an hour") > 0
    assert page.locator("#timeline").inner_text().startswith(("plan", "start"))
    assert any(max(page.evaluate(LAG)) < TOLD_S for _ in range(TRIES))

    taken = interrupt(router)
    assert len(taken.instances) > 0
    # What is taken away is replaced, which is a decision, and the chart of the fleet tells of it.
    expect(page.locator("#timeline > li:not(.quiet)").first).to_contain_text(re.compile("launch", re.IGNORECASE))
    page.wait_for_function("() => document.querySelectorAll('#timeline > li:not(.quiet)').length >= 2")
    screenshot(page, "router")
    assert problems(page) == []


def test_it_is_told_when_the_router_ends(router: RouterProcess, open_page: OpenPage) -> None:
    page = open_page(page_of(router), may_lose=True)
    page.wait_for_selector("#figures .value")

    assert router.stop() == 0

    expect(page.locator("#connection")).to_contain_text("nothing heard for")


def test_its_health_needs_no_model_to_be_asked(router: RouterProcess, open_page: OpenPage) -> None:
    page = open_page(page_of(router))

    assert page.evaluate("fetch('/healthz').then((answer) => answer.text())") == "ready\n"
