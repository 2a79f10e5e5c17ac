"""The site: built strictly, with a reference of all that is there, and without a request to anybody else."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from codebase.source_tree import ROOT
from playwright.sync_api import Page as BrowserPage
from playwright.sync_api import sync_playwright

from mark.cli.commands import app
from mark.config import Config

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = ROOT / "build" / "screenshots"
LOOKED_AT = ("index.html", "tutorial", "explanation/planning", "reference/configuration", "reference/python")
SCREENS = {"desktop": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light")}
_BUILD_S = 120


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-S"] if sys.flags.no_site else []
    built = subprocess.run(
        [sys.executable, *options, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def words_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_the_reference_has_every_key_of_the_configuration(site: Path) -> None:
    words = words_of(site / "reference" / "configuration" / "index.html").split()
    schema = Config.model_json_schema()

    for section in (schema, *(each for each in schema["$defs"].values() if "properties" in each)):
        assert set(section["properties"]) <= set(words)


def test_the_reference_has_every_command_and_its_options(site: Path) -> None:
    text = words_of(site / "reference" / "commands" / "index.html")

    for path, command in commands_below("mark", typer.main.get_command(app)):
        assert path in text
        options = [option for parameter in command.params for option in parameter.opts]
        assert [option for option in options if option not in text.lower()] == []


def commands_below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    for name, each in below.items():
        yield from commands_below(f"{path} {name}", each)
    if not below:
        yield path, command


def test_the_reference_has_the_clients_the_errors_and_the_ports(site: Path) -> None:
    text = words_of(site / "reference" / "python" / "index.html")

    assert all(name in text for name in ("AsyncClient", "deadline_ms", "Overloaded", "Forecaster", "ManualClock"))


def test_every_decision_can_be_found_from_every_page(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")

    for decision in (ROOT / "docs" / "decisions").glob("*.md"):
        assert (f"decisions/{decision.stem}/" in page) == (decision.stem != "0000-template")


def test_pictures_of_the_simulator_lie_in_the_page_and_take_its_colours(site: Path) -> None:
    page = (site / "explanation" / "planning" / "index.html").read_text(encoding="utf-8")

    assert page.count('<svg class="plot"') == 2
    assert "var(--blue)" in page
    assert "prefers-color-scheme: dark) { :root" not in page
    assert "--blue" in (site / "site.css").read_text(encoding="utf-8")


def test_what_can_be_searched_for_is_built_in(site: Path) -> None:
    found = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))

    assert {"tutorial/", "reference/configuration/"} <= {entry["location"] for entry in found["docs"]}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r'<(?:script|img|iframe|source|link(?! rel="(?:canonical|next|prev)"))[^>]*(?:src|href)="(\w+:)?//'
    )

    assert [page for page in site.rglob("*.html") if loads.search(page.read_text(encoding="utf-8"))] == []
    assert [sheet for sheet in site.rglob("*.css") if "url(http" in sheet.read_text(encoding="utf-8")] == []


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the built site is served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("screen", SCREENS)
def test_pages_can_be_read_on_every_screen(address: str, screen: str) -> None:
    width, height, scheme = SCREENS[screen]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda asked: None if asked.url.startswith(address) else complaints.append(asked.url))
        for name in LOOKED_AT:
            page.goto(f"{address}/{name}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=SCREENSHOTS / f"site-{screen}-{name.replace('/', '-')}.png", full_page=True)
            check_colours(page, scheme)
        browser.close()
    assert complaints == []


def check_colours(page: BrowserPage, scheme: str) -> None:
    """Text stands out from its ground, which is as dark as the reader asked for."""
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("getComputedStyle(document.querySelector('.md-content p')).color")
    light = [sum(map(float, re.findall(r"[\d.]+", colour)[:3])) for colour in (ground, ink)]
    assert (light[0] < light[1]) == (scheme == "dark")
