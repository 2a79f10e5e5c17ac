"""The entry point of AWS Lambda: `mark.lambda_entry.handler`, in a zip or a container image of `mark aws package`.

The environment says what to serve: MARK_ARTIFACT, the model as JSON, whose `source` is a path in the package, an
`s3://bucket/key` or `package.module:factory`; MARK_THREADS, with how many threads (1).

The model is loaded when this module is imported, which AWS Lambda does before the first event. One that does not load
raises there: the process ends, its caller is told why, and the next event tries again.
"""

from __future__ import annotations

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
    if artifact.source.startswith("s3://"):
        return _downloaded(artifact, int(threads))
    if artifact.runtime != "python":
        artifact = replace(artifact, source=str(Path(environment.get(_PACKAGE_ROOT, ".")) / artifact.source))
    return load_function(artifact, int(threads))


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
