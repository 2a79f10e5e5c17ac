"""A table that can be printed and put on a page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Show", "Table"]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures, published and ours, and in words why they differ.

    Attributes:
        title: what it is in the paper.
        columns: their heads.
        rows: cells as they are shown, as many as there are columns.
        sentences: what was done, and why ours differ.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    sentences: Sequence[str] = ()

    def as_text(self) -> str:
        """For a terminal."""
        widths = [max(len(row[column]) for row in (self.columns, *self.rows)) for column in range(len(self.columns))]
        lines = ["", self.title]
        for row in (self.columns, *self.rows):
            first, *others = (cell.ljust(width) if n == 0 else cell.rjust(width)
                              for n, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
            lines.append("  ".join([first, *others]))
        for sentence in self.sentences:
            lines += _wrapped(sentence)
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """For a page, below a heading of its own."""
        return "\n".join(self._markdown_lines())

    def _markdown_lines(self) -> Iterator[str]:
        yield from (f"## {self.title}", "")
        yield "| " + " | ".join(self.columns) + " |"
        yield "| --- |" + " ---: |" * (len(self.columns) - 1)
        for row in self.rows:
            yield "| " + " | ".join(row) + " |"
        yield ""
        for sentence in self.sentences:
            yield from _wrapped(sentence)
        yield ""


Show = Callable[[Table], None]


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, 118, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
