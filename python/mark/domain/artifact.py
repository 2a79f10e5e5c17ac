"""Where a model's weights and code are, and what runs them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from mark.domain.signature import ModelSignature, TensorSpec

__all__ = ["ModelArtifact", "RuntimeName", "artifact_from_json", "artifact_to_json"]

RuntimeName = Literal["torchscript", "onnx", "python"]


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
    return json.dumps(asdict(artifact))


def artifact_from_json(text: str) -> ModelArtifact:
    """Read an artifact.

    Raises:
        ValueError: the text is not an artifact; the message names what is wrong.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        signature = data["signature"]
        runtime = data["runtime"]
        if runtime not in get_args(RuntimeName):
            raise ValueError(f"runtime must be one of {', '.join(get_args(RuntimeName))}, not {runtime!r}")
        return ModelArtifact(
            signature=ModelSignature(
                name=str(signature["name"]),
                version=str(signature["version"]),
                inputs=_tensors(signature["inputs"]),
                outputs=_tensors(signature["outputs"]),
                rows_max=int(signature["rows_max"]),
            ),
            runtime=runtime,
            source=str(data["source"]),
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"is not an artifact: {error!r} is missing or of the wrong type") from error


def _tensors(specs: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(str(spec["name"]), str(spec["datatype"]), tuple(int(size) for size in spec["shape"]))
        for spec in specs
    )
