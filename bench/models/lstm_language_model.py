"""A language model of the medium size of Zaremba and others (2014) on Penn Treebank: 10,000 words, two LSTM layers."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["TOKENS", "WORDS", "LstmLanguageModel"]

WORDS = 10_000
TOKENS = 35
_UNITS = 650


class LstmLanguageModel(nn.Module):  # type: ignore[misc]
    """Word numbers, int64 (rows, 35), to logits of the word that follows, float32 (rows, 10000)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, _UNITS)
        self.lstm = nn.LSTM(_UNITS, _UNITS, num_layers=2, batch_first=True)
        self.decoder = nn.Linear(_UNITS, WORDS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(self.embedding(tokens))
        return self.decoder(hidden[:, -1])
