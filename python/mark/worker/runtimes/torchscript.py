"""TorchScript models: the only module that names TorchScript, which newer torch calls deprecated."""

from __future__ import annotations

import warnings
from pathlib import Path

from mark.domain.artifact import ModelArtifact
from mark.errors import ModelLoadError
from mark.worker.runtimes import Arrays, Model, first_line

__all__ = ["load_torchscript"]


def load_torchscript(artifact: ModelArtifact, threads: int) -> Model:
    """Load a TorchScript file; inputs are passed by position, in the order of the signature."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModelLoadError("runtime torchscript needs torch: pip install 'mark-serve[torch]'") from error
    if not Path(artifact.source).is_file():
        raise ModelLoadError(f"no such file: {artifact.source}")
    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = torch.jit.load(artifact.source, map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise ModelLoadError(f"{artifact.source} does not load as TorchScript: {first_line(error)}") from error
    input_names = [tensor.name for tensor in artifact.signature.inputs]
    output_names = [tensor.name for tensor in artifact.signature.outputs]

    def run(inputs: Arrays) -> Arrays:
        with torch.inference_mode(), warnings.catch_warnings():
            # The inputs are views of a message that nobody writes to, and neither does a model in inference mode.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            answered = module(*(torch.from_numpy(inputs[name]) for name in input_names))
        tensors = answered if isinstance(answered, (tuple, list)) else (answered,)
        if len(tensors) != len(output_names):
            raise ValueError(f"the model gives {len(tensors)} outputs, its signature has {len(output_names)}")
        return {name: tensor.numpy() for name, tensor in zip(output_names, tensors, strict=True)}

    return run
