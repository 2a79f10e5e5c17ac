"""Answers `mark.v1.Control`: what the router serves, on what, how well, and at what cost."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict
from typing import Any

from mark import __version__
from mark._core import BurstVerdict, Outcome
from mark.controlplane.spending import Spending
from mark.domain.bill import Bill
from mark.domain.cost import instance_cost_usd, usd_per_hour_by_market
from mark.domain.fleet import Instance, InstanceState, capacity_ready_per_s
from mark.domain.offering import Offering
from mark.domain.record import RecordKind, RecordSnapshot
from mark.domain.sample import ModelSample
from mark.domain.story import story_of
from mark.errors import CloudError, InvalidRequest, ModelNotFound
from mark.live.accounts import Accounts
from mark.live.burst_loop import BurstLoop
from mark.live.chaos import interrupt
from mark.live.record_file import line_of
from mark.live.server import InferenceServer, ServedModel
from mark.live.telling import Telling
from mark.ports import Clock, Led
from mark.protocol import messages

__all__ = ["ControlService"]

_DECISIONS = (RecordKind.PLAN, RecordKind.ADDITION)
_VIOLATIONS = tuple(outcome for outcome in Outcome if outcome not in {Outcome.ANSWERED, Outcome.CANCELLED})


class ControlService:
    """Builds the status of a router from what its parts say of themselves.

    Thread safety: belongs to the router's event loop.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        inference: InferenceServer,
        telling: Telling,
        clock: Clock,
        accounts: Accounts,
        ingress_counts: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._models = models
        self._inference = inference
        self._telling = telling
        self._clock = clock
        self._accounts = accounts
        self._cloud = accounts.cloud
        self._ingress_counts = ingress_counts
        self._offerings = {offering.name: offering for offering in self._cloud.offerings()}
        self._began_ns = clock.now_ns()

    async def get_status(self) -> Any:
        """The StatusResponse of this moment."""
        now_ns, bill = self._clock.now_ns(), self._accounts.bill()
        return messages.StatusResponse(
            version=__version__,
            uptime_s=(now_ns - self._began_ns) / 1e9,
            draining=self._inference.draining,
            following=isinstance(self._cloud, Led) and not self._leads(self._cloud),
            models=[self._model(model, now_ns, bill) for model in self._models.values()],
            ingress=self._ingress_counts(),
        )

    async def get_bill(self) -> Any:
        """The BillResponse of this moment."""
        bill, caps = await self._accounts.ask_bill(), self._accounts.caps
        return messages.BillResponse(
            lines=[messages.BillLine(**asdict(line)) for line in bill.lines],
            usd_today=bill.of_day(self._accounts.unix_ns()).usd,
            max_usd_per_hour=None if math.isinf(caps.usd_per_hour) else caps.usd_per_hour,
            max_usd_per_day=None if math.isinf(caps.usd_per_day) else caps.usd_per_day,
            usd_per_hour=[
                messages.UsdPerHour(model=name, market=market, usd_per_hour=usd)
                for name, model in self._models.items()
                if model.control is not None
                for market, usd in usd_per_hour_by_market(model.control.instances, self._offerings).items()
            ],
        )

    async def interrupt(self, request: Any) -> Any:
        """The InterruptResponse to a request to take spot instances away."""
        return await interrupt(request, self._cloud, self._models, self._clock)

    async def tune(self, request: Any) -> Any:
        """Set what the TuneRequest says, and answer with every knob as it is then.

        Raises:
            ModelNotFound: no such model is served.
            InvalidRequest: see `Tuner.change`.
        """
        model = self._models.get(request.model)
        if model is None or model.tuner is None:
            raise ModelNotFound(f"model: unknown model {request.model!r}; served are {', '.join(sorted(self._models))}")
        if request.settings:
            model.tuner.change(dict(request.settings))
        return messages.TuneResponse(settings=model.tuner.settings())

    async def get_story(self, request: Any) -> Any:
        """The records that the StoryRequest asks for.

        Raises:
            InvalidRequest: there is no such record, or it is kept no more.
        """
        _, records = self._telling.recorder.since(0)
        story = story_of([each for each in records if request.model in {"", each.model}], request.id)
        if not story:
            raise InvalidRequest(f"id: no record {request.id!r} is kept; the decision log may have it: --log")
        return messages.StoryResponse(records=[line_of(record) for record in story])

    async def watch(self, request: Any) -> AsyncGenerator[Any, None]:
        """The WatchEvents of what was and of what comes, until the router stops.

        Raises:
            Overloaded: too many look on already.
        """
        async with contextlib.aclosing(self._telling.told(request.after)) as told:
            async for tidings in told:
                for each in tidings:
                    yield messages.WatchEvent(id=each.id, kind=each.kind, json=each.data)

    @staticmethod
    def _leads(cloud: Led) -> bool:
        try:
            return cloud.leads()
        except CloudError:  # it has lost the lead: the control loops end the router, and say why
            return False

    def _model(self, model: ServedModel, now_ns: int, bill: Bill) -> Any:
        statistics = model.dispatch.statistics()
        decision = self._telling.recorder.last(model.signature.name, _DECISIONS)
        seen = RecordSnapshot() if decision is None else decision.snapshot
        instances = [] if model.control is None else model.control.instances
        draining = frozenset() if model.control is None else model.control.draining
        capacities = {} if model.control is None else model.control.capacities
        alive = [instance for instance in instances if instance.state is not InstanceState.GONE]
        return messages.ModelStatus(
            name=model.signature.name,
            version=model.signature.version,
            slo=messages.SloStatus(rt_max_ms=model.slo.rt_max_ms, sl_min=model.slo.sl_min),
            attainment=statistics.attainment,
            submitted=statistics.submitted_requests,
            admitted=statistics.admitted_requests,
            ended={outcome.name.lower(): statistics.ended(outcome) for outcome in Outcome},
            violations=sum(statistics.ended(outcome) for outcome in _VIOLATIONS),
            latency_ms=messages.LatencyStatus(
                **{name: statistics.latency_quantile_ns(q) / 1e6 for name, q in _QUANTILES.items()}
            ),
            batches=statistics.dispatched_batches,
            rows_per_batch=statistics.dispatched_rows / max(1, statistics.dispatched_batches),
            padded_rows=statistics.padded_rows,
            queued=statistics.queued_requests,
            in_flight=statistics.in_flight_requests,
            load_per_s=seen.load_per_s,
            forecast_per_s=0.0 if seen.forecast is None else max(seen.forecast.rates_per_s, default=0.0),
            capacity_per_s=seen.capacity_per_s,
            capacity_ready_per_s=capacity_ready_per_s(alive, draining, capacities),
            last_decision="" if decision is None else decision.reason,
            instances=[self._instance(instance, instance.id in draining, now_ns) for instance in alive],
            cost_usd=bill.of_model(model.signature.name).usd,
            workers=[
                messages.WorkerStatus(
                    address=model.dispatch.address_of(each.worker),
                    correction=each.correction,
                    ejected=each.ejected,
                    batches=each.batches,
                )
                for each in statistics.workers
            ],
            ejections=statistics.ejections,
            cost_usd_per_hour=sum(usd_per_hour_by_market(alive, self._offerings).values()),
            bursts=None if model.bursts is None else _bursts(model.bursts),
            budget=_budget(None if model.control is None else model.control.spending),
            **_of_sample(self._telling.watch.last.get(model.signature.name)),
        )

    def _instance(self, instance: Instance, draining: bool, now_ns: int) -> Any:
        offering: Offering = self._offerings[instance.offering]
        return messages.InstanceStatus(
            id=instance.id,
            offering=instance.offering,
            market=offering.market.value,
            state="draining" if draining else instance.state.value,
            address=instance.address or "",
            age_s=(now_ns - instance.launched_at_ns) / 1e9,
            cost_usd=instance_cost_usd(instance, offering, now_ns),
            taken_in_s=None if instance.taken_at_ns is None else (instance.taken_at_ns - now_ns) / 1e9,
        )


