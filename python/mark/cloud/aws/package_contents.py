"""What goes into the zip of a function: mark, what it needs to run one model, and the model."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import mark
from mark.domain.artifact import ModelArtifact
from mark.errors import ConfigError

__all__ = ["MODEL_FOLDER", "files_of_environment", "files_of_folder", "files_of_mark", "files_of_model"]

MODEL_FOLDER = "model"
_RUNTIMES: dict[str, tuple[str, ...]] = {"torchscript": ("torch",), "onnx": ("onnxruntime",), "python": ()}
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_COMPILED = ("mark._core", "mark.workload._timestamps")
_LEFT_OUT = {"__pycache__", "tests"}  # bytecode names the time it was made at; nobody runs tests there

Files = dict[str, Path]
"""Name in the zip -> file."""


def files_of_environment(artifact: ModelArtifact, include: Sequence[str]) -> Files:
    """Mark as it is installed here, NumPy, the model's runtime, and what these need.

    Args:
        artifact: the model.
        include: further distributions, such as "scikit-learn", for a model of Python.

    Raises:
        ConfigError: one is not installed.
    """
    files = files_of_mark()
    for distribution in _closure(["numpy", *_RUNTIMES[artifact.runtime], *include]):
        for entry in distribution.files or ():
            path = Path(str(distribution.locate_file(entry)))
            if ".." not in entry.parts and not _LEFT_OUT & set(entry.parts) and path.is_file():
                files[entry.as_posix()] = path
    return files


def files_of_mark() -> Files:
    """Mark itself, as it is installed here."""
    root = Path(mark.__file__).parent
    files = {f"mark/{name}": path for name, path in files_of_folder(root).items() if _loads_here(path)}
    for module in _COMPILED:  # which an editable install has elsewhere
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            files[f"{'/'.join(module.split('.')[:-1])}/{Path(spec.origin).name}"] = Path(spec.origin)
    return files


def files_of_folder(folder: Path) -> Files:
    """Every file of a folder, such as one that `pip install --target` filled."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(folder).parts)
    }


def files_of_model(artifact: ModelArtifact) -> tuple[Files, ModelArtifact]:
    """The model's own files, and the artifact with the place that they have in the zip.

    Raises:
        ConfigError: they are not there.
    """
    if artifact.runtime == "python":
        return dict(_module_files(artifact.source.partition(":")[0].partition(".")[0])), artifact
    path = Path(artifact.source)
    if not path.is_file():
        raise ConfigError(f"no such file: {artifact.source}")
    name = f"{MODEL_FOLDER}/{path.name}"
    return {name: path}, replace(artifact, source=name)


def _module_files(name: str) -> Iterator[tuple[str, Path]]:
    """A package, or a single module, as it is imported here."""
    if name == "mark":
        return
    spec = importlib.util.find_spec(name)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise ConfigError(f"module {name!r} of the model's source is not found; set PYTHONPATH to where it lies")
    if not spec.submodule_search_locations:
        path = Path(str(spec.origin))
        yield path.name, path
        return
    for folder in spec.submodule_search_locations:
        for entry, path in files_of_folder(Path(folder)).items():
            yield f"{name}/{entry}", path


def _loads_here(path: Path) -> bool:
    """Not an extension module that was built for another Python, which a source tree may have beside ours."""
    return path.suffix != ".so" or any(path.name.endswith(end) for end in importlib.machinery.EXTENSION_SUFFIXES)


def _closure(names: Iterable[str]) -> Iterator[importlib.metadata.Distribution]:
    """Distributions, and those that they require. What a condition leaves open is taken if it is installed."""
    waiting, seen = [(name, True) for name in names], set()
    while waiting:
        name, needed = waiting.pop()
        canonical = re.sub(r"[-_.]+", "-", name).lower()
        if canonical in seen:
            continue
        seen.add(canonical)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            if not needed:
                continue
            raise ConfigError(
                f"a function of this model needs {name}, which is not installed here: pip install {name}"
            ) from error
        yield distribution
        for requirement in distribution.requires or ():
            wanted, _, condition = requirement.partition(";")
            named = _REQUIREMENT.match(wanted)
            if named is not None and "extra" not in condition:
                waiting.append((named[1], not condition))
