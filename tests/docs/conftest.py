"""Runs pages, each once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from docs.page import read_page
from docs.page_process import run_in_process

_PAGE_S = 900


@pytest.fixture(scope="session")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], tuple[Path, str]]:
    """Runs a page in a process of its own, in a copy of the folder that the page before it left, if it goes on there.

    Gives the folder as the page left it and what the run said; fails the test when a command does.
    """
    done: dict[Path, tuple[Path, str]] = {}

    def run(path: Path) -> tuple[Path, str]:
        path = path.resolve()
        if path not in done:
            folder = tmp_path_factory.mktemp(path.stem) / "page"
            before = read_page(path).before
            if before is None:
                folder.mkdir()
            else:
                shutil.copytree(run(before)[0], folder)
            ended = run_in_process(path, folder, _PAGE_S)
            assert ended.returncode == 0, ended.stdout
            done[path] = (folder, ended.stdout)
        return done[path]

    return run
