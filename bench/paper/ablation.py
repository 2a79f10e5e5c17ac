"""What each of the paper's ideas saves: the same load without it. The paper has no ablation."""

from __future__ import annotations

from dataclasses import dataclass

from bench.paper.runs import Extent, on_twitter
from bench.paper.table import Table

__all__ = ["Saving", "ablation_table", "savings_of"]

# The idea, the policy with it, and the one without it.
_IDEAS = (
    ("batching", "mark", "mark-no-batching"),
    ("forecast", "mark", "mark-no-forecast"),
    ("serverless", "mark", "mark-no-serverless"),
    ("spot", "mark-spot", "mark"),
)


@dataclass(frozen=True, slots=True)
class Saving:
    """An idea on a model: dollars and attainment with it and without it."""

    model: str
    idea: str
    with_usd: float
    without_usd: float
    with_attainment: float
    without_attainment: float

    @property
    def share(self) -> float:
        """Of the dollars without it, saved by it."""
        return 1 - self.with_usd / self.without_usd


def savings_of(extent: Extent) -> list[Saving]:
    """All ideas on all models."""
    found = []
    for model in extent.models:
        for idea, having, lacking in _IDEAS:
            with_it, without = (on_twitter(model, policy, extent.hours) for policy in (having, lacking))
            usd = with_it.cost.total_usd, without.cost.total_usd
            found.append(Saving(model, idea, *usd, with_it.attainment, without.attainment))
    return found


def ablation_table(savings: list[Saving]) -> Table:
    """A row for each model and idea."""
    rows = [
        (
            saving.model,
            saving.idea,
            f"{saving.with_usd:.2f}",
            f"{saving.without_usd:.2f}",
            f"{100 * saving.share:.0f}",
            f"{100 * saving.with_attainment:.2f}",
            f"{100 * saving.without_attainment:.2f}",
        )
        for saving in savings
    ]
    columns = ("model", "idea", "with it $", "without $", "saved, %", "in time with it, %", "without, %")
    sentences = (
        "Batching saves most where accelerators are worth their price with it; Inception-v3 is nearly as cheap one by "
        "one on c5.large, and the prototype has no batches for LSTM-ptb at all, so that nothing changes.",
        "A forecast saves next to nothing where functions carry what was not foreseen: the load of the last minute is "
        "as good a guess on this trace. Without functions (NASNet, OpenNMT) going without it looks cheap and misses "
        "one request in ten: the forecast is what keeps the promise there, at more than three times the price.",
        "Serverless saves most: without it, instances for four times the load stand by for bursts. For NASNet and "
        "OpenNMT there is none that meets the SLO, so that nothing changes.",
        "Spot saves a third to two thirds at an interruption every 20 hours (assumed), most where instances stand by.",
    )
    return Table("What each idea saves", columns, rows, sentences)
