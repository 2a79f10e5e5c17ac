"""Files of trained networks: the only module of the forecasters that names TorchScript, which newer torch deprecates.

A file is one TorchScript archive; its metadata lie in it as JSON. Loading runs no pickled code: what TorchScript reads
is its own language, and JSON is data.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mark.errors import ForecastError

__all__ = ["Network", "from_bytes", "read_file", "to_bytes", "write_file"]

Network = Callable[..., Any]

_ENTRY = "mark-forecast.json"


def to_bytes(module: Any, metadata: dict[str, Any]) -> bytes:
    """Compile a `torch.nn.Module` in evaluation mode and pack it with its metadata, which must be JSON values."""
    import torch

    target = io.BytesIO()
    with _undeprecated():
        scripted = torch.jit.script(module.eval())
        torch.jit.save(scripted, target, _extra_files={_ENTRY: json.dumps(metadata)})
    return target.getvalue()


def from_bytes(packed: bytes, source: str = "the model") -> tuple[Network, dict[str, Any]]:
    """Load what `to_bytes` packed, onto CUDA where there is one.

    Raises:
        ForecastError: torch is missing, or these bytes are truncated or something else; the message begins with
            `source`.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ForecastError("a trained LSTM needs torch: pip install 'mark-serve[forecast]'") from error
    extra = {_ENTRY: ""}
    with _undeprecated():
        try:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            module = torch.jit.load(io.BytesIO(packed), map_location=device, _extra_files=extra).eval()
            module = torch.jit.freeze(module)
        except (RuntimeError, ValueError) as error:
            raise ForecastError(f"{source} is truncated, or no TorchScript file at all") from error
    try:
        metadata = json.loads(extra[_ENTRY])
    except ValueError as error:
        raise ForecastError(f"{source} is a TorchScript file, but not one of a forecaster") from error
    if not isinstance(metadata, dict):
        raise ForecastError(f"{source} has metadata of another kind")
    return module, metadata


def write_file(path: Path, packed: bytes) -> None:
    """Write a file at once or not at all: a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(packed)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ForecastError(f"cannot write {path}: {error.strerror}") from error


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ForecastError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ForecastError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def _undeprecated() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
