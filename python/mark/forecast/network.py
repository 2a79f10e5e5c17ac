"""The LSTM as a torch module: imported late, since torch is an extra."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mark.forecast.linear import LinearWeights, interpolation

__all__ = ["MeanOfNetworks", "QuantileNetwork"]


class QuantileNetwork(nn.Module):  # type: ignore[misc]
    """An LSTM over the last hours beside a linear skip from the features, both adding up to all quantiles.

    The skip begins as a fitted linear quantile regression and the network's own part as zero: training can only leave
    the linear model for something better on held-out data.
    """

    def __init__(self, linear: LinearWeights, hidden: int, dropout: float) -> None:
        super().__init__()
        features = len(linear.weights) - 1
        self.levels: int = linear.weights.shape[2]
        self.knots: int = linear.weights.shape[3]
        self.register_buffer("centre", torch.tensor(linear.scaler.centre))
        self.register_buffer("spread", torch.tensor(linear.scaler.spread))
        self.register_buffer("spread_out", torch.tensor(interpolation()))
        self.horizon: int = self.spread_out.shape[1]
        self.skip = nn.Parameter(torch.tensor(linear.weights[1:].reshape(features, -1)))
        self.constant = nn.Parameter(torch.tensor(linear.weights[0].reshape(-1)))
        self.lstm = nn.LSTM(2, hidden, batch_first=True)
        self.mix = nn.Linear(hidden + features, 2 * hidden)
        self.deep = nn.Linear(2 * hidden, 2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(2 * hidden, 2 * self.levels * self.horizon)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, flat: Tensor, sequence: Tensor) -> Tensor:
        """[B, F] and [B, T, 2] to [B, 2, Q, H]: logarithms of ratios to the level, monotone in the quantile."""
        scaled = torch.clamp((flat - self.centre) / self.spread, -6.0, 6.0)
        states, _ = self.lstm(sequence)
        mixed = self.dropout(nn.functional.silu(self.mix(torch.cat([states[:, -1], scaled], 1))))
        mixed = self.dropout(nn.functional.silu(self.deep(mixed)))
        own = self.out(mixed).reshape(-1, 2, self.levels, self.horizon)
        linear = (scaled @ self.skip + self.constant).reshape(-1, 2, self.levels, self.knots) @ self.spread_out
        ordered = torch.sort(linear + own, dim=2)[0]
        running = torch.cummax(ordered[:, 1], dim=2)[0]
        return torch.stack([ordered[:, 0], running], 1)


class MeanOfNetworks(nn.Module):  # type: ignore[misc]
    """The mean of several networks, which is better than most of them and hangs less on the seed."""

    def __init__(self, members: Sequence[QuantileNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, flat: Tensor, sequence: Tensor) -> Tensor:
        """As one network: a mean of what is monotone is monotone."""
        answers = [member(flat, sequence) for member in self.members]
        return torch.stack(answers).mean(0)
