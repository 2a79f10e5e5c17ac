"""Pictures in pages: each takes the colours of the page that it is in, light or dark."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from mark.report.palette import css_variables
from mark.report.plots import LegendEntry, Picture

__all__ = ["inlined", "picture_colours", "standalone"]

_IMAGE = re.compile(r'<img alt="[^"]*" src="[^"]*?([\w-]+)\.svg" ?/?>')
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
_BOX = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_ROW = 14.0
_SIGN = 28.0
_LETTER = 4.9
_MARKED = 'class="plot"'


def picture_colours() -> str:
    """Style sheet of the site: the palette of mark's pictures, in both colours of the page."""
    return (
        f":root {{ {css_variables(dark=False)} }}\n"
        f'[data-md-color-scheme="slate"] {{ {css_variables(dark=True)} }}\n'
        ".plot { width: 100%; height: auto; max-width: 44rem; display: block; font-family: inherit; }\n"
        # Names do not break, and the first column has what is looked for.
        ".md-typeset table:not([class]) { font-size: .68rem; }\n"
        ".md-typeset table:not([class]) th { min-width: 2rem; }\n"
        ".md-typeset table:not([class]) td:first-child code { white-space: nowrap; }\n"
        ".md-typeset table:not([class]) :is(td, th) { padding: .5em .8em; }\n"
        ".md-typeset .reference td:nth-child(2) { min-width: 11rem; }\n"
        ".md-grid { max-width: 70rem; }\n"
        ".md-typeset h1 { color: inherit; font-weight: 400; }\n"
        '[data-md-color-scheme="default"] { --md-typeset-a-color: #00695f; --md-primary-fg-color: #00796b; }\n'
    )


def standalone(picture: Picture) -> str:
    """A picture as a file, with its legend below it; in itself it follows the reader's own setting."""
    style = (
        "<style>"
        f":root {{ {css_variables(dark=False)} font-family: sans-serif }}"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {css_variables(dark=True)} }} }}"
        "</style>"
    )
    opening, _, rest = picture.svg.partition(">")
    box = _BOX.search(opening)
    width, height = (float(box[1]), float(box[2])) if box else (0.0, 0.0)
    legend, rows = _legend(picture.legend, width, height)
    opening = _BOX.sub(f'viewBox="0 0 {width:g} {height + rows * _ROW:g}"', opening)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"{opening} {names}>{style}{rest.removesuffix('</svg>')}{legend}</svg>\n"


def _legend(entries: Sequence[LegendEntry], width: float, top: float) -> tuple[str, int]:
    """Its elements, and how many rows they take; the width of words is estimated."""
    parts, left, row = [], 0.0, 0
    for entry in entries:
        needed = _SIGN + len(entry.label) * _LETTER
        if left and left + needed > width:
            left, row = 0.0, row + 1
        middle = top + row * _ROW + _ROW / 2
        hue = f"var(--{entry.style.swatch})"
        if entry.area:
            box = f'x="{left + 2:g}" y="{middle - 4:g}" width="12" height="8"'
            sign = f'<rect {box} fill="{hue}" opacity="{entry.opacity}"/>'
        else:
            dashes = f' stroke-dasharray="{" ".join(map(str, entry.style.dash))}"' if entry.style.dash else ""
            sign = f'<path d="M{left + 1:g} {middle:g}h14" stroke="{hue}" stroke-width="1.6"{dashes}/>'
        words = f'<text x="{left + 18:g}" y="{middle + 3:g}" font-size="9" fill="var(--ink)">'
        parts += [sign, f"{words}{html.escape(entry.label)}</text>"]
        left += needed
    return "".join(parts), row + 1 if entries else 0


def inlined(page: str, pictures: Path) -> str:
    """The page with those pictures that were made by `standalone` put in; others stay files."""

    def element(found: re.Match[str]) -> str:
        file = pictures / f"{found[1]}.svg"
        svg = file.read_text(encoding="utf-8") if file.is_file() else ""
        return _STYLE.sub("", svg, count=1).strip() if _MARKED in svg[:200] else found[0]

    return _IMAGE.sub(element, page)
