"""ONNX models, on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from mark.domain.artifact import ModelArtifact
from mark.errors import ModelLoadError
from mark.worker.runtimes import Arrays, Model, first_line

__all__ = ["load_onnx"]


def load_onnx(artifact: ModelArtifact, threads: int) -> Model:
    """Load an ONNX file; inputs and outputs are matched by name."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelLoadError("runtime onnx needs onnxruntime: pip install 'mark-serve[onnx]'") from error
    if not Path(artifact.source).is_file():
        raise ModelLoadError(f"no such file: {artifact.source}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(artifact.source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelLoadError(f"{artifact.source} does not load as ONNX: {first_line(error)}") from error
    _check_names("inputs", [node.name for node in session.get_inputs()], artifact)
    output_names = [tensor.name for tensor in artifact.signature.outputs]
    _check_names("outputs", [node.name for node in session.get_outputs()], artifact)

    def run(inputs: Arrays) -> Arrays:
        answered = session.run(output_names, dict(inputs))
        return dict(zip(output_names, answered, strict=True))

    return run


def _check_names(kind: str, in_file: list[str], artifact: ModelArtifact) -> None:
    tensors = artifact.signature.inputs if kind == "inputs" else artifact.signature.outputs
    unknown = [tensor.name for tensor in tensors if tensor.name not in in_file]
    if unknown:
        there = ", ".join(in_file) or "none"
        raise ModelLoadError(f"{artifact.source} has no {kind} named {', '.join(unknown)}; it has {there}")
