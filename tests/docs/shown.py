"""Whether a command printed what a page shows: the same words in the same lines, whatever the numbers are."""

from __future__ import annotations

import re

__all__ = ["missing_line"]

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_FRAMES = re.compile(r"[\u2500-\u257f]+")


def missing_line(shown: str, printed: str) -> str | None:
    """The first line of `shown` that was not printed after those before it; None when all were.

    Numbers stand for any numbers, a row of a table for any row with the same first cell, frames of tables for any
    frames, and a line `...` for any lines.
    """
    lines = iter([_words(line) for line in printed.splitlines()])
    for line in shown.splitlines():
        words = _words(line)
        if words and words != ["..."] and words not in lines:
            return line
    return None


def _words(line: str) -> list[str]:
    line = line.strip()
    if line.startswith("│"):
        line = line.split("│")[1]
    return _NUMBER.sub("0", _FRAMES.sub(" ", line)).split()
