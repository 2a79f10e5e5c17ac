"""Keeps the pages true: the commands that they show exist, and so does what they link to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from codebase.source_tree import ROOT, markdown_pages

from mark.cli.commands import app

PAGES = [path.relative_to(ROOT) for path in markdown_pages()]
PAGE_IDS = [str(path) for path in PAGES]
FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def make_targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def commands_shown(page: str, program: str) -> set[str]:
    """First words after `program` in code, in a block or between backticks."""
    code = [line for block in FENCE.findall(page) for line in block.splitlines()]
    code += re.findall(r"`([^`\n]+)`", FENCE.sub("", page))
    # Environment settings may come before the program.
    command = re.compile(rf"^(?:\$ )?(?:\w+=\S+ )*{program} ([a-z]+)\b")
    return {match[1] for line in code if (match := command.match(line.strip()))}


def links_of(page: str) -> Iterator[str]:
    """Targets of links and pictures that lie in this repository, without their anchors."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page)):
        if not target.startswith(("http://", "https://", "mailto:", "#")):
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_a_page_shows_only_commands_that_exist(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert commands_shown(text, "make") <= make_targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group: it has several
    assert commands_shown(text, "mark") <= set(commands)


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_a_page_links_only_to_what_exists(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [target for target in links_of(text) if not (ROOT / page.parent / target).exists()] == []


def test_the_readme_names_the_two_commands_and_ci_runs_the_second() -> None:
    shown = commands_shown((ROOT / "README.md").read_text(encoding="utf-8"), "make")
    assert {"demo", "test"} <= shown
    assert "exec make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_what_help_shows_to_be_served_is_what_the_demo_leaves_behind() -> None:
    # What pages show is run as it stands, by tests/docs.
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group: it has several
    shown = "\n".join(str(command.help) for command in commands.values())
    files = set(re.findall(r"\bmark (?:serve|worker) ([^\s`]+\.\w+)", shown))
    assert files == {"mark-demo/demo.yaml", "mark-demo/digits.pt"}
    folder = next(option for option in commands["demo"].params if option.name == "folder")
    assert str(folder.default) == "mark-demo"


def test_every_make_target_is_explained_by_make_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)) == make_targets(makefile)


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(len(names)))


def test_commands_are_found_in_blocks_and_between_backticks() -> None:
    page = "Run `make test`, not make love.\n```\nPYTHON=python3.12 make demo\n$ make bench\n# make clean\n```\n"
    assert commands_shown(page, "make") == {"test", "demo", "bench"}


def test_links_of_this_repository_are_found() -> None:
    page = "[a](docs/a.md#why) ![b](b.png) [c](https://example.org) [d](#here)\n```\n[e](e.md)\n```\n"
    assert list(links_of(page)) == ["docs/a.md", "b.png"]
