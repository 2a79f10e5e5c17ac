"""What AWS Lambda can and cannot do with a model's functions, told before anything is deployed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from mark.cloud.aws.settings import AwsSettings
from mark.config.serverless import ServerlessConfig
from mark.config.values import wrong
from mark.domain.artifact import ModelArtifact
from mark.protocol.tensors import DATATYPES

__all__ = ["check_functions"]

# AWS Lambda's own limits.
_MEMORY_MIN_GB, _MEMORY_MAX_GB = 0.125, 10.0
_TIMEOUT_MAX_S = 900
_NAME_CHARACTERS_MAX = 64
_MESSAGE_BYTES_MAX = 6 * 1024 * 1024 * 3 // 4 - 1024  # of an event, less base64 and what is around it


class _Model(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def serverless(self) -> ServerlessConfig | None: ...

    def artifact(self) -> ModelArtifact | None: ...


def check_functions(provider: str, cluster: str, models: Sequence[_Model]) -> None:
    """Refuse functions that their provider could not run, and keys that belong to the other one.

    Raises:
        PydanticCustomError: naming the key.
    """
    for index, model in enumerate(models):
        settings, artifact = model.serverless, model.artifact()
        if settings is None or artifact is None:
            continue
        place = ("models", index, "serverless")
        if provider == "aws":
            _check_code(settings, artifact, place)
            _check_size(settings, artifact, place)
            _check_name(cluster, model.name, index)
        else:
            _check_local(settings, place)


def _check_local(settings: ServerlessConfig, place: tuple[str | int, ...]) -> None:
    for key in ("package", "image", "include"):
        if getattr(settings, key):
            raise wrong("only functions of AWS have code of their own: provider: aws", *place, key)


def _check_code(settings: ServerlessConfig, artifact: ModelArtifact, place: tuple[str | int, ...]) -> None:
    if settings.package is not None and settings.image is not None:
        raise wrong("the code of a function is a zip or an image: leave one of them out", *place, "image")
    made = settings.package is None and settings.image is None
    if settings.include and not made:
        raise wrong("goes into the zip that is made; leave package and image out, or this", *place, "include")
    if made and artifact.runtime == "torchscript":
        raise wrong(
            "torch does not fit into the zip of a function: give the URI of a container image, whose recipe "
            "`mark aws package --image` writes; or serve the model as ONNX",
            *place, "image",
        )  # fmt: skip


def _check_size(settings: ServerlessConfig, artifact: ModelArtifact, place: tuple[str | int, ...]) -> None:
    if not _MEMORY_MIN_GB <= settings.memory_gb <= _MEMORY_MAX_GB:
        raise wrong(f"AWS Lambda has {_MEMORY_MIN_GB:g} to {_MEMORY_MAX_GB:g} GB", *place, "memory_gb")
    if settings.timeout_s > _TIMEOUT_MAX_S:
        raise wrong(f"AWS Lambda ends functions after {_TIMEOUT_MAX_S} s at the latest", *place, "timeout_s")
    if settings.cpu_share < 1:
        raise wrong("AWS Lambda gives its share of a CPU by memory_gb; leave it out", *place, "cpu_share")
    least_rows = artifact.signature.sizes[0] if artifact.signature.sizes else 1
    least_bytes = sum(
        DATATYPES[spec.datatype].itemsize * least_rows * math.prod(max(1, size) for size in spec.shape[1:])
        for spec in artifact.signature.inputs
        if spec.datatype in DATATYPES
    )
    if least_bytes > _MESSAGE_BYTES_MAX:
        raise wrong(
            f"AWS Lambda carries {_MESSAGE_BYTES_MAX} bytes to a function, and the smallest request has {least_bytes}; "
            "leave serverless out",
            *place,
        )


def _check_name(cluster: str, model: str, index: int) -> None:
    name = AwsSettings(cluster, "").function(model)
    if len(name) > _NAME_CHARACTERS_MAX:
        raise wrong(
            f"its function would be called {name}, and AWS Lambda's names have {_NAME_CHARACTERS_MAX} characters; "
            "shorten it, or cluster",
            "models", index, "name",
        )  # fmt: skip
