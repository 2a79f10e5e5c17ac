"""What a page shows to type, to save and to expect.

A code fence is one of these, by its first words:

    ```sh                          commands, run as they stand, in order, in the page's folder
    ```sh title="second terminal"  commands that run on in a terminal of that name, until Ctrl-C or the page's end
    ```sh title="needs a GPU"      commands that cannot be run everywhere, and why; they are parsed
    ```text                        what the commands right above it print
    ```text title="second terminal, after Ctrl-C"  Ctrl-C there, and what it prints then
    ```yaml title="circle.yaml"    a file of that name; so is any other language with a title

A page that goes on with the files of another one says `<!-- goes on in the folder of tutorial.md -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FENCE", "Fence", "Page", "read_page"]

FENCE = re.compile(r"^( *)```(\w*)(?: +title=\"([^\"]*)\")? *\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_BEFORE = re.compile(r"<!-- goes on in the folder of (\S+) -->")
_CTRL_C = ", after Ctrl-C"


@dataclass(frozen=True, slots=True)
class Fence:
    """One block of code; `line` is its first line in the page."""

    language: str
    title: str
    text: str
    line: int

    @property
    def is_command(self) -> bool:
        """Whether a person types it."""
        return self.language == "sh"

    @property
    def needs(self) -> str:
        """What a machine must have to run it; empty for commands that run anywhere."""
        return self.title.removeprefix("needs ") if self.is_command and self.title.startswith("needs ") else ""

    @property
    def terminal(self) -> str:
        """The terminal that it runs on in; empty for the one that waits for each command."""
        if self.is_command and not self.needs:
            return self.title
        return self.title.removesuffix(_CTRL_C) if self.is_interrupt else ""

    @property
    def is_interrupt(self) -> bool:
        """Whether it shows what Ctrl-C in a terminal prints."""
        return self.language == "text" and self.title.endswith(_CTRL_C)

    @property
    def is_output(self) -> bool:
        """Whether it shows what the commands above it print."""
        return self.language == "text" and not self.title

    @property
    def file(self) -> str:
        """The name that it is saved under; empty for what is not saved."""
        return "" if self.language in {"sh", "text"} else self.title


@dataclass(frozen=True, slots=True)
class Page:
    """A page in Markdown, and the page whose folder it goes on in, if any."""

    path: Path
    fences: tuple[Fence, ...]
    before: Path | None = None

    @property
    def runs(self) -> bool:
        """Whether it has a command that runs anywhere."""
        return any(fence.is_command and not fence.needs for fence in self.fences)

    def steps(self) -> Iterator[tuple[Fence, Fence | None]]:
        """Each fence that is no output, in order, with the output that is shown right below it."""
        for fence, following in zip(self.fences, [*self.fences[1:], None], strict=True):
            if not fence.is_output:
                yield fence, following if following is not None and following.is_output else None


def read_page(path: Path) -> Page:
    """Read a page; fences inside lists are unindented."""
    text = path.read_text(encoding="utf-8")
    fences = []
    for found in FENCE.finditer(text):
        indent, language, title, code = found.groups()
        code = re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
        fences.append(Fence(language, title or "", code, text.count("\n", 0, found.start()) + 1))
    before = _BEFORE.search(text)
    return Page(path, tuple(fences), path.parent / before[1] if before else None)
