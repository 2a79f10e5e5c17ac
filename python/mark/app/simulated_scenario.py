"""What is simulated: a scenario, and how fast its instances really are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mark import _core
from mark.app.parts import capacities, core_profile
from mark.app.records import served_on
from mark.app.serverless import planned_serverless
from mark.cloud.catalog import SCENARIO_NAMES, Catalog, catalog, paper_service, scenario
from mark.cloud.simulated import CloudBehaviour
from mark.config import BatchingConfig, Config, ModelConfig, load_config, model_of
from mark.domain.budget import BudgetCaps
from mark.domain.offering import Market, Offering
from mark.domain.profile import Profile, ProfilePoint
from mark.domain.scenario import Scenario
from mark.errors import ConfigError

__all__ = ["P99_OVER_MEAN", "SERVICE_VARIATION", "SimulatedScenario", "scenario_of_config", "simulated_scenario"]

# Assumed: BATCH (SC 2020) measured less than 0.1 for image models.
SERVICE_VARIATION = 0.05
# A lognormal's 99th percentile over its mean.
P99_OVER_MEAN = math.exp(2.3263 * SERVICE_VARIATION - SERVICE_VARIATION**2 / 2)
PAPER_REQUESTS_PER_MINUTE = 4000.0  # about the mean of the paper's Twitter trace
_MARGIN_MS = 2.0
_WINDOW_S = 5.0  # as the paper samples its load
_WARMUP_S = 1800.0
_PAPER_CATALOG = "aws-2018"
# Assumed: how often the cloud takes a spot instance. The paper interrupts by hand.
_INTERRUPTIONS_PER_HOUR = 0.05
_SPOT_ZONES = ("a", "b", "c")
_POOL_SHARE_MAX = 0.5


@dataclass(frozen=True, slots=True)
class SimulatedScenario:
    """A scenario with what a simulation needs beyond what a plan needs.

    Attributes:
        scenario: promise, offerings on demand, their capacities, serverless.
        profiles: p99 of a batch by its rows, by offering; of `spot` and `standbys`, too.
        rows_max: of one batch, by offering.
        spot: offerings beyond those on demand, for the policies that use them: such as the cloud may take away.
        standbys: burstables that bridge that.
        spare_capacities: requests per second of one instance of `spot` and `standbys`, by offering.
        trace_mean_per_s: what the mean of a trace is brought to; None: traces are taken as they are.
        model: the configuration's model; None for a built-in scenario.
        service_variation: of batch times; 0: every batch takes exactly what its profile says.
        warmup_s_min: simulated before what is counted, at least.
        behaviour: of the cloud; None for what is usual.
        caps: what may be spent; None for whatever it takes. Policies to compare with keep to none.
        served: what a decision log says of it when it begins: all that a replay needs.
    """

    scenario: Scenario
    profiles: Mapping[str, Profile]
    rows_max: Mapping[str, int]
    spot: tuple[Offering, ...] = ()
    standbys: tuple[Offering, ...] = ()
    spare_capacities: Mapping[str, float] = field(default_factory=dict)
    trace_mean_per_s: float | None = None
    model: ModelConfig | None = None
    service_variation: float = SERVICE_VARIATION
    warmup_s_min: float = _WARMUP_S
    behaviour: CloudBehaviour | None = None
    caps: BudgetCaps | None = None
    served: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warmup_s(self) -> float:
        """What is simulated before what is counted: a whole number of steps."""
        return math.ceil(self.warmup_s_min / self.scenario.step_s) * self.scenario.step_s

    @property
    def window_s(self) -> float:
        """The load is observed once in this time."""
        return _WINDOW_S if self.model is None else self.model.controller.window_s

    @property
    def watch_s(self) -> float | None:
        """The promise is watched once in this time; a built-in scenario's is not."""
        return None if self.model is None or not self.model.monitor.enabled else self.model.monitor.every_s

    @property
    def batching(self) -> BatchingConfig:
        """Bounds of the request path, which a built-in scenario leaves as they usually are."""
        return BatchingConfig(margin_ms=_MARGIN_MS) if self.model is None else self.model.batching

    def specs(self, rows_max: Mapping[str, int]) -> dict[str, _core.WorkerSpec]:
        """How workers of each offering may be used, with so many rows at most."""
        return {
            name: _core.WorkerSpec(
                core_profile(profile, self.batching.sizes),
                rows_max=rows_max[name],
                batches_in_flight_max=self.batching.batches_in_flight_max,
            )
            for name, profile in self.profiles.items()
        }


def simulated_scenario(name: str, model: str | None = None, catalog_name: str | None = None) -> SimulatedScenario:
    """A built-in scenario by its name, at the prices of a catalogue, or a model of a configuration file.

    Raises:
        ConfigError: there is no such thing, or it does not say enough to simulate.
    """
    if name in SCENARIO_NAMES:
        if model is not None:
            raise ConfigError(f"--model {model}: {name} is one model; leave --model out")
        return _of_paper(name, catalog(catalog_name or _PAPER_CATALOG))
    if catalog_name is not None:
        raise ConfigError(f"--catalog {catalog_name}: {name} has prices of its own; it is for built-in scenarios")
    path = Path(name)
    if not path.exists() and path.suffix not in {".yaml", ".yml"}:
        try:
            scenario(name)  # it knows the nearest name
        except ConfigError as error:
            raise ConfigError(f"{error}; nor is there a file of that name") from error
    return _of_file(name, model)


