"""The answer of `mark profile`: what was measured, how far to batch under the promise, and what a row costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from mark.cloud.catalog import catalog
from mark.cloud.catalog.lookup import look_up
from mark.config import ModelConfig, OfferingConfig
from mark.domain.cost import usd_per_million_rows
from mark.domain.measured_profile import BatchMeasurement, MeasuredModel, MeasuredProfile, WorkerKind
from mark.policies.batching_advice import BatchingAdvice, batching_advice
from mark.worker.measuring import Effort

__all__ = ["PricedType", "ProfileReport", "priced_type"]


@dataclass(frozen=True, slots=True)
class PricedType:
    """What a machine can be rented as: a name, a market and a price."""

    name: str
    market: str
    price_usd_per_hour: float


def priced_type(catalog_name: str, instance_type: str) -> list[PricedType]:
    """A type of a catalogue, on demand and, where it has a price there, on spot.

    Raises:
        ConfigError: there is no such catalogue, or it has no such type.
    """
    prices = catalog(catalog_name)
    entries = {entry.instance_type: entry for entry in prices.entries}
    entry = look_up(f"type in catalogue {catalog_name}", instance_type, entries)
    market = "on_demand" if entry.burstable is None else "burstable"
    priced = [PricedType(f"{catalog_name}/{instance_type}", market, entry.on_demand_usd_per_hour)]
    if entry.spot_high_usd_per_hour is not None:
        priced.append(PricedType(f"{catalog_name}/{instance_type}", "spot", entry.spot_high_usd_per_hour))
    return priced


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """What was measured of a model, under its promise.

    Attributes:
        model: as the configuration has it.
        measured: on one kind of worker or more.
        offerings: of the configuration, as they were measured.
        priced: further prices of the machine that it was measured on: they count for workers without a share of it.
        effort: how well it was measured.
    """

    model: ModelConfig
    measured: MeasuredModel
    offerings: Sequence[OfferingConfig]
    priced: Sequence[PricedType]
    effort: Effort

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return {
            "model": self.measured.name,
            "version": self.measured.version,
            "signature_hash": self.measured.signature_hash,
            "measured_at": self.measured.measured_at,
            "machine": self.measured.machine,
            "slo": {"rt_max_ms": self.model.slo.rt_max_ms, "sl_min": self.model.slo.sl_min},
            "margin_ms": self.model.batching.margin_ms,
            "rows_max": self.model.batching.rows_max,
            **({"sizes": self.model.batching.sizes} if self.model.batching.sizes else {}),
            "workers": [self._worker_as_dict(profile) for profile in self.measured.profiles],
        }

    def as_tables(self) -> Iterator[tuple[Table, list[str]]]:
        """For a person: a table of batches for each kind of worker and what follows from it, then one of prices."""
        slo = self.model.slo
        for profile in self.measured.profiles:
            advice = self._advice(profile)
            title = f"{self.model.name} on {profile.worker}: {slo.sl_min:.4g} of answers within {slo.rt_max_ms:g} ms"
            yield self._table_of(profile, title), self._lines_of(profile, advice)
            yield self._prices(profile, advice), []

    def _advice(self, profile: MeasuredProfile) -> BatchingAdvice:
        batching = self.model.batching
        return batching_advice(
            profile.profile, self.model.as_slo(), batching.margin_ms, batching.rows_max, batching.sizes
        )

    def _types_of(self, profile: MeasuredProfile) -> list[PricedType]:
        offered = [
            PricedType(each.name, each.market.value, each.price_usd_per_hour)
            for each in (config.as_offering() for config in self.offerings)
            if WorkerKind.of(each) == profile.worker
        ]
        return [*offered, *(self.priced if profile.worker.cpu_share == 1 else ())]

    def _table_of(self, profile: MeasuredProfile, title: str) -> Table:
        table = Table(title=Text(title), title_justify="left")
        for heading in ("rows", "p50 ms", "p95 ms", "p99 ms", "p99 is within", "profile ms", "rows/s", "runs"):
            table.add_column(heading, justify="right")
        for batch, point in zip(profile.batches, profile.profile.points, strict=True):
            table.add_row(
                str(batch.rows),
                *(f"{value:.2f}" for value in (batch.p50_ms, batch.p95_ms, batch.p99_ms)),
                _interval(batch),
                f"{point.latency_ms:.2f}",
                f"{1e3 * batch.rows / point.latency_ms:.1f}",
                str(batch.runs),
            )
        return table

    def _lines_of(self, profile: MeasuredProfile, advice: BatchingAdvice) -> list[str]:
        first = profile.batches[0]
        # The first size is one row, unless batches are padded: then one row is sent as that.
        median_per_s = 1e3 * (1 if self.model.batching.sizes else first.rows) / first.p50_ms
        lines = [
            f"one row at a time: {advice.unbatched_rows_per_s:.1f} rows/s by the p99, {median_per_s:.1f} by the median"
        ]
        if advice.n_batch is not None:
            lines.append(
                f"N_batch {advice.n_batch}, W_batch {advice.w_batch_ms:.1f} ms; at full load in batches of "
                f"{advice.n_sustained}: {advice.capacity_rows_per_s:.1f} rows/s"
            )
        if sizes := self.model.batching.sizes:
            lines.append(f"batches are padded to {', '.join(map(str, sizes))} rows, and reckoned with as that")
        lines.append(advice.verdict)
        vague = [str(batch.rows) for batch in profile.batches if not self.effort.is_settled(batch)]
        if vague:
            lines.append(
                f"the p99 of {', '.join(vague)} rows is not known within {self.effort.p99_tolerance:.0%}: measure on "
                "an otherwise idle machine, or longer with --seconds"
            )
        if self.priced and profile.worker.cpu_share < 1:
            lines.append("a worker with a share of this machine stands for no type of a catalogue")
        return lines

    def _prices(self, profile: MeasuredProfile, advice: BatchingAdvice) -> Table:
        table = Table()
        table.add_column("offering", overflow="fold")
        table.add_column("market", no_wrap=True)
        for heading in ("$/h", "rows/s", "$ per million"):
            table.add_column(heading, justify="right", no_wrap=True)
        for priced in self._types_of(profile):
            usd = usd_per_million_rows(priced.price_usd_per_hour, advice.capacity_rows_per_s)
            table.add_row(
                Text(priced.name),
                priced.market,
                f"{priced.price_usd_per_hour:.4f}",
                f"{advice.capacity_rows_per_s:.1f}",
                "-" if usd is None else f"{usd:.4f}",
            )
        return table

    def _worker_as_dict(self, profile: MeasuredProfile) -> dict[str, Any]:
        advice = self._advice(profile)
        return {
            "device": profile.worker.device,
            "threads": profile.worker.threads,
            "cpu_share": profile.worker.cpu_share,
            "batches": [
                {
                    "rows": batch.rows,
                    "runs": batch.runs,
                    "p50_ms": batch.p50_ms,
                    "p95_ms": batch.p95_ms,
                    "p99_ms": batch.p99_ms,
                    "p99_low_ms": batch.p99_low_ms,
                    "p99_high_ms": batch.p99_high_ms,
                    "settled": self.effort.is_settled(batch),
                    "latency_ms": point.latency_ms,
                    "rows_per_s": 1e3 * batch.rows / point.latency_ms,
                }
                for batch, point in zip(profile.batches, profile.profile.points, strict=True)
            ],
            "meets_slo": advice.meets_slo,
            "unbatched_rows_per_s": advice.unbatched_rows_per_s,
            "n_batch": advice.n_batch,
            "w_batch_ms": advice.w_batch_ms,
            "n_sustained": advice.n_sustained,
            "capacity_rows_per_s": advice.capacity_rows_per_s,
            "batching_pays": advice.batching_pays,
            "verdict": advice.verdict,
            "offerings": [
                {
                    "name": priced.name,
                    "market": priced.market,
                    "price_usd_per_hour": priced.price_usd_per_hour,
                    "capacity_rows_per_s": advice.capacity_rows_per_s,
                    "usd_per_million_rows": usd_per_million_rows(priced.price_usd_per_hour, advice.capacity_rows_per_s),
                }
                for priced in self._types_of(profile)
            ],
        }


def _interval(batch: BatchMeasurement) -> str:
    high = "?" if batch.p99_high_ms is None else f"{batch.p99_high_ms:.2f}"
    return f"{batch.p99_low_ms:.2f} - {high}"