def _budget(spending: Spending | None) -> Any:
    if spending is None:
        return None
    return messages.BudgetStatus(stage=spending.stage.name.lower(), allowed_usd_per_hour=spending.allowed_usd_per_hour)


def _of_sample(sample: ModelSample | None) -> dict[str, Any]:
    """What only those know that look every second."""
    if sample is None:
        return {}
    forecast = sample.forecast
    return {
        "windows": [
            messages.WindowStatus(window_s=window_s, attainment=share, burn_rate=sample.burn_rate[window_s])
            for window_s, share in sorted(sample.attainment.items())
        ],
        "error_budget_left": sample.error_budget_left,
        "forecast": None
        if forecast is None
        else messages.ForecastStatus(
            step_s=forecast.step_s,
            rates_per_s=forecast.rates_per_s[sample.step_now :],
            forecaster=forecast.forecaster,
            fallback=forecast.fallback,
        ),
        "cost_usd_peak_sized": sample.usd_peak_sized,
    }


def _bursts(bursts: BurstLoop) -> Any:
    statistics, use = bursts.statistics(), bursts.use()
    return messages.BurstStatus(
        verdicts={verdict.name.lower(): statistics.decided(verdict) for verdict in BurstVerdict},
        ended={outcome.name.lower(): statistics.ended(outcome) for outcome in Outcome},
        in_flight=statistics.in_flight,
        breaker=bursts.breaker.name.lower(),
        functions=use.alive,
        functions_warm=use.warm,
        cold_starts=use.cold_starts,
        cost_usd=use.usd,
        cost_usd_last_hour=bursts.spent_usd,
    )


_QUANTILES = {"p50": 0.50, "p98": 0.98, "p99": 0.99}
