"""A network of the shape of Inception-v3 (Szegedy and others, CVPR 2016), without its auxiliary classifier.

Blocks and channels are those of the published network at 299 x 299: 23.8 million parameters and 5.7 thousand million
multiplications for an image. The weights are random.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["IMAGE_SHAPE", "InceptionShaped"]

IMAGE_SHAPE = (3, 299, 299)

Size = int | tuple[int, int]


def conv(channels_in: int, channels_out: int, size: Size, stride: int = 1, padding: Size = 0) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(channels_out, eps=1e-3),
        nn.ReLU(inplace=True),
    )


def row(channels_in: int, channels_out: int, width: int) -> nn.Sequential:
    """A convolution of one row."""
    return conv(channels_in, channels_out, (1, width), padding=(0, width // 2))


def column(channels_in: int, channels_out: int, height: int) -> nn.Sequential:
    """A convolution of one column."""
    return conv(channels_in, channels_out, (height, 1), padding=(height // 2, 0))


def pooled(channels_in: int, channels_out: int) -> nn.Sequential:
    """The branch that averages first."""
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), conv(channels_in, channels_out, 1))


class Branches(nn.Module):  # type: ignore[misc]
    """Branches side by side, their channels one after the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def block_35(channels_in: int, channels_pooled: int) -> Branches:
    """At 35 x 35: filters up to 5 x 5."""
    return Branches(
        conv(channels_in, 64, 1),
        nn.Sequential(conv(channels_in, 48, 1), conv(48, 64, 5, padding=2)),
        nn.Sequential(conv(channels_in, 64, 1), conv(64, 96, 3, padding=1), conv(96, 96, 3, padding=1)),
        pooled(channels_in, channels_pooled),
    )


def reduction_35() -> Branches:
    """From 35 x 35 to 17 x 17."""
    return Branches(
        conv(288, 384, 3, stride=2),
        nn.Sequential(conv(288, 64, 1), conv(64, 96, 3, padding=1), conv(96, 96, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


def block_17(channels: int) -> Branches:
    """At 17 x 17: filters of 7 x 7, as rows and columns."""
    return Branches(
        conv(768, 192, 1),
        nn.Sequential(conv(768, channels, 1), row(channels, channels, 7), column(channels, 192, 7)),
        nn.Sequential(
            conv(768, channels, 1),
            column(channels, channels, 7),
            row(channels, channels, 7),
            column(channels, channels, 7),
            row(channels, 192, 7),
        ),
        pooled(768, 192),
    )


def reduction_17() -> Branches:
    """From 17 x 17 to 8 x 8."""
    return Branches(
        nn.Sequential(conv(768, 192, 1), conv(192, 320, 3, stride=2)),
        nn.Sequential(conv(768, 192, 1), row(192, 192, 7), column(192, 192, 7), conv(192, 192, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


def block_8(channels_in: int) -> Branches:
    """At 8 x 8: rows and columns side by side."""
    return Branches(
        conv(channels_in, 320, 1),
        nn.Sequential(conv(channels_in, 384, 1), Branches(row(384, 384, 3), column(384, 384, 3))),
        nn.Sequential(
            conv(channels_in, 448, 1), conv(448, 384, 3, padding=1), Branches(row(384, 384, 3), column(384, 384, 3))
        ),
        pooled(channels_in, 192),
    )


class InceptionShaped(nn.Sequential):  # type: ignore[misc]
    """Images, float32 (rows, 3, 299, 299), to logits, float32 (rows, 1000)."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(
            conv(3, 32, 3, stride=2),
            conv(32, 32, 3),
            conv(32, 64, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            conv(64, 80, 1),
            conv(80, 192, 3),
            nn.MaxPool2d(3, stride=2),
            block_35(192, 32),
            block_35(256, 64),
            block_35(288, 64),
            reduction_35(),
            block_17(128),
            block_17(160),
            block_17(160),
            block_17(192),
            reduction_17(),
            block_8(1280),
            block_8(2048),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2048, classes),
        )
