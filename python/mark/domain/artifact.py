"""Where a model's weights and code are, and what runs them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar, cast, get_args

from mark.domain.signature import ModelSignature, TensorSpec

__all__ = ["ModelArtifact", "RuntimeName", "artifact_from_json", "artifact_to_json"]

RuntimeName = Literal["torchscript", "onnx", "python"]

_Kind = TypeVar("_Kind")
_KINDS: dict[type, str] = {str: "a string", int: "a whole number", list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True)
class ModelArtifact:
    """What a worker needs to load a model.

    Attributes:
        signature: what it takes and gives.
        runtime: "torchscript" and "onnx" read the file at `source`; "python" calls `package.module:factory`.
        source: a path, or `package.module:factory`.
    """

    signature: ModelSignature
    runtime: RuntimeName
    source: str


def artifact_to_json(artifact: ModelArtifact) -> str:
    """Write an artifact as the text that `artifact_from_json` reads."""
    data = asdict(artifact)
    if not artifact.signature.sizes:
        del data["signature"]["sizes"]
    return json.dumps(data)


def artifact_from_json(text: str) -> ModelArtifact:
    """Read an artifact.

    Raises:
        ValueError: the text is not an artifact; the message names the field that is missing or wrong.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    runtime = _field(data, "", "runtime", str)
    if runtime not in get_args(RuntimeName):
        raise ValueError(f"runtime must be one of {', '.join(get_args(RuntimeName))}, not {runtime!r}")
    signature = _field(data, "", "signature", dict)
    return ModelArtifact(
        signature=ModelSignature(
            name=_field(signature, "signature.", "name", str),
            version=_field(signature, "signature.", "version", str),
            inputs=_tensors(signature, "inputs"),
            outputs=_tensors(signature, "outputs"),
            rows_max=_field(signature, "signature.", "rows_max", int),
            sizes=_sizes(signature),
        ),
        runtime=cast("RuntimeName", runtime),
        source=_field(data, "", "source", str),
    )


def _tensors(signature: dict[str, Any], name: str) -> tuple[TensorSpec, ...]:
    tensors = []
    for index, spec in enumerate(_field(signature, "signature.", name, list)):
        place = f"signature.{name}[{index}]."
        shape = _field(spec, place, "shape", list)
        if not all(type(size) is int for size in shape):
            raise ValueError(f"is not an artifact: {place}shape must hold whole numbers, not {shape!r}")
        tensors.append(TensorSpec(_field(spec, place, "name", str), _field(spec, place, "datatype", str), tuple(shape)))
    return tuple(tensors)


def _sizes(signature: dict[str, Any]) -> tuple[int, ...]:
    if "sizes" not in signature:
        return ()
    sizes = _field(signature, "signature.", "sizes", list)
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError(f"is not an artifact: signature.sizes must hold positive whole numbers, not {sizes!r}")
    return tuple(sizes)


def _field(data: object, place: str, name: str, kind: type[_Kind]) -> _Kind:
    """One field of a JSON object; `place` is what to say before its name."""
    if not isinstance(data, dict):
        raise ValueError(f"is not an artifact: {place.rstrip('.') or 'it'} must be an object, not {data!r}")
    if name not in data:
        raise ValueError(f"is not an artifact: {place}{name} is missing")
    value = data[name]
    # By exact type: to isinstance, true is a whole number.
    if type(value) is not kind:
        raise ValueError(f"is not an artifact: {place}{name} must be {_KINDS[kind]}, not {value!r}")
    return value