def _of_paper(name: str, prices: Catalog) -> SimulatedScenario:
    service, planned = paper_service(name), scenario(name, prices)
    profiles = {
        offering: Profile(tuple(ProfilePoint(rows, mean_ms * P99_OVER_MEAN) for rows, mean_ms in points))
        for offering, points in service.batch_means_ms.items()
    }
    rates = dict(planned.capacities)
    for offering in service.extra:
        rates[offering.name] = 1000.0 / service.batch_means_ms[offering.name][0][1]
    # What cannot answer a single request in time must not be planned with.
    slow = [each for each in rates if profiles[each].points[0].latency_ms + _MARGIN_MS > planned.slo.rt_max_ms]
    rates |= dict.fromkeys(slow, 0.0)
    offerings = (*planned.offerings, *(each for each in service.extra if each.market is not Market.BURSTABLE))
    spot = tuple(each for offering in planned.offerings for each in _spot_of(offering, prices))
    for each in spot:
        plain = each.name.partition("/")[0]
        rates[each.name], profiles[each.name] = rates[plain], profiles[plain]
    standbys = tuple(each for each in service.extra if each.market is Market.BURSTABLE)
    slo_ns = planned.slo.rt_max_ns - round(_MARGIN_MS * 1e6)
    for each in standbys:  # by its p99, not its mean: what bridges a gap has nothing behind it
        profile = profiles[each.name]
        rates[each.name] = _core.capacity_rows_per_s(core_profile(profile), slo_ns, profile.points[-1].rows)
    kept = (
        planned.notes if service.serverless is None else [note for note in planned.notes if "not offered" not in note]
    )
    notes = [*kept, *service.notes, *_NOTES]
    if slow:
        notes.append(f"not used, for a single request takes longer than the SLO allows: {', '.join(slow)}")
    return SimulatedScenario(
        scenario=replace(
            planned,
            offerings=offerings,
            capacities={offering.name: rates[offering.name] for offering in offerings},
            serverless=service.serverless,
            notes=tuple(notes),
        ),
        profiles=profiles,
        rows_max={offering: profile.points[-1].rows for offering, profile in profiles.items()},
        spot=spot,
        standbys=standbys,
        spare_capacities={each.name: rates[each.name] for each in (*spot, *standbys)},
        trace_mean_per_s=PAPER_REQUESTS_PER_MINUTE / 60 * service.twitter_scale,
        served={"scenario": name, "catalog": prices.name},
    )


_NOTES = (
    f"assumed: batch times vary by {SERVICE_VARIATION:.0%}; profiles are their 99th percentile",
    f"assumed: a spot instance is taken every {1 / _INTERRUPTIONS_PER_HOUR:.0f} hours, half of a zone's pool at once",
    "the run is preceded by half an hour at its first rate, which is not counted",
)

_LOCAL_NOTE = "offerings are processes of this machine: ready after boot_s, billed by the second from launch"

_FUNCTIONS_NOTE = "assumed: a cold function takes a second longer than a warm one"


def _spot_of(offering: Offering, prices: Catalog) -> list[Offering]:
    """The offering on spot in each zone, each zone a pool of its own; nothing where it has no spot price."""
    entry = prices.entry(offering.name)
    if entry is None or entry.spot_high_usd_per_hour is None:
        return []
    return [
        replace(
            offering,
            name=f"{offering.name}/spot-{zone}",
            market=Market.SPOT,
            price_usd_per_hour=entry.spot_high_usd_per_hour,
            interruptions_per_hour=_INTERRUPTIONS_PER_HOUR,
            pool=f"{offering.name}@{zone}",
            pool_share_max=_POOL_SHARE_MAX,
        )
        for zone in _SPOT_ZONES
    ]


def _of_file(path: str, name: str | None) -> SimulatedScenario:
    return scenario_of_config(load_config(Path(path)), path, name)


def scenario_of_config(config: Config, path: str, name: str | None = None) -> SimulatedScenario:
    """A model of a configuration that was read from `path`.

    Raises:
        ConfigError: it does not say enough to simulate.
    """
    model = model_of(path, config, name)
    missing = [offering.name for offering in config.offerings if offering.name not in model.profiles]
    if model.source is None or missing:
        lacks = f"has no profile for {', '.join(missing)}" if missing else "is served by workers that are not rented"
        raise ConfigError(f"{path}: model {model.name!r} {lacks}; a simulation needs a profile for each offering")
    profiles, serverless = model.as_profiles(), planned_serverless(path, model)
    offered = tuple(offering.as_offering() for offering in config.offerings)
    rates = capacities(model, profiles)
    rented = tuple(each for each in offered if each.market is Market.ON_DEMAND)
    others = tuple(each for each in offered if each.market is not Market.ON_DEMAND)
    return SimulatedScenario(
        scenario=Scenario(
            name=f"{model.name} of {path}",
            slo=model.as_slo(),
            offerings=rented or offered,
            capacities={each.name: rates[each.name] for each in rented or offered},
            serverless=serverless,
            step_s=model.controller.step_s,
            horizon_steps=model.controller.horizon_steps,
            notes=(_NOTES[0], _NOTES[2], _LOCAL_NOTE, *(() if serverless is None else (_FUNCTIONS_NOTE,))),
        ),
        profiles=profiles,
        rows_max=dict.fromkeys(profiles, model.batching.rows_max),
        spot=tuple(each for each in others if each.name not in config.standbys),
        standbys=tuple(each for each in others if each.name in config.standbys),
        spare_capacities=rates,
        model=model,
        caps=None if config.budget is None else config.budget.as_caps(),
        # They are processes of this machine, as `mark.cloud.local` rents and `domain.cost` bills them.
        behaviour=CloudBehaviour(
            boot_variation=0.0,
            billed_s_min=0.0,
            notice_s=config.spot.notice_s,
            taken_share=config.spot.taken_share,
            sold_out_after_s=config.spot.sold_out_after_s,
        ),
        served=served_on(config, model),
    )
