"""Writes docs/paper.md and its picture: `.venv/bin/python -m bench.paper`."""

from __future__ import annotations

from pathlib import Path

from bench.paper.page import page
from bench.paper.picture import overview
from bench.paper.runs import FULL

_DOCS = Path(__file__).resolve().parents[2] / "docs"

if __name__ == "__main__":
    (_DOCS / "pictures").mkdir(exist_ok=True)
    (_DOCS / "pictures" / "paper.svg").write_text(overview(FULL), encoding="utf-8")
    (_DOCS / "paper.md").write_text(page(FULL), encoding="utf-8")
