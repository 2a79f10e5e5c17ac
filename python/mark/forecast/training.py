"""Training of the LSTM: pinball loss, early stopping on the last part of the series, then once more on all of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError
from mark.forecast.fan import HORIZON_STEPS, LEVELS
from mark.forecast.features import SAMPLES_MIN, Inputs, history_steps_of, inputs_of, ratios_of, targets_of, windows_of
from mark.forecast.linear import LinearWeights, fit_weights
from mark.forecast.lstm import LstmPredictor, metadata_of
from mark.forecast.series import Calendar, checked_series
from mark.forecast.torchscript import to_bytes

__all__ = ["Progress", "TrainingOptions", "train_lstm"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_RATIO_LOG_MAX = 5.0
_SKIP_PACE = 0.1
_WARM_UP = 50


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How the network is trained.

    Attributes:
        seed: the same seed, series and machine give the same network.
        epochs: at most so many; each sees `epoch_samples` samples, drawn anew.
        patience: training stops after so many epochs without a better loss on the held-out part.
        held_out: share of the samples, the last ones, that decides when to stop.
        epoch_samples: samples of an epoch.
        batch: samples of one step of the optimiser.
        hidden: width of the LSTM.
        members: the predictor is the mean of so many networks, which differ in their seed.
        dropout: share of the units that is left out while training.
        pace: learning rate at its highest.
        averaging: the network kept is the exponential average of those of all steps, with this factor.
    """

    seed: int = 0
    epochs: int = 40
    patience: int = 8
    held_out: float = 0.15
    epoch_samples: int = 6144
    batch: int = 256
    hidden: int = 32
    members: int = 3
    dropout: float = 0.2
    pace: float = 2e-3
    averaging: float = 0.98

    def __post_init__(self) -> None:
        if not (0 < self.held_out < 1 and 0 <= self.dropout < 1 and 0 <= self.averaging < 1 and self.pace > 0):
            raise ForecastError("held_out, dropout and averaging are shares below 1, and pace must be positive")
        if min(self.epochs, self.patience, self.epoch_samples, self.batch, self.hidden, self.members) < 1:
            raise ForecastError("epochs, patience, epoch_samples, batch, hidden and members must be positive")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is, after an epoch.

    Attributes:
        epoch: epochs done in this pass.
        epochs: of this pass, at most.
        loss: on the held-out part, relative to that of the linear model that training began from; None in the last
            pass, which holds nothing out.
    """

    epoch: int
    epochs: int
    loss: float | None


def train_lstm(
    series: FloatArray,
    first_step: int = 0,
    calendar: Calendar | None = None,
    options: TrainingOptions | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> LstmPredictor:
    """Train on a series whose first entry is the step `first_step` after a midnight.

    The first pass finds out on the last part of the series how many epochs help; the second trains that many on all.
    `progress` is called after each epoch; an exception out of it ends the training.

    Raises:
        ForecastError: the series cannot be used or is too short, or torch is missing.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ForecastError("training an LSTM needs torch: pip install 'mark-serve[forecast]'") from error
    from mark.forecast.network import MeanOfNetworks

    options, calendar = options or TrainingOptions(), calendar or Calendar()
    inputs, ratios = _samples(series, first_step, calendar)
    count = len(ratios)
    held_out = np.arange(count - int(options.held_out * count), count)
    # Targets of the last samples before the held-out part reach into it.
    kept = np.arange(max(1, int(held_out[0]) - HORIZON_STEPS))
    data = _Data(inputs, ratios)
    with torch.random.fork_rng():
        found = _Pass(data, kept, data.linear(kept, 3), options, 0).until_best(held_out, progress)
        everything = np.arange(count)
        linear = data.linear(everything, 1)
        networks = [
            _Pass(data, everything, linear, options, member).for_epochs(found.epochs, progress)
            for member in range(options.members)
        ]
    trained = {"seed": options.seed, "steps": len(series), "epochs": found.epochs, "held_out_loss": found.loss}
    return LstmPredictor(to_bytes(MeanOfNetworks(networks), metadata_of(calendar, trained)))


def _samples(series: FloatArray, first_step: int, calendar: Calendar) -> tuple[Inputs, FloatArray]:
    history = history_steps_of(calendar)
    known = checked_series(series, history + HORIZON_STEPS + SAMPLES_MIN)
    windows = windows_of(known, calendar, HORIZON_STEPS)
    inputs = inputs_of(windows, first_step + history + np.arange(len(windows)), calendar)
    return inputs, ratios_of(targets_of(known, calendar, HORIZON_STEPS), inputs.level)


@dataclass(frozen=True, slots=True)
class _Found:
    epochs: int
    loss: float


