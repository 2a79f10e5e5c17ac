"""Looks at one model once a second: what the page and `mark top` show of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mark._core import Outcome, Statistics
from mark.controlplane.error_budget import WINDOWS_S, ErrorBudget
from mark.domain.cost import usd_per_hour_by_market
from mark.domain.fleet import Instance, InstanceState, capacity_ready_per_s
from mark.domain.offering import Offering
from mark.domain.record import Record, RecordKind
from mark.domain.sample import ModelSample
from mark.live.peak_so_far import PeakSoFar
from mark.live.recent_latency import RecentLatency
from mark.live.recorder import MemoryRecorder
from mark.live.request_path import promised
from mark.live.server import ServedModel

__all__ = ["Moment", "Sampler"]

_PLANS = (RecordKind.PLAN,)
_SIZED = (RecordKind.PLAN, RecordKind.ADDITION, RecordKind.BRIDGE)
_SERVERLESS = "serverless"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a look is taken, and what all models share then.

    Attributes:
        now_ns: by the steady clock.
        unix_s: in seconds since 1970.
        offerings: what can be rented, at the prices of now.
        usd_by_model: what each model has cost so far.
    """

    now_ns: int
    unix_s: float
    offerings: Sequence[Offering]
    usd_by_model: Mapping[str, float]


class Sampler:
    """Makes the samples of one model.

    Thread safety: belongs to the router's event loop.
    """

    def __init__(self, model: ServedModel, recorder: MemoryRecorder, peak: PeakSoFar | None) -> None:
        """Make it.

        Args:
            model: that it looks at.
            recorder: has its plans.
            peak: reckons what to compare the dollars with; None where nothing is rented.
        """
        self._model = model
        self._recorder = recorder
        self._peak = peak
        self._rates = _Rates()
        self._latency = RecentLatency()
        self._budget = ErrorBudget(model.slo.sl_min)
        self._plans: tuple[Record | None, Record | None] = (None, None)

    @property
    def budget(self) -> ErrorBudget:
        """As of the last look."""
        return self._budget

    def sample(self, at: Moment) -> ModelSample:
        """Look at the model now."""
        model, name = self._model, self._model.signature.name
        statistics = model.dispatch.statistics()
        rows_per_s, requests_per_s = self._rates.look(at.now_ns, statistics)
        self._budget.observe(at.now_ns, *promised(statistics))
        plan = self._last_plan()
        sized = self._recorder.last(name, _SIZED)
        instances = [] if model.control is None else _alive(model.control.instances)
        offerings = {offering.name: offering for offering in at.offerings}
        return ModelSample(
            unix_s=at.unix_s,
            model=name,
            load_per_s=rows_per_s,
            requests_per_s=requests_per_s,
            forecast=None if plan is None else plan.snapshot.forecast,
            forecast_unix_s=0.0 if plan is None else plan.unix_s,
            foreseen_per_s=_foreseen(self._plans[0], at.unix_s),
            capacity_planned_per_s=0.0 if sized is None else sized.snapshot.capacity_per_s,
            capacity_ready_per_s=0.0
            if model.control is None
            else capacity_ready_per_s(instances, model.control.draining, model.control.capacities),
            instances=self._by_market(instances, offerings),
            latency_ms=self._latency.look(at.now_ns, statistics.latency_buckets()),
            rt_max_ms=model.slo.rt_max_ms,
            sl_min=model.slo.sl_min,
            attainment={window_s: self._budget.attainment(window_s) for window_s in WINDOWS_S},
            burn_rate={window_s: self._budget.burn_rate(window_s) for window_s in WINDOWS_S},
            error_budget_left=self._budget.left(),
            queued=statistics.queued_requests,
            in_flight=statistics.in_flight_requests,
            usd_per_hour=self._usd_per_hour(instances, offerings),
            usd_total=at.usd_by_model.get(name, 0.0),
            usd_peak_sized=None
            if self._peak is None
            else self._peak.look(at.now_ns, statistics.submitted_rows, at.offerings),
        )

    def _last_plan(self) -> Record | None:
        last = self._recorder.last(self._model.signature.name, _PLANS)
        if last is not None and last is not self._plans[1]:
            self._plans = (self._plans[1], last)
        return last

    def _by_market(self, instances: Sequence[Instance], offerings: Mapping[str, Offering]) -> dict[str, dict[str, int]]:
        draining = frozenset() if self._model.control is None else self._model.control.draining
        counts: dict[str, Counter[str]] = {}
        for instance in instances:
            state = "draining" if instance.id in draining else instance.state.value
            counts.setdefault(offerings[instance.offering].market.value, Counter())[state] += 1
        if self._model.bursts is not None:
            use = self._model.bursts.use()
            counts[_SERVERLESS] = Counter(ready=use.warm, pending=use.alive - use.warm)
        return {market: dict(counts[market]) for market in sorted(counts)}

    def _usd_per_hour(self, instances: Sequence[Instance], offerings: Mapping[str, Offering]) -> dict[str, float]:
        usd = usd_per_hour_by_market(instances, offerings)
        if self._model.bursts is not None:
            usd[_SERVERLESS] = self._model.bursts.spent_usd
        return usd


class _Rates:
    """What was counted since the last look, per second."""

    def __init__(self) -> None:
        self._before: tuple[int, int, dict[Outcome, int]] | None = None

    def look(self, now_ns: int, statistics: Statistics) -> tuple[float, dict[str, float]]:
        """Rows offered, and requests that ended by outcome, those left out that never came to pass."""
        ended = {outcome: statistics.ended(outcome) for outcome in Outcome}
        before_ns, rows, ended_before = self._before or (now_ns, statistics.submitted_rows, ended)
        self._before = (now_ns, statistics.submitted_rows, ended)
        since_s = max(now_ns - before_ns, 1) / 1e9
        rates = {
            # One that a function took over had ended otherwise, and then had not.
            outcome.name.lower(): max(0, count - ended_before[outcome]) / since_s
            for outcome, count in ended.items()
            if count or outcome is Outcome.ANSWERED
        }
        return (statistics.submitted_rows - rows) / since_s, rates


def _alive(instances: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in instances if instance.state is not InstanceState.GONE]


def _foreseen(plan: Record | None, unix_s: float) -> dict[str, float]:
    """What a plan expected of an instant, as far as it looked ahead."""
    forecast = None if plan is None else plan.snapshot.forecast
    if plan is None or forecast is None:
        return {}
    step = int((unix_s - plan.unix_s) / forecast.step_s)
    lines = {"bound": forecast.rates_per_s}
    lines |= {f"{level:g}": rates for level, rates in zip(forecast.levels, forecast.quantiles_per_s, strict=True)}
    return {name: rates[step] for name, rates in lines.items() if 0 <= step < len(rates)}
