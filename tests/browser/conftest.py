"""A real Chromium, and a page that may neither complain nor ask anybody else for anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.page_world import PageWorld
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mark.live.page import page_files

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
LIVE = '#connection[data-state="live"]'

OpenPage = Callable[..., Page]

# A test that is about how soon says so itself; all others wait as long as a busy machine may need.
expect.set_options(timeout=15_000)


def chromium() -> str | None:
    """The browser: CHROMIUM names another one than the system's."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")  # and not longer: its event loop would be in the way of those of other tests
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium here: apt-get install chromium, or set CHROMIUM to one")
    if not page_files().has_charts:
        pytest.skip("this build has no charting library: CMake said why when it configured; scripts/fetch_charts.py")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address; in the end no page may have said an error, or asked anybody but the router."""
    opened: list[tuple[Page, str, list[str]]] = []

    def open_one(address: str, *, wait_for: str | None = LIVE, may_lose: bool = False, **look: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, "locale": "en-GB", **look})
        page = context.new_page()
        trouble: list[str] = []
        if not may_lose:
            page.on("console", lambda said: trouble.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda sent: None if sent.url.startswith((address, "data:")) else trouble.append(sent.url))
        opened.append((page, address, trouble))
        page.goto(address)
        if wait_for is not None:
            page.wait_for_selector(wait_for)
        return page

    yield open_one
    for page, _, trouble in opened:
        page.context.close()
        assert trouble == []


@pytest.fixture
def make_world() -> Iterator[Callable[..., PageWorld]]:
    """Makes servers of the page; each is closed at the end."""
    made: list[PageWorld] = []

    def make(*arguments: Any, **named: Any) -> PageWorld:
        made.append(PageWorld(*arguments, **named))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def screenshot() -> Callable[[Page, str], None]:
    """Keeps a picture of the whole page, for a person to look at."""

    def take(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    return take
