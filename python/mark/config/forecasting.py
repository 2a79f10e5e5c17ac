"""How the load is forecast."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mark.config.values import NotBool, Section, wrong

__all__ = ["ForecastConfig"]


class ForecastConfig(Section):
    """Who forecasts, and how surely.

    `champion: auto` scores all predictors online and serves the best of late. With a name, that one serves as soon as
    its history is long enough; `moving maximum` is the highest rate of the last steps with head-room and no more.
    """

    champion: Literal[
        "auto", "moving maximum", "last value", "seasonal naive", "holt-winters", "linear", "lstm"
    ] = "auto"  # fmt: skip
    # None: what the prices of an instance and of what goes beyond it say.
    level: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), NotBool] | None = None
    # A file of `mark forecast train`.
    model: Annotated[str, Field(min_length=1)] | None = None
    refit: bool = True

    @model_validator(mode="after")
    def _check_champion(self) -> ForecastConfig:
        if self.model is not None and self.champion not in {"auto", "lstm"}:
            raise wrong(f"is of an LSTM, which champion {self.champion!r} never asks: leave it out", "model")
        if self.level is not None and self.champion == "moving maximum":
            raise wrong("a moving maximum knows no level, only controller.headroom: leave it out", "level")
        if self.champion == "lstm" and self.model is None and not self.refit:
            raise wrong("needs a model file, or refit: true to train one when there is enough history", "champion")
        return self
