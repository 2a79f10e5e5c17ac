"""The commands of mark that a page shows, read by mark's own parser without running them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer.main

from mark.cli.commands import app

__all__ = ["mark_commands", "refusal", "unknown_word"]

_SETTING = re.compile(r"\w+=\S*")
_ENDS = {"|", ">", ">>", "<", "2>", "2>&1", "&", "&&", "||", ";"}


def mark_commands(text: str) -> Iterator[list[str]]:
    """The arguments of each command `mark` in lines of shell, with settings of the environment and prompts left out."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        while words and _SETTING.fullmatch(words[0]):
            words.pop(0)
        if words and words[0] == "mark":
            end = next((index for index, word in enumerate(words) if word in _ENDS), len(words))
            yield words[1:end]


def unknown_word(words: list[str]) -> str:
    """The first word that names no command, or no option of its command; empty when all are known.

    Prose names commands with less than they need: what the parser would say to that is no matter.
    """
    command, left = _command_of(words)
    if hasattr(command, "commands") and left and not left[0].startswith("-"):
        return left[0]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options = [word.partition("=")[0] for word in left if word.startswith("-") and not word.strip("-").isdigit()]
    return next((option for option in options if option not in {*known, "--help"}), "")


def refusal(arguments: list[str]) -> str:
    """What the command line says against these arguments; empty when it takes them."""
    command, left = _command_of(arguments)
    if "--help" in left:
        return unknown_word(arguments)
    if hasattr(command, "commands"):
        return f"{command.name} has no command {' '.join(left[:1])!r}"
    try:
        command.make_context(command.name, left)
    except Exception as error:  # noqa: BLE001 - of click or of typer's own copy of it, by its version
        return str(error) or repr(error)
    return ""


def _command_of(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after it."""
    command: Any = typer.main.get_command(app)
    left = list(arguments)
    while hasattr(command, "commands") and left and left[0] in command.commands:
        command = command.commands[left.pop(0)]
    return command, left
