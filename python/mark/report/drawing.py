"""Turns a plot of matplotlib into SVG that lies in a page: small, the same every time, in the page's own colours."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import Any

from mark.errors import ConfigError
from mark.report.palette import SWATCHES

__all__ = ["check_can_draw", "colour", "draw"]

Paint = Callable[[Any], None]

_WIDTH_INCHES = 5.2  # 374 units of the picture: text of 9 is as good as readable on a telephone
_NAMES = {light: name for name, (light, _) in SWATCHES.items()}


def check_can_draw() -> None:
    """Make sure that there is something to draw with, before anything is done that is to be drawn.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib.backends.backend_svg  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"the HTML report needs {error.name}: pip install 'mark-serve[report]'") from error


def colour(swatch: str) -> str:
    """What to paint with so that the page shows the colour of that name."""
    return SWATCHES[swatch][0]


def draw(name: str, alt: str, paint: Paint, *, height_inches: float = 2.4) -> str:
    """One plot as an `<svg>` element.

    Args:
        name: tells its parts from those of other plots of the page; letters, digits and hyphens.
        alt: what it shows, in words.
        paint: draws on the axes that it is given.
        height_inches: at a width of 5.2.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's own style is, the same values are the same picture
        mpl.rcParams.update(_settings())
        figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        paint(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(written.getvalue(), name, alt)


def _settings() -> dict[str, Any]:
    ink, grid = colour("ink"), colour("grid")
    return {
        "svg.hashsalt": "mark",
        "svg.fonttype": "none",  # text stays text: to be read aloud, searched and copied
        "text.parse_math": False,  # a dollar is a dollar
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": colour("faint"),
        "axes.grid": True,
        "axes.xmargin": 0.0,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "xtick.color": colour("faint"),
        "ytick.color": colour("faint"),
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "font.size": 9.0,
        "axes.labelsize": 9.0,
        "lines.linewidth": 1.3,
    }


def _for_page(svg: str, name: str, alt: str) -> str:
    """The element alone, without what a page has no use for."""
    svg = svg[svg.index("<svg") :]
    for unused in (r"<metadata>.*?</metadata>", r"<style[^>]*>.*?</style>", r"<!--.*?-->", r"<defs>\s*</defs>"):
        svg = re.sub(unused, "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=\s)(d|x|y|width|height)="([^"]*)"', _rounded, svg)
    svg = re.sub(r"font-family: [^;]*; ", "", svg)  # the page has one
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: _as_variable(found[0]), svg)
    svg = _own_ids(svg, name)
    size = re.search(r'viewBox="([^"]*)"', svg)
    box = size[1] if size else ""
    opening = f'<svg class="plot" role="img" aria-label="{html.escape(alt)}" viewBox="{box}">'
    svg = opening + svg[svg.index(">") + 1 :]
    return re.sub(r">\s+<", "><", svg).strip()


def _rounded(attribute: re.Match[str]) -> str:
    """A tenth of a unit is less than a pixel."""
    values = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), attribute[2])
    compact = re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(values.split()))
    return f'{attribute[1]}="{compact}"'


def _as_variable(hue: str) -> str:
    return f"var(--{_NAMES[hue]})" if hue in _NAMES else hue


def _own_ids(svg: str, name: str) -> str:
    """Ids that nothing refers to go, and the others become the plot's own: a page has many plots."""
    referred = set(re.findall(r'(?:url\(|xlink:href=")#([\w-]+)', svg))
    svg = re.sub(r'\sid="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in referred else "", svg)
    return re.sub(r'(url\(|xlink:href=")#([\w-]+)', rf"\g<1>#{name}-\g<2>", svg)
