"""What every page is made of: the document around its parts, and figures with their legends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from mark.errors import ConfigError
from mark.report.palette import css_variables
from mark.report.plots import LegendEntry, Picture

__all__ = ["document", "figure", "write_page"]


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page of these parts. It needs nothing from outside, and runs no script."""
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_style()}</style></head>",
            "<body><main>",
            *parts,
            "</main></body></html>\n",
        )
    )


def write_page(path: Path, text: str) -> None:
    """Write a page as a whole or not at all: a former one stays until the new one is complete.

    Raises:
        ConfigError: it cannot be written.
    """
    target = path.resolve()  # what a link leads to is replaced, and not the link
    unfinished = target.with_name(f".mark-{os.getpid()}.part")
    try:
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _style() -> str:
    sheet = resources.files("mark.report").joinpath("page.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {css_variables(dark=True)} }} }}"
    return f":root {{ {css_variables(dark=False)} }}\n{dark}\n{sheet}"


def figure(picture: Picture) -> str:
    """A plot with its legend and caption."""
    legend = "".join(f"<li>{_swatch(entry)}{escape(entry.label)}</li>" for entry in picture.legend)
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure><h3>{escape(picture.title)}</h3><ul>{legend}</ul>{picture.svg}{caption}</figure>"


def _swatch(entry: LegendEntry) -> str:
    """As SVG, for a browser that prints leaves out backgrounds."""
    hue = f"var(--{entry.style.swatch})"
    if entry.area:
        shape = f'<rect width="22" height="10" style="fill:{hue};opacity:{entry.opacity:g}"/>'
    else:
        dash = " ".join(f"{length * 1.3:g}" for length in entry.style.dash)
        dashes = f";stroke-dasharray:{dash}" if dash else ""
        shape = f'<path d="M0 5H22" style="stroke:{hue};stroke-width:2.5{dashes}"/>'
    return f'<svg class="swatch" aria-hidden="true" viewBox="0 0 22 10">{shape}</svg>'
