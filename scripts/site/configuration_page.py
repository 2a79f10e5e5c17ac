"""The reference of the configuration: its sections as the program checks them, explained as the example file does."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from explained_keys import explained_keys

from mark.config import Config

__all__ = ["configuration_page", "unexplained_keys"]

Schema = Mapping[str, Any]

_INTRODUCTION = """# Configuration

One YAML file says what is served, on what, and how fast; `mark serve`, `mark profile`, `mark plan` and `mark simulate`
read it. A key that is not known is refused with its place; what is not written has its default. `--set` replaces a
value for one run: `mark serve circle.yaml --set models.0.slo.rt_max_ms=100`. Units come last in names.

This page is made of the program itself, and of [the example](#an-example-with-every-key) at its end.
"""


def configuration_page(example: Path) -> str:
    """The page in Markdown."""
    explained = explained_keys(example.read_text(encoding="utf-8"))
    parts = [_INTRODUCTION]
    for path, section in _sections():
        parts.append(f"## {path or 'The file'}\n\n{inspect.cleandoc(section.get('description', ''))}\n")
        parts.append(_table(path, section, explained))
    text = example.read_text(encoding="utf-8")
    parts.append(f"## An example with every key\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


def unexplained_keys(example: Path) -> list[str]:
    """Keys that are checked, and that neither the example nor their section explains."""
    explained = explained_keys(example.read_text(encoding="utf-8"))
    return [
        f"{path}.{key}".removeprefix(".")
        for path, section in _sections()
        for key, field in section["properties"].items()
        if not _words(path, key, field, explained)
    ]


def _sections() -> list[tuple[str, Schema]]:
    schema = Config.model_json_schema()
    return list(_below("", schema, schema["$defs"]))


def _below(path: str, section: Schema, known: Schema) -> Iterator[tuple[str, Schema]]:
    """A section and all below it, each with where it stands: `models[].slo`."""
    yield path, {**section, "known": known}
    for key, field in section["properties"].items():
        found = _reference(field)
        if found is not None:
            name, listed = found
            yield from _below(f"{path}.{key}{listed}".removeprefix("."), known[name], known)


def _reference(field: Schema) -> tuple[str, str] | None:
    """The section that a field holds, and `[]` when it holds several."""
    for each in (field, *field.get("anyOf", ())):
        for holder, listed in ((each, ""), (each.get("items", {}), "[]")):
            if "$ref" in holder:
                return str(holder["$ref"]).rpartition("/")[2], listed
    return None


def _table(path: str, section: Schema, explained: Mapping[str, str]) -> str:
    required = section.get("required", ())
    rows = ["| key | | value | default |", "| --- | --- | --- | --- |"]
    for key, field in section["properties"].items():
        default = "required" if key in required else _default(field)
        rows.append(f"| `{key}` | {_words(path, key, field, explained)} | {_value(field)} | {default} |")
    return '<div class="reference" markdown>\n\n' + "\n".join(rows) + "\n\n</div>\n"


def _words(path: str, key: str, field: Schema, explained: Mapping[str, str]) -> str:
    dotted = f"{path}.{key}".removeprefix(".").replace("[]", "")
    # One list of tensors is as the other.
    words = (
        explained.get(dotted) or explained.get(dotted.replace("outputs.", "inputs.")) or field.get("description", "")
    )
    if not words and _reference(field):
        words = "a section of its own, below"
    return words.replace("|", "\\|")


def _default(field: Schema) -> str:
    if "default" not in field:
        return "none" if field.get("type") in {"array", "object"} else ""
    value = field["default"]
    if value is None:
        return ""
    if isinstance(value, dict):
        return "its own"
    return "`" + json.dumps(value).strip('"') + "`" if value != "" else '`""'


def _value(field: Schema) -> str:
    kinds = [kind for kind in field.get("anyOf", (field,)) if kind.get("type") != "null"]
    return " or ".join(_kind(kind) for kind in kinds)


def _kind(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return "a section"
    kind = field.get("type")
    if kind == "array":
        return "a list" if "items" not in field or "$ref" in field["items"] else f"a list of: {_kind(field['items'])}"
    if kind in {"integer", "number"}:
        return _bounded("a whole number" if kind == "integer" else "a number", field)
    return {"boolean": "`true` or `false`", "string": "text", "object": "a mapping"}.get(str(kind), "any")


def _bounded(words: str, field: Schema) -> str:
    if "minimum" in field:
        words += f", {field['minimum']:,} or more"
    if "exclusiveMinimum" in field:
        words += f", more than {field['exclusiveMinimum']:,}"
    if "maximum" in field:
        words += f", up to {field['maximum']:,}"
    if "exclusiveMaximum" in field:
        words += f", less than {field['exclusiveMaximum']:,}"
    return words
