"""Lines of text that fit a width: cleaned, joined, cut and wrapped."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from mark.cli.top.glyphs import Glyphs

__all__ = ["Part", "clean", "clock_time", "cut", "joined", "spread", "wrapped"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line; of those that do not fit together the one with the highest `spare` is left out first."""

    text: Text
    spare: int = 0

    @staticmethod
    def of(*pieces: str | tuple[str, str], spare: int = 0) -> Part:
        """A part of pieces of text, some of them with a style."""
        return Part(Text.assemble(*pieces), spare)


def clean(text: str) -> str:
    """The text without what could move a cursor or change a mode: it may come from a worker, or from a cloud."""
    return _CONTROL.sub(" ", text).strip()


def clock_time(unix_s: float, now_unix_s: float) -> str:
    """The time of day of this machine's zone; with the day, too, if that is another than today."""
    then, now = time.localtime(unix_s), time.localtime(now_unix_s)
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%d %b %H:%M", then)


def cut(text: Text, width: int, glyphs: Glyphs) -> Text:
    """The text in at most `width` columns; it says when there was more."""
    if text.cell_len <= width:
        return text
    short = text.copy()
    short.truncate(max(0, width - len(glyphs.cut)), overflow="crop")
    return short.append(glyphs.cut) if width > 0 else short


def joined(parts: Sequence[Part], width: int, glyphs: Glyphs, gap: str = _GAP) -> Text:
    """The parts in order, without those that are spared for want of room."""
    kept = list(parts)
    while len(kept) > 1 and _width(kept, gap) > width and max(part.spare for part in kept) > 0:
        kept.remove(max(reversed(kept), key=lambda part: part.spare))
    return cut(Text(gap).join(part.text for part in kept), width, glyphs)


def _width(parts: Sequence[Part], gap: str) -> int:
    return sum(part.text.cell_len for part in parts) + len(gap) * (len(parts) - 1)


def spread(left: Text, right: Text, width: int, glyphs: Glyphs) -> Text:
    """Left and right at their ends of the line; the left one is cut where they meet."""
    room = max(0, width - right.cell_len - 1)
    left = cut(left, room, glyphs)
    return cut(Text.assemble(left, " " * max(1, width - left.cell_len - right.cell_len), right), width, glyphs)


def wrapped(text: Text, width: int, indent: str = "") -> list[Text]:
    """The text broken into lines, all but the first of which begin with the indent."""
    console = Console(width=max(1, width), color_system=None, force_terminal=False)
    room = max(1, width - len(indent))
    first, *rest = text.wrap(console, room) or [Text()]
    return [first, *(Text.assemble(indent, line) for line in rest)]
