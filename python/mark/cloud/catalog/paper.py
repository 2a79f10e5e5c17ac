"""The four models of the MArk paper, as scenarios to plan for.

Source: Zhang, Yu, Wang, Yan: MArk, USENIX ATC 2019, and its published prototype, marcoszh/MArk-Project at 180be0a.
SLOs and the figures of Lambda are the paper's. Capacities are constants of the prototype; a type that it disables for a
model is not offered for it.

What neither of them gives is assumed, and a note of each scenario says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from mark.cloud.catalog.aws_2018 import AWS_2018
from mark.cloud.catalog.entry import Catalog
from mark.cloud.catalog.lookup import look_up
from mark.cloud.catalog.pricing import with_prices
from mark.domain.offering import Market, Offering, Serverless
from mark.domain.scenario import Scenario
from mark.domain.slo import Slo

__all__ = ["SCENARIO_NAMES", "scenario"]

_SL_MIN = 0.98
# The planner of the paper: a plan each minute, for an hour.
_STEP_S = 60.0
_HORIZON_STEPS = 60
# Assumed: the paper says that instances take minutes; 5 is its lead time, 3 what its prototype counts as billed.
_BOOT_S = 5 * 60.0
_BILLED_BOOT_S = 3 * 60.0
# Assumed: as good as no limit. The paper's own account had 42 c5, 10 m5 and 12 p2.
_MAX_COUNT = 100_000
# Assumed: the limit of an AWS account that has asked for no more.
_LAMBDA_CONCURRENCY_MAX = 1000

_NOTES = (
    "capacities are those of the paper's published prototype",
    "assumed: an instance serves 5 minutes after its launch, of which 3 are billed",
    f"assumed: up to {_MAX_COUNT} instances of each type can be had",
)
_NO_LAMBDA = "serverless is not offered: the paper has no figures of this model on Lambda"
_BATCHES_OF_8 = "p2.xlarge is as fast as with the prototype's batches of 8; the paper's own are of 16"


@dataclass(frozen=True, slots=True)
class _PaperModel:
    """What the paper says of one model; capacities are requests per minute of one instance under the SLO."""

    rt_max_ms: float
    capacities_per_minute: dict[str, float]
    serverless: Serverless | None
    notes: tuple[str, ...]


_MODELS = {
    "paper/inception-v3": _PaperModel(
        600,
        {"c5.large": 284, "c5.xlarge": 490, "c5.2xlarge": 771, "c5.4xlarge": 1080, "p2.xlarge": 3320},
        Serverless("lambda", 19.0, 380.0, _LAMBDA_CONCURRENCY_MAX),
        (
            f"assumed: Lambda takes up to {_LAMBDA_CONCURRENCY_MAX} requests at once; its 380 ms are a mean, without "
            "cold starts",
        ),
    ),
    "paper/nasnet": _PaperModel(
        1000,
        {"c5.xlarge": 85, "c5.2xlarge": 135, "c5.4xlarge": 187, "p2.xlarge": 760},
        None,
        (_BATCHES_OF_8, _NO_LAMBDA),
    ),
    "paper/lstm-ptb": _PaperModel(100, {"c5.xlarge": 3100}, None, (_NO_LAMBDA,)),
    "paper/opennmt-ende": _PaperModel(
        1400,
        {"c5.xlarge": 80, "c5.2xlarge": 108, "c5.4xlarge": 150, "p2.xlarge": 640},
        None,
        (
            _BATCHES_OF_8,
            "serverless is not offered: 3100 ms on Lambda break the SLO of 1400 ms",
            "c5.xlarge is offered as in the paper, though the prototype's 40 batches a minute are 1500 ms each",
        ),
    ),
}
SCENARIO_NAMES = tuple(_MODELS)


def scenario(name: str, prices: Catalog = AWS_2018) -> Scenario:
    """The built-in scenario of a name, every type on demand, at the prices of a catalogue.

    Raises:
        ConfigError: there is none of that name; the message has the nearest one. Or the catalogue sells none of its
            types.
    """
    model = look_up("scenario", name, _MODELS)
    unpriced = Scenario(
        name=name,
        slo=Slo(model.rt_max_ms, _SL_MIN),
        offerings=tuple(_offering(instance_type) for instance_type in model.capacities_per_minute),
        capacities={kind: per_minute / 60 for kind, per_minute in model.capacities_per_minute.items()},
        serverless=model.serverless,
        step_s=_STEP_S,
        horizon_steps=_HORIZON_STEPS,
        notes=(*_NOTES, *model.notes),
    )
    return with_prices(unpriced, prices)


def _offering(instance_type: str) -> Offering:
    """What can be rented of a type; its price is the catalogue's to say."""
    return Offering(
        instance_type,
        Market.ON_DEMAND,
        price_usd_per_hour=0.0,
        boot_s=_BOOT_S,
        max_count=_MAX_COUNT,
        launch_overhead_s=_BILLED_BOOT_S,
    )
