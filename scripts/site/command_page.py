"""The reference of the command line, as its own parser knows it."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer.main

from mark.cli.commands import app

__all__ = ["command_page"]

_INTRODUCTION = """# Commands

`mark --help` lists them, and `--help` behind each of them says what is here. A mistake that can be mended is told in
one line, with exit status 2. This page is made of the program itself.
"""


def command_page() -> str:
    """The page in Markdown, a section for each command."""
    root = typer.main.get_command(app)
    return "\n".join([_INTRODUCTION, *(_section(path, command) for path, command in _commands("mark", root))])


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    for name, each in sorted(getattr(command, "commands", {}).items()):
        if hasattr(each, "commands"):
            yield from _commands(f"{path} {name}", each)
        else:
            yield f"{path} {name}", each


def _section(path: str, command: Any) -> str:
    parts = [f"## {path}\n", _paragraphs(str(command.help or ""))]
    # What is annotated is the same for every version of typer; what its parser makes of it is not.
    annotated = get_type_hints(command.callback)
    rows = [_row(each, annotated[str(each.name)]) for each in command.params if each.name in annotated]
    if rows:
        table = "\n".join(["| | | value | default |", "| --- | --- | --- | --- |", *rows])
        parts.append(f'<div class="reference" markdown>\n\n{table}\n\n</div>\n')
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    """The help with its examples as code."""
    return re.sub(r"^Example: (.+)$", r"```sh\n\1\n```", inspect.cleandoc(text), flags=re.MULTILINE) + "\n"


def _row(parameter: Any, annotated: Any) -> str:
    name = ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts) if each.startswith("-"))
    default = "required" if parameter.required else _default(parameter.default)
    words = str(getattr(parameter, "help", "") or "").replace("|", "\\|")
    return f"| {name or f'`{str(parameter.name).upper()}`'} | {words} | {_kind(annotated)} | {default} |"


def _kind(annotated: Any) -> str:
    kinds = [kind for kind in get_args(annotated) or (annotated,) if kind is not type(None)]
    kind = get_origin(kinds[0]) or kinds[0]
    if kind is list:
        return "text, may be repeated"
    if issubclass(kind, enum.Enum):
        return ", ".join(f"`{choice.value}`" for choice in kind)
    return {bool: "", int: "whole number", float: "number", Path: "file"}.get(kind, "text")


def _default(value: Any) -> str:
    if value in (None, False, ()):
        return ""
    return f"`{getattr(value, 'value', value)}`"
