"""What `mark plan` is asked: a scenario, built in or from a configuration file, and what runs already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mark import app
from mark.cloud.catalog import SCENARIO_NAMES, catalog, scenario, with_prices, with_spot
from mark.config import Config, load_config, model_of
from mark.domain.fleet_plan import RunningGroup
from mark.domain.offering import Offering
from mark.domain.scenario import Scenario
from mark.errors import ConfigError

__all__ = ["running_groups", "scenario_of"]

_PAPER_CATALOG = "aws-2018"


def scenario_of(config: str, model: str | None, catalog_name: str | None, *, spot: bool) -> Scenario:
    """The scenario of a built-in name or of a configuration file.

    Args:
        config: the name or the path.
        model: which of the file's models; None where it has but one.
        catalog_name: whose prices count; None for those of the file, or of the paper.
        spot: whether to offer the types of the catalogue on spot, too.

    Raises:
        ConfigError: there is no such thing, or it does not say enough to plan.
    """
    if config in SCENARIO_NAMES:
        if model is not None:
            raise ConfigError(f"--model {model}: {config} is one model; leave --model out")
        prices = catalog(catalog_name or _PAPER_CATALOG)
        asked = scenario(config, prices)
        return with_spot(asked, prices) if spot else asked
    if spot and catalog_name is None:
        raise ConfigError("--spot takes its prices from a catalogue: name one by --catalog, or offer spot in the file")
    asked = _of_file(config, model)
    if catalog_name is None:
        return asked
    prices = catalog(catalog_name)
    asked = with_prices(asked, prices)
    return with_spot(asked, prices) if spot else asked


def running_groups(running: Sequence[str], offerings: Sequence[Offering]) -> tuple[RunningGroup, ...]:
    """What runs, from options of the form name=count.

    Raises:
        ConfigError: naming the option that says what cannot be.
    """
    limits = {offering.name: offering.max_count for offering in offerings}
    counts: dict[str, int] = {}
    for option in running:
        name, _, written = option.rpartition("=")
        if not re.fullmatch(r"0*[1-9][0-9]{0,17}", written) or not name:
            raise ConfigError(f"--running {option}: must have the form type=count, with a positive whole count")
        if name not in limits:
            raise ConfigError(f"--running {option}: {name!r} is not offered; known are {', '.join(limits)}")
        if name in counts:
            raise ConfigError(f"--running {option}: {name} is given twice; add the counts up")
        counts[name] = int(written)
        if counts[name] > limits[name]:
            raise ConfigError(f"--running {option}: no more than max_count {limits[name]} can exist")
    return tuple(RunningGroup(name, count) for name, count in counts.items())


def _of_file(config: str, model: str | None) -> Scenario:
    path = Path(config)
    if not path.exists() and path.suffix not in {".yaml", ".yml"}:
        try:
            return scenario(config)  # it knows the nearest name
        except ConfigError as error:
            raise ConfigError(f"{error}; nor is there a file of that name") from error
    return _scenario_of(config, load_config(path), model)


def _scenario_of(path: str, config: Config, name: str | None) -> Scenario:
    model = model_of(path, config, name)
    if model.source is None:
        raise ConfigError(f"{path}: model {model.name!r} is served by workers that are not rented; nothing to plan")
    missing = [offering.name for offering in config.offerings if offering.name not in model.profiles]
    if missing:
        raise ConfigError(
            f"{path}: model {model.name!r} has no profile for {', '.join(missing)}: put what was measured under "
            "profiles, or the file that `mark profile` writes; `mark serve` measures only for itself"
        )
    return Scenario(
        name=f"{model.name} of {path}",
        slo=model.as_slo(),
        offerings=tuple(offering.as_offering() for offering in config.offerings),
        capacities=app.capacities(model, model.as_profiles()),
        serverless=app.planned_serverless(path, model),
        step_s=model.controller.step_s,
        horizon_steps=model.controller.horizon_steps,
    )
