"""ONNX models, on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mark.domain.artifact import ModelArtifact
from mark.domain.device import CPU, Device
from mark.errors import ModelLoadError
from mark.worker.runtimes import Arrays, Model, first_line

__all__ = ["load_onnx"]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def load_onnx(artifact: ModelArtifact, threads: int, device: Device = CPU) -> Model:
    """Load an ONNX file; inputs and outputs are matched by name."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelLoadError("runtime onnx needs onnxruntime: pip install 'mark-serve[onnx]'") from error
    if not Path(artifact.source).is_file():
        raise ModelLoadError(f"no such file: {artifact.source}")
    providers = _providers(onnxruntime, device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(artifact.source, options, providers=providers)
    except Exception as error:
        raise ModelLoadError(f"{artifact.source} does not load as ONNX: {first_line(error)}") from error
    if device.kind == "cuda" and _CUDA not in session.get_providers():
        # Told to use CUDA and unable to, ONNX Runtime computes on the processor and says so only in its log.
        raise ModelLoadError(
            f"device {device}: ONNX Runtime cannot use it, and would compute on the processor instead; see that "
            "`nvidia-smi` lists it and that the CUDA and cuDNN versions are those that its release notes name, or set "
            "the offering's device to cpu"
        )
    _check_names("inputs", [node.name for node in session.get_inputs()], artifact)
    output_names = [tensor.name for tensor in artifact.signature.outputs]
    _check_names("outputs", [node.name for node in session.get_outputs()], artifact)

    def run(inputs: Arrays) -> Arrays:
        answered = session.run(output_names, dict(inputs))
        return dict(zip(output_names, answered, strict=True))

    return run


def _providers(onnxruntime: Any, device: Device) -> list[Any]:
    if device.kind == "cpu":
        return [_CPU]
    available = onnxruntime.get_available_providers()
    if _CUDA not in available:
        raise ModelLoadError(
            f"device {device}: this ONNX Runtime {onnxruntime.__version__} has no {_CUDA}, only "
            f"{', '.join(available)}; pip install onnxruntime-gpu in place of onnxruntime, or set the offering's "
            "device to cpu"
        )
    # What has no CUDA kernel runs on the processor, as ONNX Runtime itself would choose.
    return [(_CUDA, {"device_id": device.index}), _CPU]


def _check_names(kind: str, in_file: list[str], artifact: ModelArtifact) -> None:
    tensors = artifact.signature.inputs if kind == "inputs" else artifact.signature.outputs
    unknown = [tensor.name for tensor in tensors if tensor.name not in in_file]
    if unknown:
        there = ", ".join(in_file) or "none"
        raise ModelLoadError(f"{artifact.source} has no {kind} named {', '.join(unknown)}; it has {there}")
