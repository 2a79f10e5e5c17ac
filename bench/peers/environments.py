"""A virtual environment for each peer, made from its file of pinned versions when it is first needed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Environment", "EnvironmentMissing", "default_folder", "environment_of"]

_REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
_INSTALL_S_MAX = 1200
_LINES_SHOWN = 3


class EnvironmentMissing(Exception):
    """A peer's environment is not there and could not be made; says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a peer is installed.

    Attributes:
        folder: of the virtual environment.
        versions: of every package in it, by name.
    """

    folder: Path
    versions: Mapping[str, str]

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        return next((self.folder / "lib").glob("python3*/site-packages"))


def default_folder() -> Path:
    """Where environments are kept from run to run, outside the repository."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mark" / "peers"


def environment_of(peer: str, folder: Path, *, make: bool = True) -> Environment:
    """The environment of a peer in `folder`; made, or made anew, unless what its file pins is installed.

    Raises:
        EnvironmentMissing: it is not there and `make` is false, or pip could not install it.
    """
    requirements = _REQUIREMENTS / f"{peer}.txt"
    target = folder / peer
    stamp = target / "mark-peer"
    pinned = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == pinned):
        if not make:
            raise EnvironmentMissing(f"{target} is not there or is of other versions")
        _install(target, requirements)
        stamp.write_text(pinned, encoding="utf-8")
    return Environment(target, _versions(target))


def _install(target: Path, requirements: Path) -> None:
    print(f"making {target}", file=sys.stderr)
    shutil.rmtree(target, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(target))
    pip = str(target / "bin" / "pip")
    _run(pip, "install", "--quiet", "--no-input", "--only-binary", ":all:", "-r", str(requirements))


def _versions(target: Path) -> dict[str, str]:
    listed = _run(str(target / "bin" / "pip"), "list", "--format", "json")
    return {package["name"].lower(): package["version"] for package in json.loads(listed)}


def _run(*command: str) -> str:
    # What is on this process's path must not be taken for what a peer has installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_INSTALL_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentMissing(str(error)) from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise EnvironmentMissing(f"{' '.join(command[:3])}: {' '.join(said[-_LINES_SHOWN:])}")
    return done.stdout
