"""Sells the offerings of a scenario at the prices of a catalogue."""

from __future__ import annotations

from dataclasses import replace

from mark.cloud.catalog.entry import SPOT_SUFFIX, Catalog
from mark.domain.offering import Market, Offering
from mark.domain.scenario import Scenario
from mark.errors import ConfigError

__all__ = ["with_prices", "with_spot"]


def with_prices(scenario: Scenario, prices: Catalog) -> Scenario:
    """The scenario at the prices of a catalogue; an offering that it does not sell is left out, with a note.

    Raises:
        ConfigError: it sells none of them.
    """
    sold = {offering.name: prices.sell(offering) for offering in scenario.offerings}
    missing = ", ".join(name for name, offering in sold.items() if offering is None)
    offerings = tuple(offering for offering in sold.values() if offering is not None)
    if not offerings:
        raise ConfigError(
            f"catalogue {prices.name!r} sells none of the offerings of {scenario.name}: {missing}; it knows them by "
            f"the cloud's names, such as {prices.entries[0].instance_type}"
        )
    notes = (prices.price_note, f"left out, for {prices.name} does not sell it: {missing}")
    return replace(
        scenario,
        offerings=offerings,
        capacities={offering.name: scenario.capacities[offering.name] for offering in offerings},
        notes=(*scenario.notes, *(notes if missing else notes[:1])),
    )


def with_spot(scenario: Scenario, prices: Catalog) -> Scenario:
    """The scenario with a spot offering beside each one on demand that has a spot price, at the same capacity.

    How often a spot instance is taken away is not in any catalogue: it counts as never.

    Raises:
        ConfigError: none of them has a spot price.
    """
    added, missing = {}, []
    for offering in scenario.offerings:
        if offering.market is not Market.ON_DEMAND:
            continue
        spot = prices.sell(_on_spot(offering))
        if spot is None:
            missing.append(offering.name)
        else:
            added[spot] = scenario.capacities[offering.name]
    if not added:
        raise ConfigError(f"catalogue {prices.name!r} has no spot price for any offering on demand of {scenario.name}")
    notes = [prices.spot_note, "assumed: spot instances are not taken away"]
    if missing:
        notes.append(f"without a spot price in {prices.name}: {', '.join(missing)}")
    return replace(
        scenario,
        offerings=(*scenario.offerings, *added),
        capacities={**scenario.capacities, **{spot.name: rows_per_s for spot, rows_per_s in added.items()}},
        notes=(*scenario.notes, *notes),
    )


def _on_spot(offering: Offering) -> Offering:
    return replace(offering, name=offering.name + SPOT_SUFFIX, market=Market.SPOT, interruptions_per_hour=0.0)
