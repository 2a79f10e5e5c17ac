"""TorchScript models: the only module that names TorchScript, which newer torch calls deprecated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from mark.domain.artifact import ModelArtifact
from mark.domain.device import CPU, Device
from mark.errors import ModelLoadError
from mark.worker.runtimes import Arrays, Model, first_line
from mark.worker.runtimes.staging import CudaStreams, Staging

__all__ = ["load_torchscript"]

Infer = Callable[[Arrays], Sequence[npt.NDArray[Any]]]


def load_torchscript(artifact: ModelArtifact, threads: int, device: Device = CPU) -> Model:
    """Load a TorchScript file; inputs are passed by position, in the order of the signature."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModelLoadError("runtime torchscript needs torch: pip install 'mark-serve[torch]'") from error
    if not Path(artifact.source).is_file():
        raise ModelLoadError(f"no such file: {artifact.source}")
    _check_device(torch, device)
    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = torch.jit.load(artifact.source, map_location=str(device)).eval()
        except (RuntimeError, ValueError) as error:
            raise ModelLoadError(f"{artifact.source} does not load as TorchScript: {first_line(error)}") from error
    input_names = [tensor.name for tensor in artifact.signature.inputs]
    output_names = [tensor.name for tensor in artifact.signature.outputs]
    on_cpu = device.kind == "cpu"
    infer = _on_cpu(torch, module, input_names) if on_cpu else _on_cuda(torch, module, input_names, device)

    def run(inputs: Arrays) -> Arrays:
        with torch.inference_mode(), warnings.catch_warnings():
            # The inputs are views of a message that nobody writes to, and neither does a model in inference mode.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            arrays = infer(inputs)
        if len(arrays) != len(output_names):
            raise ValueError(f"the model gives {len(arrays)} outputs, its signature has {len(output_names)}")
        return dict(zip(output_names, arrays, strict=True))

    return run


def _check_device(torch: Any, device: Device) -> None:
    """Refuse a device that torch does not see, before it says so in many lines."""
    if device.kind == "cpu":
        return
    if not torch.backends.cuda.is_built():
        raise ModelLoadError(
            f"device {device}: this torch {torch.__version__} is built without CUDA; install a CUDA build of torch, "
            "or set the offering's device to cpu"
        )
    count = torch.cuda.device_count()
    if not torch.cuda.is_available() or count == 0:
        raise ModelLoadError(
            f"device {device}: torch finds no CUDA device; see that `nvidia-smi` lists one and that "
            "CUDA_VISIBLE_DEVICES does not hide it, or set the offering's device to cpu"
        )
    if device.index >= count:
        raise ModelLoadError(f"device {device}: there is no such device; torch finds {count}, from cuda:0 on")


def _on_cpu(torch: Any, module: Any, names: Sequence[str]) -> Infer:
    def infer(inputs: Arrays) -> Sequence[npt.NDArray[Any]]:
        return [tensor.numpy() for tensor in _several(module(*(torch.from_numpy(inputs[name]) for name in names)))]

    return infer


def _on_cuda(torch: Any, module: Any, names: Sequence[str], device: Device) -> Infer:
    placed = torch.device("cuda", device.index)
    staging = Staging(torch, CudaStreams(torch, placed))

    def infer(inputs: Arrays) -> Sequence[npt.NDArray[Any]]:
        # The current device belongs to the thread, and it is not known on which one the model is called.
        with torch.cuda.device(placed):
            return staging.fetch(_several(module(*staging.send(inputs, names))))

    return infer


def _several(answered: Any) -> Sequence[Any]:
    return answered if isinstance(answered, (tuple, list)) else (answered,)
