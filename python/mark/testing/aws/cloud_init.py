"""The little of cloud-init and systemd that an instance of the fake understands."""

from __future__ import annotations

import base64
import binascii
import gzip
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Unit", "write_files"]

_HEADER = "#cloud-config"


@dataclass(frozen=True)
class Unit:
    """A service of systemd that the user data enable.

    Attributes:
        command: words of its ExecStart, the program first; paths that were written are below the root.
        environment: what its Environment lines and folders set.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def write_files(user_data: str, root: Path) -> Unit | None:
    """Do what user data say, below `root` instead of "/".

    Args:
        user_data: as RunInstances takes it: base64 of a cloud-config, gzip or not; empty for none.
        root: the instance's private folder.

    Returns:
        The service that runcmd starts; None if it starts none.

    Raises:
        ValueError: the user data are no cloud-config.
    """
    if not user_data:
        return None
    config = _cloud_config(user_data)
    written: dict[str, Path] = {}
    for entry in config.get("write_files") or []:
        path = root / entry["path"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_content(entry))
        path.chmod(int(str(entry.get("permissions", "0644")), 8))
        written[entry["path"]] = path
    started = " ; ".join(_commands(config.get("runcmd") or []))
    for name, path in written.items():
        stem = Path(name).stem
        if name.endswith(".service") and "systemctl" in started and stem in started:
            return _unit(path.read_text(encoding="utf-8"), written, root)
    return None


def _cloud_config(user_data: str) -> dict[str, Any]:
    try:
        data = base64.b64decode(user_data, validate=True)
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (binascii.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"user data are not base64 of text: {error}") from error
    if not text.startswith(_HEADER):
        raise ValueError(f"user data begin with {text[:20]!r}; this fake reads {_HEADER} only")
    config = yaml.safe_load(text)
    if not isinstance(config, dict):
        raise ValueError(f"user data hold a {type(config).__name__}, not a mapping")
    return config


def _content(entry: Mapping[str, Any]) -> bytes:
    encoding, content = entry.get("encoding", ""), entry.get("content", "")
    data = content if isinstance(content, bytes) else content.encode()
    if encoding in {"b64", "base64", "gz+b64", "gzip+base64"}:
        data = base64.b64decode(data)
    return gzip.decompress(data) if encoding.startswith("gz") else data


def _commands(commands: Sequence[Any]) -> Iterator[str]:
    for command in commands:
        yield command if isinstance(command, str) else " ".join(map(str, command))


def _unit(text: str, written: Mapping[str, Path], root: Path) -> Unit | None:
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        key, _, value = line.strip().partition("=")
        if key == "ExecStart" and value:
            words = shlex.split(value.lstrip("-@:+!"))
            command = (words[0], *(_below(word, written) for word in words[1:]))
        elif key == "Environment":
            environment |= dict(word.split("=", 1) for word in shlex.split(value) if "=" in word)
        elif key in {"StateDirectory", "RuntimeDirectory"}:
            folder = root / ("var/lib" if key == "StateDirectory" else "run") / value
            folder.mkdir(parents=True, exist_ok=True)
            environment["STATE_DIRECTORY" if key == "StateDirectory" else "RUNTIME_DIRECTORY"] = str(folder)
    return Unit(command, environment) if command else None


def _below(word: str, written: Mapping[str, Path]) -> str:
    for name in sorted(written, key=len, reverse=True):
        word = word.replace(name, str(written[name]))
    return word
