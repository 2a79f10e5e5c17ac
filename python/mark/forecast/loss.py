"""What a bound costs that was too low or too high, and the level that balances both."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError

__all__ = ["LEVEL_MAX", "LEVEL_MIN", "newsvendor_level", "pinball"]

LEVEL_MIN, LEVEL_MAX = 0.5, 0.99  # beyond the latter there is too little history to know it


def pinball(truth: npt.NDArray[np.float64], bound: npt.NDArray[np.float64], level: float) -> npt.NDArray[np.float64]:
    """Pinball loss of each bound, in the unit of both: least on average at the `level` quantile of the truth."""
    short = np.subtract(truth, bound)
    loss: npt.NDArray[np.float64] = np.maximum(level * short, (level - 1) * short)
    return loss


def newsvendor_level(overflow_price: float, instance_price: float) -> float:
    """Probability with which the load should stay within what is rented.

    The newsvendor's ratio: a row for which nothing is rented costs `overflow_price` instead of `instance_price`, a row
    that is rented for and does not come costs `instance_price`. Both are prices of one row, an instance's at full load.

    Returns:
        A level from 0.5 to 0.99: beyond that there is too little history to know it.

    Raises:
        ForecastError: a price is not positive.
    """
    if not (0 < overflow_price < math.inf and 0 < instance_price < math.inf):
        raise ForecastError(f"prices of a row must be positive, not {overflow_price} and {instance_price}")
    ratio = (overflow_price - instance_price) / overflow_price
    return min(LEVEL_MAX, max(LEVEL_MIN, ratio))
