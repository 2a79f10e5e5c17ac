"""The project's own sources, as the codebase tests read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "PythonModule", "cpp_sources", "markdown_pages", "package_modules", "python_modules"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PythonModule:
    """A module below `folder`; `name` is dotted and leaves out `__init__`."""

    name: str
    path: Path
    tree: ast.Module


def python_modules(folder: Path, below: Sequence[str]) -> Iterator[PythonModule]:
    """Every module in the folders `below`, in order of path."""
    for path in sorted(path for part in below for path in (folder / part).rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield PythonModule(name, path, ast.parse(path.read_text(encoding="utf-8")))


def package_modules(root: Path = ROOT) -> list[PythonModule]:
    """The modules that are installed: `mark` and everything below it."""
    return list(python_modules(root / "python", ["mark"]))


def cpp_sources(root: Path = ROOT) -> list[Path]:
    """Every source and header below csrc/."""
    return sorted(path for path in (root / "csrc").rglob("*") if path.suffix in {".cc", ".h"})


def markdown_pages(root: Path = ROOT) -> list[Path]:
    """The pages that a person reads."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]
