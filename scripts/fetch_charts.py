"""Fetch the charting library of the live page: python scripts/fetch_charts.py FOLDER [ARCHIVE].

uPlot (MIT) is not part of this repository. The archive of exactly one version is fetched from npm's registry, or by
`npm pack`, which knows of mirrors and proxies, or read from ARCHIVE where there is no network; its SHA-512 is checked
whichever way it came. FOLDER then has the script, its style sheet and its licence. What is there and right already is
left alone.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

URL = "https://registry.npmjs.org/uplot/-/uplot-1.6.32.tgz"
PACKAGE = "uplot@1.6.32"
SHA512 = "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
# Path in the archive -> SHA-256.
FILES: Mapping[str, str] = {
    "package/dist/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "package/dist/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "package/LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
_TIMEOUT_S = 30.0
_PAUSE_S = 2.0
_FAILURES = (OSError, http.client.HTTPException)


class Unusable(Exception):
    """An archive could not be had from one source, or is not the one that was meant."""


def from_registry() -> bytes:
    """The archive from npm's registry, which is asked twice: a network may fail once."""
    try:
        return _downloaded()
    except _FAILURES:
        time.sleep(_PAUSE_S)
    try:
        return _downloaded()
    except _FAILURES as error:
        raise Unusable(f"{URL}: {error}") from error


def _downloaded() -> bytes:
    with urllib.request.urlopen(URL, timeout=_TIMEOUT_S) as answer:
        content: bytes = answer.read()
    return content


def from_npm() -> bytes:
    """The archive as `npm pack` gets it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = ["npm", "pack", PACKAGE, "--silent"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=2 * _TIMEOUT_S)  # noqa: S603
            return next(Path(folder).glob("*.tgz")).read_bytes()
        except (OSError, subprocess.SubprocessError, StopIteration) as error:
            raise Unusable(f"npm pack {PACKAGE}: {error}") from error


def from_file(archive: Path) -> bytes:
    """The archive from a file that somebody fetched."""
    try:
        return archive.read_bytes()
    except OSError as error:
        raise Unusable(f"{archive}: {error.strerror}") from error


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of an archive, if it is the one that was meant.

    Raises:
        Unusable: its hash is another one.
    """
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != SHA512:
        raise Unusable(f"the archive has the SHA-512 {found}, not {SHA512}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = {Path(path).name: tar.extractfile(path) for path in FILES}
        return {name: member.read() for name, member in members.items() if member is not None}


def is_complete(folder: Path) -> bool:
    """Whether every file is there and is what it should be."""
    files = {folder / Path(path).name: sha256 for path, sha256 in FILES.items()}
    return all(
        file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256 for file, sha256 in files.items()
    )


def fetch(folder: Path, sources: list[Callable[[], bytes]]) -> None:
    """Fill a folder from the first source that gives the right archive.

    Raises:
        Unusable: none does; the message says why of each.
    """
    if is_complete(folder):
        return
    problems = []
    for source in sources:
        try:
            files = unpacked(source())
        except Unusable as problem:
            problems.append(str(problem))
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return
    raise Unusable("; ".join(problems))


def main(arguments: list[str]) -> int:
    """Fill the folder; 1 and a line on stderr when that cannot be done."""
    folder, *archive = map(Path, arguments)
    try:
        fetch(folder, [lambda: from_file(archive[0])] if archive else [from_registry, from_npm])
    except Unusable as problem:
        sys.stderr.write(f"no charts: {problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1:]))
