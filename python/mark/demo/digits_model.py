"""A small convolutional classifier of handwritten digits: trained, exported to TorchScript, and run offline."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.errors import ConfigError

__all__ = ["DigitsModel", "digits_network", "train_digits_model"]

_EPOCHS = 3
_ROWS = 32
_LEARNING_RATE = 4e-3  # at the top of its cycle
_SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class DigitsModel:
    """The exported model and what it says offline.

    Attributes:
        path: the TorchScript file.
        images: float32 (n, 1, 8, 8), the images that were held out of training.
        logits: float32 (n, 10), the exported model's answers, computed one image at a time.
        accuracy: share of held-out images whose digit it names.
    """

    path: Path
    images: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    accuracy: float


def train_digits_model(path: Path) -> DigitsModel:
    """Train on scikit-learn's handwritten digits (real scans, shipped inside that package) and export to `path`.

    Takes less than ten seconds on one core. Seeded: the same machine makes the same model.

    Raises:
        ConfigError: the demo's packages are not installed.
    """
    try:
        import torch
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ConfigError(f"the demo needs {error.name}: pip install 'mark-serve[demo]'") from error
    digits = load_digits()
    scaled = (digits.images / 16.0).astype(np.float32)[:, None]
    train_x, test_x, train_y, test_y = train_test_split(
        scaled, digits.target.astype(np.int64), test_size=0.25, random_state=_SEED, stratify=digits.target
    )
    threads = torch.get_num_threads()
    # Several would spin for each other whenever another process has a core: many times slower, and these layers are
    # too small to gain from them.
    torch.set_num_threads(1)
    try:
        exported = _export(torch, _train(torch, train_x, train_y), path)
        with torch.inference_mode():
            logits = np.concatenate([exported(torch.from_numpy(image[None])).numpy() for image in test_x])
    finally:
        torch.set_num_threads(threads)
    accuracy = float(np.mean(logits.argmax(axis=1) == test_y))
    return DigitsModel(path, test_x, logits, accuracy)


def _train(torch: Any, images: npt.NDArray[np.float32], digits: npt.NDArray[np.int64]) -> Any:
    """The trained network; one cycle of the learning rate gets there in a few epochs (Smith and Topin, 2017)."""
    torch.manual_seed(_SEED)
    model = digits_network(torch)
    inputs, targets = torch.from_numpy(images), torch.from_numpy(digits)
    optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
    steps = _EPOCHS * math.ceil(len(inputs) / _ROWS)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
    model.train()
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(inputs)).split(_ROWS):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs[rows]), targets[rows])
            loss.backward()
            optimizer.step()
            cycle.step()
    return model.eval()


def _export(torch: Any, model: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        # TorchScript is deprecated in newer torch, and still what its runtime loads without the model's code.
        warnings.simplefilter("ignore", DeprecationWarning)
        with torch.inference_mode():
            exported = torch.jit.trace(model, torch.zeros(1, 1, 8, 8))
        torch.jit.save(exported, str(path))
    return exported


def digits_network(torch: Any) -> Any:
    """The network, untrained; `torch` is the module, which only the demo needs."""
    nn = torch.nn
    convolutions = []
    for channels_in, channels_out in ((1, 64), (64, 128), (128, 128), (128, 128)):
        convolutions += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(
        *convolutions,
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )
