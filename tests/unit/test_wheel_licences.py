"""The licences of what a wheel brings along: scripts/add_licences.py."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
INFO = "mark_serve-0.1.0.dist-info"
LIBRARIES = ("libnghttp2-1a2b3c4d.so.14.24.1", "libcrypto-0a0b0c0d.so.3", "libplain.so")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    specification = importlib.util.spec_from_file_location("add_licences", ROOT / "scripts" / "add_licences.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "mark_serve-0.1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for library in LIBRARIES:
            archive.writestr(f"mark_serve.libs/{library}", b"\x7fELF")
        archive.writestr("mark/_core.so", b"\x7fELF")
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.4\nName: mark-serve\n\nWhat it is.\n\nAnd more.\n")
        archive.writestr(f"{INFO}/RECORD", "mark/_core.so,sha256=old,1\n")
    return path


def read(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_library_and_what_is_compiled_in_has_its_licence(script: ModuleType, wheel: Path) -> None:
    whose = script.add_licences(wheel, lambda library: f"licence of {library}")

    files = read(wheel)
    assert whose == ["libcrypto", "libnghttp2", "libplain", "pybind11"]
    assert files[f"{INFO}/licenses/bundled/libnghttp2.txt"] == b"licence of libnghttp2.so.14.24.1"
    assert files[f"{INFO}/licenses/bundled/libcrypto.txt"] == b"licence of libcrypto.so.3"
    assert b"Wenzel Jakob" in files[f"{INFO}/licenses/bundled/pybind11.txt"]
    head, _, rest = files[f"{INFO}/METADATA"].decode().partition("\n\n")
    assert [line for line in head.splitlines() if line.startswith("License-File")] == [
        f"License-File: bundled/{name}.txt" for name in whose
    ]
    assert rest == "What it is.\n\nAnd more.\n"


def test_the_record_lists_every_file_as_it_is(script: ModuleType, wheel: Path) -> None:
    script.add_licences(wheel, lambda _: "licence")

    files = read(wheel)
    rows = list(csv.reader(files[f"{INFO}/RECORD"].decode().splitlines()))
    assert [row[0] for row in rows] == [*sorted(set(files) - {f"{INFO}/RECORD"}), f"{INFO}/RECORD"]
    for name, digest, size in rows[:-1]:
        expected = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={expected}", str(len(files[name])))
    assert rows[-1][1:] == ["", ""]


def test_a_library_without_a_text_is_named_and_the_wheel_stays(script: ModuleType, wheel: Path) -> None:
    before = wheel.read_bytes()

    with pytest.raises(script.NoLicence, match=r"no licence text of libplain\.so; give a folder with libplain\.txt"):
        script.add_licences(wheel, lambda library: None if "plain" in library else "licence")

    assert wheel.read_bytes() == before
    assert list(wheel.parent.iterdir()) == [wheel]


def test_texts_that_debian_refers_to_are_given_in_full(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Apache-2.0").write_text("all of it", encoding="utf-8")
    text = "see '/usr/share/common-licenses/Apache-2.0'.\nor /usr/share/common-licenses/GPL-9."

    assert script.with_common_texts(text, tmp_path) == f"{text}\n\nall of it"


def test_what_no_package_owns_has_no_text(script: ModuleType) -> None:
    assert script.text_of_machine("libnobody-has-this.so.1") is None


def test_a_package_that_is_not_installed_is_named(script: ModuleType) -> None:
    with pytest.raises(script.NoLicence, match="pip install nobody-has-this"):
        script.text_of_distribution("nobody-has-this")
