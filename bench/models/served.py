"""The models that are served in benches: exported to TorchScript, and the configuration that serves each."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from bench.models.inception_shaped import IMAGE_SHAPE, InceptionShaped
from bench.models.lstm_language_model import TOKENS, WORDS, LstmLanguageModel
from torch import nn

from mark.config import Config, parse_config
from mark.demo.digits_model import digits_network

__all__ = ["MODELS", "ServedModel"]

_SEED = 5


@dataclass(frozen=True)
class ServedModel:
    """A network and how it is served.

    Attributes:
        make: makes the network.
        example: makes an input of so many rows.
        tensors: inputs and outputs, as a configuration has them.
        rt_max_ms: the promise.
        rows_max: of a batch.
    """

    name: str
    make: Callable[[], nn.Module]
    example: Callable[[int], torch.Tensor]
    tensors: str
    rt_max_ms: float
    rows_max: int

    def export(self, folder: Path) -> Path:
        """Write the network as TorchScript, with what is constant folded; the file answers as the network does."""
        torch.manual_seed(_SEED)
        network, example = self.make().eval(), self.example(1)
        path = folder / f"{self.name}.pt"
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # an LSTM checks the shape of its input
            exported = torch.jit.freeze(torch.jit.trace(network, example, check_trace=False))
            torch.jit.save(exported, str(path))
            assert torch.allclose(exported(example), network(example), rtol=1e-3, atol=1e-3)
        return path

    def config(
        self, source: Path, offering: str = "", rows_max: int | None = None, rt_max_ms: float | None = None
    ) -> Config:
        """A configuration that serves it on one offering.

        Args:
            source: the exported file.
            offering: further keys of the offering, as YAML.
            rows_max: of a batch; None for the model's own.
            rt_max_ms: the promise; None for the model's own.
        """
        text = (
            "server: {port: 0}\n"
            f"offerings:\n  - {{name: machine, price_usd_per_hour: 0.085, max_count: 1, {offering}}}\n"
            f"models:\n  - name: {self.name}\n    runtime: torchscript\n    source: {source}\n    {self.tensors}\n"
            f"    slo: {{rt_max_ms: {rt_max_ms or self.rt_max_ms:g}}}\n"
            f"    batching: {{rows_max: {rows_max or self.rows_max}}}\n"
        )
        return parse_config(text)


def _digits() -> nn.Module:
    network: nn.Module = digits_network(torch)
    return network


MODELS = {
    model.name: model
    for model in (
        ServedModel(
            name="digits",
            make=_digits,
            example=lambda rows: torch.rand(rows, 1, 8, 8),
            tensors="inputs: [{name: image, datatype: FP32, shape: [-1, 1, 8, 8]}]\n"
            "    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]",
            rt_max_ms=100,
            rows_max=32,
        ),
        ServedModel(
            name="lstm",
            make=LstmLanguageModel,
            example=lambda rows: torch.randint(WORDS, (rows, TOKENS)),
            tensors=f"inputs: [{{name: tokens, datatype: INT64, shape: [-1, {TOKENS}]}}]\n"
            f"    outputs: [{{name: logits, datatype: FP32, shape: [-1, {WORDS}]}}]",
            rt_max_ms=500,
            rows_max=32,
        ),
        ServedModel(
            name="inception-shaped",
            make=InceptionShaped,
            example=lambda rows: torch.rand(rows, *IMAGE_SHAPE),
            tensors=f"inputs: [{{name: image, datatype: FP32, shape: [-1, {', '.join(map(str, IMAGE_SHAPE))}]}}]\n"
            "    outputs: [{name: logits, datatype: FP32, shape: [-1, 1000]}]",
            rt_max_ms=2000,
            rows_max=8,
        ),
    )
}
