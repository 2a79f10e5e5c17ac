"""The files of the live page, and what they say the same as elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import aiohttp
import pytest

from mark.live.http_server import HttpServer
from mark.live.page import mount_page, page_files
from mark.report.palette import MARKETS, SWATCHES

WEB = resources.files("mark").joinpath("web")


def text_of(name: str) -> str:
    return WEB.joinpath(name).read_text(encoding="utf-8")


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        (tmp_path / name).write_text("/* charts */", encoding="utf-8")
    return tmp_path


@pytest.fixture
async def client(charts: Path) -> AsyncIterator[aiohttp.ClientSession]:
    server = HttpServer("127.0.0.1", None)
    mount_page(server, page_files(charts))
    await server.start(0)
    async with aiohttp.ClientSession(server.address) as session:
        yield session
    await server.stop()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/page.css", "text/css; charset=utf-8"),
        ("/static/page.js", "text/javascript; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml; charset=utf-8"),
        ("/static/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_each_file_is_served_as_what_it_is(client: aiohttp.ClientSession, path: str, kind: str) -> None:
    async with client.get(path) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)


@pytest.mark.parametrize(
    "path", ["/static/", "/static/index.html", "/static/page.py", "/static/..%2fpage.css", "/page"]
)
async def test_nothing_else_is(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 404


def test_it_loads_the_charting_library_only_where_it_is_there(
    charts: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert b"uPlot.iife.min.js" in page_files(charts).index
    without = page_files(tmp_path_factory.mktemp("none"))
    assert b"uPlot" not in without.index
    assert not without.has_charts


@pytest.mark.parametrize("dark", [False, True])
def test_its_colours_are_those_of_the_reports(dark: bool) -> None:
    blocks = re.findall(r":root \{(.*?)\}", text_of("page.css"), re.DOTALL)
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", blocks[dark]))

    assert {name: colours[name] for name in SWATCHES} == {name: hues[dark] for name, hues in SWATCHES.items()}


def test_markets_have_the_colours_and_words_of_the_reports() -> None:
    assert dict(re.findall(r'\["(\w+)", "(\w+)"\]', text_of("plots.js"))) == {
        market: swatch for market, (_, swatch) in MARKETS.items()
    }
    assert dict(re.findall(r'(\w+): "([\w ]+)"', text_of("words.js").partition("};")[0])) == {
        market: words for market, (words, _) in MARKETS.items()
    }


def luminance(hue: str) -> float:
    """Relative luminance, as the Web Content Accessibility Guidelines 2.2 reckon it."""
    parts = [int(hue[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("text", ["ink", "faint", "good", "bad"])
@pytest.mark.parametrize("ground", ["paper", "sheet", "tint"])
def test_text_can_be_read_by_whoever_sees_little(dark: bool, text: str, ground: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", text_of("page.css"), re.DOTALL)
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", blocks[dark]))
    darker, lighter = sorted((luminance(colours[text]), luminance(colours[ground])))

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_nothing_in_it_leads_to_anybody_else() -> None:
    for file in WEB.iterdir():
        # The name of SVG's own language is no address that anybody asks.
        text = text_of(file.name).replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w|@import|innerHTML|document\.write|\beval\b", text), file.name
