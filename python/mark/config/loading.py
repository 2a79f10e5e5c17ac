"""Read the configuration file, apply overrides, and say exactly what is wrong with it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mark.config.profile_files import take_profile_files, with_profile_files
from mark.config.sections import Config, ModelConfig
from mark.errors import ConfigError

__all__ = ["load_config", "parse_config"]


def load_config(path: Path, overrides: Sequence[str] = (), *, read_profiles: bool = True) -> Config:
    """Read and check a configuration file.

    Args:
        path: the YAML file. Relative files in it (`source`, `profiles`, `package`, `token_file`, `path`) are taken
            relative to it.
        overrides: "dotted.path=value" settings that replace what the file says; values are YAML.
        read_profiles: whether to read the files that it names for profiles; they count as not measured otherwise.

    Raises:
        ConfigError: naming file, line and path, and how to mend it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    return parse_config(text, name=str(path), folder=path.parent, overrides=overrides, read_profiles=read_profiles)


def parse_config(
    text: str,
    *,
    name: str = "config",
    folder: Path | None = None,
    overrides: Sequence[str] = (),
    read_profiles: bool = True,
) -> Config:
    """Check the text of a configuration; see `load_config`."""
    root, data = _read_yaml(text, name)
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: must be a mapping with the keys {', '.join(Config.model_fields)}")
    for override in overrides:
        _apply_override(data, override)
    files = take_profile_files(data)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        lines = [_explain(details, name, root) for details in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    if read_profiles:
        for file in files:
            location = ("models", file.model, "profiles", file.offering)
            file.where = f"{name}:{_line_of(root, location)}: {_dotted(location)}"
        config = with_profile_files(config, files, folder or Path())
    return config if folder is None else _resolve_sources(config, folder)


def _read_yaml(text: str, name: str) -> tuple[yaml.Node | None, Any]:
    """The text as nodes, which know their lines, and as values.

    Raises:
        ConfigError: the text is no YAML, or a mapping has a key twice, of which YAML would take the last in silence.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise ConfigError(f"{name}{line}: is not valid YAML: {problem}") from error
    doubles = [
        f"{name}:{line}: {_dotted(path)}: is given twice, first in line {first}; remove one of them"
        for path, first, line in _doubled_keys(root, (), set())
    ]
    if doubles:
        raise ConfigError("\n".join(doubles))
    return root, data


def _doubled_keys(
    node: yaml.Node | None, path: tuple[str | int, ...], seen: set[yaml.Node]
) -> Iterator[tuple[tuple[str | int, ...], int, int]]:
    """Path, first and second line of every key that a mapping has twice; `seen` stops at anchors that come round."""
    if node is None or node in seen:
        return
    seen.add(node)
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _doubled_keys(entry, (*path, index), seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    yield (*path, key.value), lines[key.value], line
                lines.setdefault(key.value, line)
                yield from _doubled_keys(value, (*path, key.value), seen)


def _resolve_sources(config: Config, folder: Path) -> Config:
    def resolved(model: ModelConfig) -> ModelConfig:
        changed: dict[str, Any] = {}
        if model.source is not None and model.runtime != "python":
            changed["source"] = str(folder / model.source)
        if model.serverless is not None and model.serverless.package is not None:
            package = str(folder / model.serverless.package)
            changed["serverless"] = model.serverless.model_copy(update={"package": package})
        return model.model_copy(update=changed)

    http, log = config.http, config.decision_log
    if http.token_file is not None:
        http = http.model_copy(update={"token_file": str(folder / http.token_file)})
    if log.path is not None:
        log = log.model_copy(update={"path": str(folder / log.path)})
    models = [resolved(model) for model in config.models]
    return config.model_copy(update={"http": http, "decision_log": log, "models": models})


def _apply_override(data: dict[str, Any], override: str) -> None:
    path, separator, value = override.partition("=")
    if not separator or not path:
        raise ConfigError(f"--set {override}: must have the form path.to.key=value")
    keys = path.split(".")
    node: Any = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        index: str | int = key
        if isinstance(node, list):
            if not (key.isascii() and key.isdecimal()) or int(key) >= len(node):
                raise ConfigError(f"--set {override}: {'.'.join(keys[: depth + 1])} is not one of {len(node)} entries")
            index = int(key)
        elif not isinstance(node, dict):
            raise ConfigError(f"--set {override}: {'.'.join(keys[:depth])} is a value, it has no keys")
        elif not last:
            node.setdefault(key, {})
        if last:
            _, node[index] = _read_yaml(value, f"--set {path}")
        else:
            node = node[index]


def _explain(details: ErrorDetails, name: str, root: yaml.Node | None) -> str:
    location = (*details["loc"], *details.get("ctx", {}).get("path", ()))
    path = _dotted(location)
    line = _line_of(root, location)
    where = f"{name}:{line}" if line is not None else name
    what = _what_is_wrong(details, location)
    return f"{where}: {path}: {what}" if path else f"{where}: {what}"


def _what_is_wrong(details: ErrorDetails, location: Sequence[str | int]) -> str:
    if details["type"] == "extra_forbidden":
        return f"unknown key{_nearest(str(location[-1]), _known_keys(location[:-1]))}"
    if details["type"] == "missing":
        return "is required"
    if details["type"] == "model_type":
        return f"must be a mapping with the keys {', '.join(_known_keys(location))}"
    message, ours = re.subn(r"^(Input|String|List) should", "must", details["msg"])
    value = details["input"]
    given = f", not {json.dumps(value):.60}" if isinstance(value, (str, int, float)) else ""
    return message + given if ours else message


def _dotted(location: Sequence[str | int]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _line_of(node: yaml.Node | None, location: Sequence[str | int]) -> int | None:
    """The line of the deepest node on the way to `location`, counted from 1."""
    line = None if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """Keys of the section at `location`, found by walking the annotations of the sections."""
    section: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        field = section.model_fields.get(part)
        inner = None if field is None else _section_in(field.annotation)
        if inner is None:
            return []
        section = inner
    return list(section.model_fields)


def _section_in(annotation: object) -> type[BaseModel] | None:
    """The section that an annotation such as `list[ModelConfig]` holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part)) is not None), None)


def _nearest(word: str, known: Sequence[str]) -> str:
    # A forgotten unit ("price" for "price_usd_per_hour") is the likeliest slip, and far away by edit distance.
    matches = [name for name in known if name.startswith(word)] or difflib.get_close_matches(
        word, known, n=1, cutoff=0.5
    )
    if matches:
        return f"; did you mean {matches[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""
