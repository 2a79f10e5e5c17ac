"""The entry point of AWS Lambda: `mark.lambda_entry.handler`, in a zip or a container image of `mark aws package`.

The environment says what to serve: MARK_ARTIFACT, the model as JSON, whose `source` is a path in the package, an
`s3://bucket/key` or `package.module:factory`; MARK_THREADS, with how many threads (1). What the package has of the
cluster's bucket under `model/`, byte for byte, is not fetched.

The model is loaded when this module is imported, which AWS Lambda does before the first event. One that does not load
raises there: the process ends, its caller is told why, and the next event tries again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mark.domain.artifact import ModelArtifact, artifact_from_json
from mark.errors import ConfigError
from mark.worker.function import FunctionService, load_function

__all__ = ["ARTIFACT", "THREADS", "handler", "service_of"]

ARTIFACT = "MARK_ARTIFACT"
THREADS = "MARK_THREADS"
_PACKAGE_ROOT = "LAMBDA_TASK_ROOT"  # where AWS Lambda unpacks the zip


def service_of(environment: Mapping[str, str]) -> FunctionService:
    """Load what the environment names.

    Raises:
        ConfigError: a variable is missing or wrong.
        CloudError: the model cannot be fetched.
        ModelLoadError: it does not load.
    """
    if ARTIFACT not in environment:
        raise ConfigError(f"{ARTIFACT} must hold the model as JSON; `mark serve` sets it when it deploys the function")
    try:
        artifact = artifact_from_json(environment[ARTIFACT])
    except ValueError as error:
        raise ConfigError(f"{ARTIFACT}: {error}") from error
    threads = environment.get(THREADS, "1")
    if not threads.isdecimal():
        raise ConfigError(f"{THREADS} must be a whole number, not {threads!r}")
    if artifact.runtime == "python":
        return load_function(artifact, int(threads))
    root = Path(environment.get(_PACKAGE_ROOT, "."))
    placed = root / artifact.source if not artifact.source.startswith("s3://") else _in_package(root, artifact.source)
    if placed is None:
        return _downloaded(artifact, int(threads))
    return load_function(replace(artifact, source=str(placed)), int(threads))


def _in_package(root: Path, location: str) -> Path | None:
    """The same file in the package, which is there sooner than a download: `s3://.../<sha256>/<file name>`."""
    sha256, name = location.split("/")[-2:]
    path = root / "model" / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        return None
    return path


def _downloaded(artifact: ModelArtifact, threads: int) -> FunctionService:
    from mark.cloud.aws.model_download import download  # boto3 takes a while, and most models are in the package

    with tempfile.TemporaryDirectory(prefix="mark-model-") as folder:
        return load_function(replace(artifact, source=str(download(artifact.source, Path(folder)))), threads)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - AWS Lambda gives both
    """Answer one event; see `mark.worker.function.FunctionService`."""
    if _service is None:
        raise ConfigError(f"{ARTIFACT} was not set when the function began")
    return _service.handle(event)


_service = service_of(os.environ) if ARTIFACT in os.environ else None
