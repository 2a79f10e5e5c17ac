"""The live page: its files, from the package and from what was built beside the extension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from aiohttp import web

from mark import _core
from mark.live.http_server import HttpServer

__all__ = ["PageFiles", "mount_page", "page_files"]

_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_CHARTS: Final = ("uPlot.iife.min.js", "uPlot.min.css")
_CHARTS_PLACE: Final = "<!-- charts -->"
_CHARTS_HTML: Final = (
    '<link rel="stylesheet" href="/static/uPlot.min.css">\n<script src="/static/uPlot.iife.min.js" defer></script>'
)


@dataclass(frozen=True, slots=True)
class PageFiles:
    """What a browser loads.

    Attributes:
        index: the page itself.
        static: all else, by name.
        has_charts: whether the charting library was there when mark was built.
    """

    index: bytes
    static: Mapping[str, bytes]
    has_charts: bool


def page_files(charts: Path | None = None) -> PageFiles:
    """Read all of it.

    Args:
        charts: the folder of the charting library; None for the one beside the extension.
    """
    folder = Path(_core.__file__).parent / "charts" if charts is None else charts
    static = {
        file.name: file.read_bytes()
        for file in resources.files("mark").joinpath("web").iterdir()
        if Path(file.name).suffix in _TYPES
    }
    has_charts = all((folder / name).is_file() for name in _CHARTS)
    if has_charts:
        static |= {name: (folder / name).read_bytes() for name in _CHARTS}
    index = static.pop("index.html").replace(_CHARTS_PLACE.encode(), _CHARTS_HTML.encode() if has_charts else b"")
    return PageFiles(index, static, has_charts)


def mount_page(server: HttpServer, files: PageFiles) -> None:
    """Answer / and /static."""

    async def index(_: web.Request) -> web.Response:
        return web.Response(body=files.index, content_type="text/html", charset="utf-8")

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in files.static:
            raise web.HTTPNotFound(text="no such file\n")
        return web.Response(body=files.static[name], content_type=_TYPES[Path(name).suffix], charset="utf-8")

    server.mount("/", index)
    server.mount("/static/{name}", static)
