"""The trained LSTM as a predictor: TorchScript, its scaler and its metadata in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mark.errors import ForecastError
from mark.forecast.fan import HORIZON_STEPS, LEVELS, QuantileFan
from mark.forecast.features import history_steps_of, inputs_of, rates_of
from mark.forecast.linear import fan_of
from mark.forecast.series import Calendar, checked_series
from mark.forecast.torchscript import from_bytes, read_file, write_file

__all__ = ["FILE_VERSION", "LstmPredictor", "metadata_of"]

FloatArray = npt.NDArray[np.float64]

FILE_VERSION = 1
_FORMAT = "mark forecast lstm"
_WARM_UPS = 3


def metadata_of(calendar: Calendar, trained: dict[str, Any]) -> dict[str, Any]:
    """What a file says of itself: the format, what the numbers mean, and how it was trained."""
    return {
        "format": _FORMAT,
        "version": FILE_VERSION,
        "levels": list(LEVELS),
        "horizon_steps": HORIZON_STEPS,
        "hour_steps": calendar.hour_steps,
        "trained": trained,
    }


class LstmPredictor:
    """Predicts with a trained network. Implements `QuantilePredictor` and `BatchPredictor`.

    Thread safety: predictions may run on any threads at once.
    """

    def __init__(self, packed: bytes, source: str = "the model") -> None:
        """Load a network that `train_lstm` packed.

        Raises:
            ForecastError: truncated, of another version, or no such file at all; the message begins with `source`.
        """
        self._packed = packed
        self._network, metadata = from_bytes(packed, source)
        self._calendar = _calendar_in(metadata, source)
        self.trained: dict[str, Any] = dict(metadata.get("trained", {}))
        # TorchScript compiles in the first calls, which would be too slow for a step of the controller.
        for _ in range(_WARM_UPS):
            self.predict(np.ones(self.history_steps), 0)

    def __reduce__(self) -> tuple[type[LstmPredictor], tuple[bytes]]:
        """Between processes it travels as its file does; the network itself cannot be pickled."""
        return LstmPredictor, (self._packed,)

    @classmethod
    def load(cls, path: Path) -> LstmPredictor:
        """Read a file.

        Raises:
            ForecastError: it cannot be read or used; the message names it.
        """
        return cls(read_file(path), str(path))

    def save(self, path: Path) -> None:
        """Write the file, at once or not at all.

        Raises:
            ForecastError: it cannot be written.
        """
        write_file(path, self._packed)

    @property
    def name(self) -> str:
        """As it is called in decisions."""
        return "lstm"

    @property
    def calendar(self) -> Calendar:
        """What an hour and a day are to it."""
        return self._calendar

    @property
    def history_steps(self) -> int:
        """How many past steps it needs."""
        return history_steps_of(self._calendar)

    def predict(self, history: FloatArray, first_step: int) -> QuantileFan:
        """The fan after one history."""
        past = checked_series(history[-self.history_steps :], self.history_steps)
        return fan_of(self.predict_many(past[np.newaxis], np.array([first_step]))[0])

    def predict_many(self, histories: FloatArray, first_steps: npt.NDArray[np.int64]) -> FloatArray:
        """[N, 2, Q, H] in rows per second, for as many models as there are histories."""
        import torch

        inputs = inputs_of(histories, first_steps, self._calendar)
        with torch.inference_mode():
            device = "cuda" if torch.cuda.is_available() else "cpu"
            flat, sequence = torch.from_numpy(inputs.flat), torch.from_numpy(inputs.sequence)
            ratios = self._network(flat.to(device), sequence.to(device)).cpu().numpy()
        return rates_of(ratios.astype(np.float64), inputs.level)


def _calendar_in(metadata: dict[str, Any], source: str) -> Calendar:
    """The calendar of a file that this version can use."""
    if metadata.get("format") != _FORMAT:
        raise ForecastError(f"{source} is a TorchScript file, but not one of a forecaster")
    if metadata.get("version") != FILE_VERSION:
        found = metadata.get("version")
        raise ForecastError(
            f"{source} is of version {found}, and this mark reads version {FILE_VERSION}: train it again"
        )
    if metadata.get("levels") != list(LEVELS) or metadata.get("horizon_steps") != HORIZON_STEPS:
        raise ForecastError(f"{source} predicts other levels or another horizon: train it again")
    hour_steps = metadata.get("hour_steps")
    if not isinstance(hour_steps, int):
        raise ForecastError(f"{source} does not say how many steps an hour has")
    return Calendar(hour_steps, 24 * hour_steps)
