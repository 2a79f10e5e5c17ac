"""The commands of the pages run as they stand, and those that need what is not here are at least such as mark takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from codebase.source_tree import ROOT, markdown_pages
from docs.command_lines import mark_commands, refusal, unknown_word
from docs.page import FENCE, Fence, Page, read_page

PAGES = [read_page(path) for path in markdown_pages()]
RUNNING = [page.path for page in PAGES if page.runs]
PAGE_S = 900.0
TEN_MINUTES_S = 600.0


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.timeout(PAGE_S)
@pytest.mark.parametrize("path", RUNNING, ids=name_of)
def test_every_command_does_what_the_page_shows(path: Path, run_page: Callable[[Path], tuple[Path, str]]) -> None:
    run_page(path)


@pytest.mark.slow
@pytest.mark.timeout(PAGE_S)
def test_a_new_user_serves_their_own_model_in_ten_minutes(run_page: Callable[[Path], tuple[Path, str]]) -> None:
    _, said = run_page(ROOT / "docs" / "tutorial.md")

    seconds = float(said.split()[-2])
    print(f"the commands of the tutorial took {seconds:.1f} s")
    assert seconds < TEN_MINUTES_S


def test_the_readme_has_the_files_of_the_tutorial_and_leads_to_it() -> None:
    readme, tutorial = (
        {fence.file: fence.text for fence in read_page(ROOT / page).fences if fence.file}
        for page in ("README.md", "docs/tutorial.md")
    )
    assert readme.keys() & tutorial.keys() >= {"model.py", "circle.yaml", "call.py"}
    assert readme == {name: tutorial[name] for name in readme}
    assert "(docs/tutorial.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))
def test_no_fence_of_a_page_is_overlooked(page: Page) -> None:
    text = page.path.read_text(encoding="utf-8")

    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(page.fences)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))
def test_a_page_shows_only_what_the_command_line_takes(page: Page) -> None:
    shown = [command for fence in page.fences for command in mark_commands(typed(fence))]

    assert [f"{' '.join(command)}: {words}" for command in shown if (words := refusal(command))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))
def test_a_page_names_only_commands_and_options_that_exist(page: Page) -> None:
    prose = FENCE.sub("", page.path.read_text(encoding="utf-8"))
    named = [words.split()[1:] for words in re.findall(r"`(mark [a-z][^`\n]*)`", prose)]

    assert [" ".join(words) for words in named if unknown_word(words)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))
def test_what_a_page_shows_of_python_and_yaml_can_be_read(page: Page) -> None:
    for fence in page.fences:
        if fence.language == "python":
            ast.parse(fence.text)
        if fence.language == "yaml":
            yaml.safe_load(fence.text)


def typed(fence: Fence) -> str:
    """The lines that a person types."""
    if fence.is_command:
        return fence.text
    return "".join(line + "\n" for line in fence.text.splitlines() if line.startswith("$ "))
