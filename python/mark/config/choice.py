"""Which of several models a command is about."""

from __future__ import annotations

from mark.config.sections import Config, ModelConfig
from mark.errors import ConfigError

__all__ = ["model_of"]


def model_of(path: str, config: Config, name: str | None) -> ModelConfig:
    """The model of a name; None for the only one. `path` is where the configuration is from, for messages.

    Raises:
        ConfigError: there is none of that name, or several and none was named.
    """
    models = {model.name: model for model in config.models}
    if name is None and len(models) == 1:
        return config.models[0]
    if name is None:
        raise ConfigError(f"{path}: has several models; choose one by --model: {', '.join(models)}")
    if name not in models:
        raise ConfigError(f"--model {name}: {path} has no such model; known are {', '.join(models)}")
    return models[name]
