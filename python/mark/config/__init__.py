"""One YAML file, checked before anything starts.

An unknown key is refused with its path, its line and the nearest known name. Nothing below `app` sees the whole
configuration.
"""

from __future__ import annotations

from mark.config.choice import model_of
from mark.config.loading import load_config, parse_config
from mark.config.sections import BatchingConfig, Config, ControllerConfig, ModelConfig, OfferingConfig
from mark.config.serverless import BreakerConfig, ServerlessConfig

__all__ = [
    "BatchingConfig",
    "BreakerConfig",
    "Config",
    "ControllerConfig",
    "ModelConfig",
    "OfferingConfig",
    "ServerlessConfig",
    "load_config",
    "model_of",
    "parse_config",
]
