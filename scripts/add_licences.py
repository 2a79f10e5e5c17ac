"""Puts the licence texts of what a wheel brings along into it: scripts/add_licences.py WHEEL [--texts FOLDER].

A wheel that auditwheel has repaired holds libraries of the machine that it was built on, and code of pybind11; whoever
passes them on passes on their licences. Texts are those that the packages of this machine bring (dpkg or rpm), or files
named as the library, `libnghttp2.txt`, in FOLDER. A library without a text is an error: such a wheel must not go out.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

COMMON = Path("/usr/share/common-licenses")  # of Debian, where its packages' texts refer to
COMPILED_IN = "pybind11"

# `libnghttp2-1a2b3c4d.so.14.24.1` is what auditwheel makes of `libnghttp2.so.14.24.1`.
_HASHED = re.compile(r"^(?P<stem>.+?)-[0-9a-f]{8}(?P<rest>\.so.*)$")


class NoLicence(Exception):
    """Something in the wheel has no licence text."""


def bundled_libraries(names: list[str]) -> list[str]:
    """Shared libraries in a wheel that auditwheel added, by the names that they had on the machine."""
    found = []
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder.endswith(".libs"):
            match = _HASHED.match(file)
            found.append(match["stem"] + match["rest"] if match else file)
    return sorted(found)


def stem_of(library: str) -> str:
    """`libnghttp2` of `libnghttp2.so.14.24.1`."""
    return library.partition(".so")[0]


def with_common_texts(text: str, common: Path = COMMON) -> str:
    """A Debian copyright file, and behind it the common licences that it names instead of giving them."""
    named = sorted(set(re.findall(r"/usr/share/common-licenses/([\w+-]+(?:\.\w+)*)", text)))
    parts = [text]
    parts += [(common / name).read_text(encoding="utf-8") for name in named if (common / name).is_file()]
    return "\n\n".join(parts)


def _output_of(*command: str) -> str:
    try:
        # The names in it are of libraries that the linker found.
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def text_of_machine(library: str) -> str | None:
    """What the package says from which this machine has the library; None when nobody knows it."""
    owners = {line.partition(":")[0] for line in _output_of("dpkg-query", "-S", f"*/{library}").splitlines()}
    for package in sorted(owners):
        copyright_file = Path("/usr/share/doc") / package / "copyright"
        if copyright_file.is_file():
            return with_common_texts(copyright_file.read_text(encoding="utf-8"))
    for folder in ("/usr/lib64", "/lib64", "/usr/lib"):
        path = Path(folder) / library
        package = _output_of("rpm", "-qf", "--qf", "%{NAME}", str(path)) if path.exists() else ""
        files = sorted(Path("/usr/share/licenses", package).glob("*")) if package else []
        if files:
            return "\n\n".join(file.read_text(encoding="utf-8") for file in files)
    return None


def text_of_distribution(name: str) -> str:
    """The licence that an installed Python package brings.

    Raises:
        NoLicence: it is not installed, or brings none.
    """
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError as error:
        raise NoLicence(f"{name} is not installed, so that its licence cannot be read; pip install {name}") from error
    texts = [file.read_text(encoding="utf-8") for file in files if "LICENSE" in file.name.upper()]
    if not texts:
        raise NoLicence(f"the package {name} brings no licence text")
    return "\n\n".join(texts)


def licences(libraries: list[str], find: Callable[[str], str | None]) -> dict[str, str]:
    """Texts by file name, of the libraries and of what is compiled in.

    Raises:
        NoLicence: naming what has none.
    """
    texts = {f"{COMPILED_IN}.txt": text_of_distribution(COMPILED_IN)}
    for library in libraries:
        text = find(library)
        if text is None:
            raise NoLicence(f"no licence text of {library}; give a folder with {stem_of(library)}.txt as --texts")
        texts[f"{stem_of(library)}.txt"] = text
    return texts


def record_line(name: str, content: bytes) -> str:
    """A file's line in the wheel's RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}"


def with_licences(files: dict[str, bytes], texts: dict[str, str]) -> dict[str, bytes]:
    """A wheel's files with the texts among them, named in METADATA, and all of it in RECORD."""
    record = next(name for name in files if name.endswith(".dist-info/RECORD"))
    folder = record.removesuffix("RECORD")
    added = {f"{folder}licenses/bundled/{name}": text.encode() for name, text in texts.items()}
    head, blank, rest = files[f"{folder}METADATA"].decode().partition("\n\n")
    named = "".join(f"\nLicense-File: bundled/{name}" for name in sorted(texts))
    changed = {**files, **added, f"{folder}METADATA": (head + named + blank + rest).encode()}
    listed = [record_line(name, content) for name, content in sorted(changed.items()) if name != record]
    changed[record] = "\n".join([*listed, f"{record},,", ""]).encode()
    return changed


def _contents(wheel: Path) -> Iterator[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info, archive.read(info)


def add_licences(wheel: Path, find: Callable[[str], str | None]) -> list[str]:
    """Rewrite a wheel with the licences of what it holds; returns whose they are.

    Raises:
        NoLicence: naming what has none; the wheel stays as it was.
    """
    contents = list(_contents(wheel))
    infos = {info.filename: info for info, _ in contents}
    texts = licences(bundled_libraries(list(infos)), find)
    changed = with_licences({info.filename: content for info, content in contents}, texts)
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in changed.items():
            info = infos.get(name) or zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = info.external_attr or 0o100644 << 16
            archive.writestr(info, content)
    part.replace(wheel)
    return sorted(name.removesuffix(".txt") for name in texts)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Adds the licence texts of bundled libraries to a wheel.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--texts", type=Path, help="a folder with texts, before those of the machine's packages")
    arguments = parser.parse_args()

    def find(library: str) -> str | None:
        given = arguments.texts and arguments.texts / f"{stem_of(library)}.txt"
        return given.read_text(encoding="utf-8") if given and given.is_file() else text_of_machine(library)

    try:
        whose = add_licences(arguments.wheel, find)
    except NoLicence as error:
        sys.stderr.write(f"add_licences: {error}\n")
        return 1
    sys.stdout.write(f"licences of {', '.join(whose)} in {arguments.wheel}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