class _Data:
    """All samples, and copies of them where the network computes."""

    def __init__(self, inputs: Inputs, ratios: FloatArray) -> None:
        import torch

        self.inputs, self.ratios = inputs, ratios
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        arrays = (inputs.flat, inputs.sequence, ratios, inputs.level / inputs.level.mean())
        self.tensors = [torch.tensor(array, dtype=torch.float32, device=self.device) for array in arrays]

    def linear(self, kept: IntArray, thin: int) -> LinearWeights:
        """Linear quantile regression on each `thin`-th of these samples: enough for a start."""
        rows = kept[::thin]
        return fit_weights(self.inputs.take(rows), self.ratios[rows])

    def take(self, rows: IntArray) -> list[Any]:
        """Features, sequences, what came, and weights of these samples."""
        import torch

        return [tensor[torch.from_numpy(rows).to(self.device)] for tensor in self.tensors]


class _Pass:
    """The training of one network from the beginning on the samples `kept`."""

    def __init__(
        self, data: _Data, kept: IntArray, linear: LinearWeights, options: TrainingOptions, member: int
    ) -> None:
        import torch

        from mark.forecast.network import QuantileNetwork

        seed = 1000 * options.seed + member
        torch.manual_seed(seed)
        self._data, self._kept, self._options = data, kept, options
        self._network = QuantileNetwork(linear, options.hidden, options.dropout).to(data.device)
        self._average = QuantileNetwork(linear, options.hidden, options.dropout).to(data.device)
        self._average.load_state_dict(self._network.state_dict())
        self._levels = torch.tensor(LEVELS, device=data.device)[:, None]
        self._generator = np.random.default_rng(seed)
        self._turn = 0
        skip = [self._network.skip, self._network.constant]
        own = [part for name, part in self._network.named_parameters() if name not in {"skip", "constant"}]
        groups = [{"params": own, "weight_decay": 1e-3}, {"params": skip, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(groups, lr=options.pace)

    def until_best(self, held_out: IntArray, progress: Callable[[Progress], None]) -> _Found:
        """Train until the held-out loss has stopped to fall; one epoch at the least."""
        start = self._held_out_loss(held_out)
        best, best_epoch = math.inf, 1
        for epoch in range(1, self._options.epochs + 1):
            self._epoch()
            loss = self._held_out_loss(held_out) / start if start > 0 else 1.0
            progress(Progress(epoch, self._options.epochs, loss))
            if loss < best:
                best, best_epoch = loss, epoch
            elif epoch - best_epoch >= self._options.patience:
                break
        return _Found(best_epoch, best)

    def for_epochs(self, epochs: int, progress: Callable[[Progress], None]) -> Any:
        """Train so long, and return the averaged network."""
        for epoch in range(1, epochs + 1):
            self._epoch()
            progress(Progress(epoch, epochs, None))
        return self._average.cpu()

    def _epoch(self) -> None:
        import torch

        options = self._options
        drawn = self._generator.permutation(self._kept)[: options.epoch_samples]
        batches = max(1, len(drawn) // options.batch)
        for rows in np.array_split(drawn, batches):
            pace = options.pace * min(1.0, (self._turn + 1) / _WARM_UP)
            pace *= 0.5 + 0.5 * math.cos(math.pi * self._turn / (options.epochs * batches))
            for group, factor in zip(self._optimiser.param_groups, (1.0, _SKIP_PACE), strict=True):
                group["lr"] = pace * factor
            self._turn += 1
            self._optimiser.zero_grad()
            self._loss(self._network, rows).backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
            self._optimiser.step()
            with torch.no_grad():
                for mean, part in zip(self._average.parameters(), self._network.parameters(), strict=True):
                    mean.lerp_(part, 1 - options.averaging)

    def _loss(self, network: Any, rows: IntArray) -> Any:
        """Mean pinball loss in rates, relative to the mean level."""
        import torch

        flat, sequence, ratios, shares = self._data.take(rows)
        bound = torch.exp(network(flat, sequence).clamp(max=_RATIO_LOG_MAX))
        short = torch.exp(ratios.clamp(max=_RATIO_LOG_MAX))[:, :, None] - bound
        loss = torch.maximum(self._levels * short, (self._levels - 1) * short)
        return (loss.mean(dim=(1, 2, 3)) * shares).mean()

    def _held_out_loss(self, rows: IntArray) -> float:
        import torch

        self._average.eval()
        with torch.no_grad():
            parts = [(float(self._loss(self._average, part)), len(part)) for part in np.array_split(rows, 8)]
        return sum(loss * count for loss, count in parts if count) / len(rows)
