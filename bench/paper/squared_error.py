"""The forecaster that the paper describes: a plain LSTM, trained on squared error (section 4.2).

Widths are those of its prototype: one layer of 32 units, here over the last hour, and a dense layer with a rate for
each of the next 50 steps. It is trained on many windows at once, scaled by the mean of the training part; the stateful
passes of the prototype over single differences learn less.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.domain.forecast import Forecast

__all__ = ["SquaredErrorLstm"]

FloatArray = npt.NDArray[np.float64]

_HISTORY_STEPS = 60
_HORIZON_STEPS = 50
_HIDDEN = 32
_EPOCHS = 20
_BATCH = 128


class SquaredErrorLstm:
    """Trained when it is made. Implements `mark.ports.Forecaster`."""

    def __init__(self, series: FloatArray, headroom: float = 1.0, seed: int = 0) -> None:
        """Train on a series of maxima; `headroom` multiplies every rate."""
        self.headroom = headroom
        self._scale = float(series.mean()) or 1.0
        self._network = _trained(series / self._scale, seed)

    def times(self, headroom: float) -> SquaredErrorLstm:
        """The same network with another factor."""
        other = copy.copy(self)
        other.headroom = headroom
        return other

    def forecast(self, maxima_per_s: FloatArray, step_s: float, horizon_steps: int) -> Forecast:
        """The mean of each of the next steps, as the network sees it; the last one holds on behind them."""
        import torch

        recent = np.concatenate([np.zeros(_HISTORY_STEPS), maxima_per_s])[-_HISTORY_STEPS:] / self._scale
        with torch.inference_mode():
            rates = self._network(torch.tensor(recent, dtype=torch.float32)[None, :, None])[0].numpy()
        held_on = rates[np.minimum(np.arange(horizon_steps), _HORIZON_STEPS - 1)]
        scaled = np.maximum(0.0, held_on) * self._scale * self.headroom
        return Forecast(step_s, tuple(float(rate) for rate in scaled), "squared-error LSTM")


def _trained(series: FloatArray, seed: int) -> Any:
    import torch

    windows = np.lib.stride_tricks.sliding_window_view(series, _HISTORY_STEPS + _HORIZON_STEPS)
    samples = torch.tensor(windows.copy(), dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _network()
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(_EPOCHS):
            for rows in torch.randperm(len(samples)).split(_BATCH):
                optimiser.zero_grad()
                guessed = network(samples[rows, :_HISTORY_STEPS, None])
                torch.mean((guessed - samples[rows, _HISTORY_STEPS:]) ** 2).backward()
                optimiser.step()
    return network.eval()


def _network() -> Any:
    import torch

    class LastState(torch.nn.Module):  # type: ignore[misc]
        def forward(self, output: Any) -> Any:
            return output[0][:, -1]

    return torch.nn.Sequential(
        torch.nn.LSTM(1, _HIDDEN, batch_first=True), LastState(), torch.nn.Linear(_HIDDEN, _HORIZON_STEPS)
    )
