"""The code of a Lambda function: a zip that can be made again byte by byte, or the recipe of a container image."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shlex
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mark.cloud.aws.package_contents import (
    files_of_environment,
    files_of_folder,
    files_of_mark,
    files_of_model,
)
from mark.domain.artifact import ModelArtifact
from mark.errors import ConfigError

__all__ = ["DIRECT_BYTES_MAX", "HANDLER", "FunctionPackage", "build_zip", "image_recipe", "read_zip"]

HANDLER = "mark.lambda_entry.handler"
UNZIPPED_BYTES_MAX = 250 * 1024 * 1024  # AWS Lambda's own limits
DIRECT_BYTES_MAX = 50 * 1024 * 1024  # of an upload that does not go by way of S3
_IMAGE = "a container image may have 10 GB: `mark aws package --image` writes its recipe, and serverless.image names it"
_WHEN = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
_CORE = re.compile(r"^mark/_core\.cpython-3(\d+)-(x86_64|aarch64)-linux-gnu\.so$")
_GLIBC = re.compile(rb"GLIBC_2\.(\d+)\b")
# Minor version of the glibc under AWS Lambda's Python: Amazon Linux 2023 since 3.12, Amazon Linux 2 before.
_GLIBC_MINOR, _GLIBC_MINOR_BEFORE_312 = 34, 26
_IMAGE_PYTHON = "3.12"


@dataclass(frozen=True, slots=True)
class FunctionPackage:
    """A zip on this machine.

    Attributes:
        path: where it is.
        sha256: of its bytes, as base64: AWS Lambda's `CodeSha256`.
        size_bytes: of the zip.
        runtime: AWS Lambda's name of the Python that it is for.
        architecture: AWS Lambda's name of the machines that it is for.
    """

    path: Path
    sha256: str
    size_bytes: int
    runtime: str
    architecture: str


def build_zip(
    artifact: ModelArtifact,
    destination: Path,
    include: Sequence[str] = (),
    site: Path | None = None,
    *,
    alone: bool = False,
    check_loadable: bool = True,
) -> FunctionPackage:
    """Write the zip of a model's function; the same contents give the same bytes.

    Args:
        artifact: the model, as it is on this machine.
        destination: of the zip.
        include: further installed distributions that a model of Python needs.
        site: a folder to take mark and all that it needs from, instead of this Python's own environment.
        alone: mark and the model without what they need, for a server on this machine, which has it.
        check_loadable: refuse what AWS Lambda's machines could not load; a server on this machine could.

    Raises:
        ConfigError: it would be too large or not load there, or a part is missing; the message says what to do.
    """
    own, _ = files_of_model(artifact)
    if alone:
        needed = files_of_mark()
    else:
        needed = files_of_environment(artifact, include) if site is None else files_of_folder(site)
    files = {**needed, **own}
    unzipped_bytes = sum(path.stat().st_size for path in files.values())
    if unzipped_bytes > UNZIPPED_BYTES_MAX:
        raise ConfigError(
            f"the function of model {artifact.signature.name!r} takes {unzipped_bytes >> 20} MB, and a zip may have "
            f"{UNZIPPED_BYTES_MAX >> 20}; {_IMAGE}"
        )
    runtime, _ = _target(files)
    if check_loadable:
        _check_loadable(files, runtime)
    with _replacing(destination) as path:
        _write(files, path)
    return read_zip(destination)


def read_zip(path: Path) -> FunctionPackage:
    """What a zip of `build_zip` is.

    Raises:
        ConfigError: it is none, or cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            runtime, architecture = _target(archive.namelist())
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        size_bytes = path.stat().st_size
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: is no zip of a function: {error}; `mark aws package` makes one") from error
    sha256 = base64.b64encode(digest.digest()).decode("ascii")
    return FunctionPackage(path, sha256, size_bytes, runtime, architecture)


def image_recipe(artifact: ModelArtifact, install: str) -> dict[str, Path | str]:
    """What a folder has to hold to build the image from: name -> a file of this machine, or a text.

    Args:
        artifact: the model, as it is on this machine.
        install: what pip installs there, such as "mark-serve[torch]".

    Raises:
        ConfigError: a part of the model is missing.
    """
    files, _ = files_of_model(artifact)
    parts: dict[str, Path | str] = dict(files)
    copies = [f"COPY {top} ${{LAMBDA_TASK_ROOT}}/{top}" for top in sorted({name.split("/")[0] for name in files})]
    packages = " ".join(shlex.quote(word) for word in install.split())
    parts["Dockerfile"] = "\n".join(
        [
            f"# Model {artifact.signature.name} as a function of AWS Lambda; see `mark aws package --help`.",
            "# docker build --platform linux/amd64 --provenance=false --tag REPOSITORY:TAG .",
            "# docker push REPOSITORY:TAG, and name it in the configuration as serverless.image.",
            # Python 3.11 and older are on Amazon Linux 2 there, whose glibc loads neither torch nor mark.
            f"FROM public.ecr.aws/lambda/python:{_IMAGE_PYTHON}",
            "# torch without CUDA, which no function could use.",
            "ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu",
            f"RUN pip install --no-cache-dir {packages}",
            *copies,
            f'CMD ["{HANDLER}"]',
            "",
        ]
    )
    return parts


def _target(names: Sequence[str] | Mapping[str, Path]) -> tuple[str, str]:
    """Runtime and architecture, from the name of the compiled core."""
    for name in names:
        core = _CORE.match(name)
        if core is not None:
            return f"python3.{core[1]}", "arm64" if core[2] == "aarch64" else "x86_64"
    raise ConfigError("there is no compiled core of mark for Linux in it: `pip install --target FOLDER mark-serve`")


def _check_loadable(files: Mapping[str, Path], runtime: str) -> None:
    minor = int(runtime.rpartition(".")[2])
    there = _GLIBC_MINOR if minor >= 12 else _GLIBC_MINOR_BEFORE_312
    for name, path in sorted(files.items()):
        if ".so" not in path.suffixes:
            continue
        needed = max((int(found) for found in _GLIBC.findall(path.read_bytes())), default=0)
        if needed > there:
            raise ConfigError(
                f"{name} needs glibc 2.{needed}, and AWS Lambda's {runtime} has 2.{there}: take Python 3.12 or later, "
                "wheels for it (`pip install --platform manylinux_2_28_x86_64 --only-binary=:all: --target FOLDER ...` "
                f"and --site FOLDER), or an image: {_IMAGE}"
            )


@contextlib.contextmanager
def _replacing(destination: Path) -> Iterator[Path]:
    """A file beside the destination, which takes its place when it is complete."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.")
    except OSError as error:
        raise ConfigError(f"{destination}: cannot be written: {error.strerror}") from error
    os.close(handle)
    path = Path(name)
    try:
        yield path
        path.chmod(0o644)
        path.replace(destination)
    finally:
        path.unlink(missing_ok=True)


def _write(files: Mapping[str, Path], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _WHEN)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o755 << 16  # AWS Lambda's user is not the one that owns it
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name].read_bytes(), compresslevel=6)
