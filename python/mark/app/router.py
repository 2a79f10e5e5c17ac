"""The router: ingress, request paths, control paths and the cloud below them, started and stopped in order."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import TYPE_CHECKING

import grpc.aio

from mark._core import Endpoint
from mark.app.budgeting import spending_of
from mark.app.clouds import make_cloud
from mark.app.deploying import Deploying
from mark.app.forecasters import ForecastWork, StepCounter, forecaster_of, level_of, planned_with
from mark.app.http import mount_live_page, start_http
from mark.app.ingress import make_ingress
from mark.app.parts import (
    capacities,
    controller_params,
    core_signature,
    dispatcher_params,
    worker_spec,
)
from mark.app.profiles import log_profiling
from mark.app.records import record_file_of, served_on
from mark.app.serverless import (
    burst_latency_ns,
    burst_loop,
    measure_missing_latencies,
    serverless_of,
)
from mark.app.tuning import BatchingTuner
from mark.app.watching import make_telling
from mark.config import Config, ModelConfig
from mark.controlplane.chronicle import Chronicle
from mark.controlplane.controller import Controller
from mark.controlplane.fleet_rules import FleetRuleParams, FleetRules
from mark.domain.bill import Bill
from mark.errors import WorkerError
from mark.live.accounts import Accounts
from mark.live.background import ThreadBackground
from mark.live.background_process import ProcessBackground
from mark.live.clock import SteadyClock
from mark.live.control_loop import ControlLoop, ControlLoopParams
from mark.live.dispatch_loop import DispatchLoop
from mark.live.leading import until_leads
from mark.live.metrics import Measured, RouterMetrics
from mark.live.path_watch import watch_path
from mark.live.recorder import MemoryRecorder
from mark.live.request_path import RequestPath, WorkerAddress
from mark.live.server import InferenceServer, ServedModel
from mark.live.shared_budget import SharedBudget
from mark.live.status import ControlService
from mark.live.telling import Telling
from mark.protocol.service import make_server
from mark.tracing.params import make_trace_export

if TYPE_CHECKING:
    from mark.live.http_server import HttpServer
    from mark.live.native_server import NativeIngress
    from mark.tracing.export import TraceExport

__all__ = ["Router"]

_READY_TIMEOUT_S = 150.0  # beyond the cloud's own bound on a boot, which knows why
_LAST_WORDS_S = 0.5  # for answers and watches that are still being written


class Router:
    """The router: ingress, one request path and one control path for each model, and the cloud below them.

    Thread safety: belongs to one event loop. Construct, `start`, and `stop` exactly once.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = SteadyClock()
        self._cloud = make_cloud(config)
        self._record_file = record_file_of(config)
        self._recorder = MemoryRecorder(then=self._record_file)
        self._run = secrets.token_hex(4)  # in launch tokens: what another router bought is not what this one buys
        self._refits = ProcessBackground()
        self._worker_ids = itertools.count(1).__next__
        self._models: dict[str, ServedModel] = {}
        self._control_tasks: list[asyncio.Task[None]] = []
        self._inference: InferenceServer | None = None
        self._server: grpc.aio.Server | None = None
        self._native: NativeIngress | None = None
        self._http: HttpServer | None = None
        self._telling: Telling | None = None
        self._watching: asyncio.Task[None] | None = None
        self._hurrying: asyncio.Future[None] | None = None
        rented = [model.name for model in config.models if model.source is not None]
        self._budget = None if config.budget is None else SharedBudget(config.budget.as_caps(), rented)
        self._accounts = Accounts(self._cloud, self._models, self._clock, self._budget)
        self._deploying: Deploying | None = None
        self._tracing: TraceExport | None = None

    async def start(self) -> str:
        """Bind the address, start the fleet, and return the address once every model answers.

        Raises:
            ConfigError: a port is in use, the page needs a token, or no offering meets a model's SLO.
            ModelLoadError: a model does not load.
            CloudError: the cloud cannot be had, or the functions of a model cannot.
            WorkerError: a model has no worker `_READY_TIMEOUT_S` after the slowest offering's boot time. A router that
                follows another, and finds nothing that serves, waits until it leads.
        """
        await asyncio.to_thread(self._cloud.open)
        self._tracing = make_trace_export(self._config.tracing.as_params(), lanes=self._config.server.threads)
        tracer = None if self._tracing is None else self._tracing.tracer
        self._native = make_ingress(self._config.server, tracer)
        await self._make_functions_ready()
        for model in self._config.models:
            self._models[model.name] = self._assemble(model)
        self._inference = InferenceServer(self._models, self._clock, tracer)
        self._telling = make_telling(self._config, self._models, self._recorder, self._clock, self._accounts)
        settings = self._config.server
        self._server, address = await make_server(
            settings.address if self._native is None else self._native.beside,
            self._inference,
            control=ControlService(
                self._models,
                self._inference,
                self._telling,
                self._clock,
                self._accounts,
                self._ingress_counts,
            ),
            message_bytes_max=settings.message_bytes_max,
        )
        if self._native is not None:
            self._native.hide_beside()
        self._http = await start_http(self._config.http, self._mount)
        await self._accounts.look()
        for model in self._config.models:
            self._start_model(model)
            await self._start_functions(model)
        self._control_tasks.append(asyncio.ensure_future(self._accounts.keep()))
        self._watching = asyncio.ensure_future(self._telling.watch.run())
        await self._server.start()
        if self._tracing is not None:
            self._tracing.start()
        if self._native is not None:
            self._native.start()
            address = self._native.address
        await self._wait_ready()
        for artifact in filter(None, (model.artifact() for model in self._config.models)):
            await asyncio.to_thread(self._cloud.prepare, artifact)
        return address

    @property
    def http_address(self) -> str:
        """Where the page is, "http://host:port/"; empty where it is off, and until it is bound."""
        return "" if self._http is None else self._http.address

    async def failed(self) -> None:
        """Return when a control loop has ended, by raising its error; otherwise never."""
        if not self._control_tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._control_tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> bool:
        """Drain, stop the fleet, and release the port; True when every request in flight was answered.

        When cancelled, it goes on as `abandon` does: nothing is left behind either way.
        """
        try:
            answered = await self._drain()
        except asyncio.CancelledError:
            await self.abandon()
            raise
        await self._release_whatever_comes(grace_s=None)
        return answered

    async def _drain(self) -> bool:
        servers = [server for server in (self._inference, self._native) if server is not None]
        return all(await asyncio.gather(*(server.drain(self._config.server.drain_s) for server in servers)))

    def bill(self) -> Bill:
        """What instances, functions and measuring have cost so far; the whole bill once it has stopped."""
        return self._accounts.bill()

    def spent_usd(self) -> float:
        """The total of the bill, in dollars."""
        return self.bill().usd

    async def abandon(self) -> None:
        """Stop without waiting for any request: the workers are killed in the middle of a batch."""
        await self._release_whatever_comes(grace_s=0.0)

    async def _release_whatever_comes(self, grace_s: float | None) -> None:
        """Release to the end. When cancelled meanwhile, no worker gets more time, and the cancellation is passed on."""
        releasing = asyncio.ensure_future(self._release(grace_s))
        cancelled: asyncio.CancelledError | None = None
        while not releasing.done():
            try:
                await asyncio.shield(releasing)
            except asyncio.CancelledError as error:
                cancelled = error
                asyncio.get_running_loop().run_in_executor(None, self._cloud.close, 0.0)
                self._hurrying = asyncio.ensure_future(self._close_functions(0.0))
        releasing.result()
        if cancelled is not None:
            raise cancelled

    async def _release(self, grace_s: float | None) -> None:
        if self._telling is not None:
            self._telling.end()
        if self._http is not None:
            await self._http.stop()
        tasks = [*self._control_tasks, *filter(None, [self._watching])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._deploying is not None:
            await self._deploying.close()
        await asyncio.to_thread(self._refits.close)
        for model in self._models.values():
            await model.dispatch.close()
        await self._close_functions(grace_s)
        if self._native is not None:
            await self._native.stop()
        if self._server is not None:
            await self._server.stop(grace=_LAST_WORDS_S)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        await asyncio.to_thread(self._cloud.close, grace_s)
        if self._record_file is not None:
            await asyncio.to_thread(self._record_file.close)

    def _records_lost(self) -> int:
        return 0 if self._record_file is None else self._record_file.lost

    def _ingress_counts(self) -> dict[str, int]:
        counts = {} if self._native is None else self._native.counts()
        if self._tracing is not None:
            counts |= {f"traced_{name}": count for name, count in self._tracing.counts().items()}
        return counts

    async def _close_functions(self, grace_s: float | None) -> None:
        await asyncio.gather(
            *(model.bursts.close(grace_s) for model in self._models.values() if model.bursts is not None)
        )

    def _mount(self, server: HttpServer) -> None:
        inference, telling = self._inference, self._telling
        if inference is None or telling is None:
            return
        server.mount_health(inference.server_ready)
        mount_live_page(server, telling)
        measured = Measured(
            models=self._models,
            cloud=self._cloud,
            recorder=self._recorder,
            budgets=telling.watch.budgets,
            record_counts=telling.watch.record_counts,
            bill=self._accounts.bill,
            draining=lambda: inference.draining,
            ingress_counts=self._ingress_counts,
            records_lost=self._records_lost,
        )
        server.mount_metrics(RouterMetrics(measured).exposition)

    def _assemble(self, model: ModelConfig) -> ServedModel:
        signature, slo = model.signature(), model.as_slo()
        params = dispatcher_params(slo, model.batching, burst_latency_ns(model))
        bursts = burst_loop(self._config, model, self._clock)
        dispatch: RequestPath
        if self._native is not None:
            dispatch = self._native.add_model(core_signature(signature), params, bursts)
        else:
            dispatch = DispatchLoop(Endpoint(core_signature(signature), params), self._clock, slo.rt_max_ns, bursts)
        tuner = BatchingTuner(model, dispatch)
        return ServedModel(signature, slo, dispatch, self._assemble_control(model, dispatch), bursts, tuner)

    def _assemble_control(self, model: ModelConfig, dispatch: RequestPath) -> ControlLoop | None:
        artifact = model.artifact()
        if artifact is None:
            return None
        profiles, settings = model.as_profiles(), model.controller
        offerings = tuple(self._cloud.offerings())
        rates, serverless = capacities(model, profiles), serverless_of(model)
        work = ForecastWork(StepCounter(self._clock, settings.step_s), ThreadBackground("forecast"), self._refits)
        params = controller_params(model, self._config.standbys)
        level = level_of(planned_with(offerings, params.standbys), rates, serverless, model.slo.sl_min)
        controller = Controller(
            deployment=(f"{self._config.cluster}/{self._run}", model.name),
            offerings=offerings,
            capacities=rates,
            forecaster=forecaster_of(settings, level, work),
            params=params,
            serverless=serverless,
        )
        rules = FleetRuleParams.for_loop(model.slo.rt_max_ms, _observe_s(model))
        spending = None
        if self._budget is not None:
            spending = spending_of(
                self._budget, model.name, offerings, (settings, model.batching), serverless=serverless is not None
            )
            controller.keep_to(spending)
        fleet = FleetRules(model.name, controller, rules, self._chronicle(model), spending)
        specs = {name: worker_spec(model, profile) for name, profile in profiles.items()}
        return ControlLoop(artifact, fleet, self._cloud, dispatch, specs, self._worker_ids)

    def _start_model(self, model: ModelConfig) -> None:
        served = self._models[model.name]
        for worker in model.workers:
            at = WorkerAddress(worker.address, model.name, model.version)
            served.dispatch.connect_worker(self._worker_ids(), at, worker_spec(model, worker.as_profile()))
        if served.control is not None:
            params = ControlLoopParams(step_s=model.controller.step_s, observe_s=_observe_s(model))
            work = served.control.run(self._clock, params, served_on(self._config, model))
        else:
            work = watch_path(served.dispatch, self._chronicle(model), self._clock, served_on(self._config, model))
        self._control_tasks.append(asyncio.get_running_loop().create_task(work))

    def _chronicle(self, model: ModelConfig) -> Chronicle:
        return Chronicle((model.name, self._run), self._recorder, self._cloud.offerings(), self._clock.unix_s)

    async def _make_functions_ready(self) -> None:
        """Functions that can be called, and how long they take."""
        self._deploying = Deploying(self._config, self._cloud)
        await self._deploying.start()
        self._config = await measure_missing_latencies(self._config, log_profiling, self._accounts.measured)

    async def _start_functions(self, model: ModelConfig) -> None:
        bursts = self._models[model.name].bursts
        if bursts is not None:
            await bursts.start()

    async def _wait_ready(self) -> None:
        """Return once each model that is to have a worker at all times has one.

        Only the router that leads launches any, so the time runs from then on.
        """
        waited_for = [self._models[m.name] for m in self._config.models if m.workers or m.controller.min_instances]
        boot_s = max((offering.boot_s for offering in self._config.offerings), default=0.0)
        timeout_s = boot_s + _READY_TIMEOUT_S

        async def all_ready() -> None:
            for model in waited_for:
                await model.dispatch.wait_ready()

        async def too_late() -> None:
            await until_leads(self._cloud)
            await asyncio.sleep(timeout_s)

        ready, failed, late = (asyncio.ensure_future(each) for each in (all_ready(), self.failed(), too_late()))
        try:
            done, _ = await asyncio.wait({ready, failed, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (ready, failed, late):
                each.cancel()
            await asyncio.gather(ready, failed, late, return_exceptions=True)
        if failed in done:
            failed.result()
        if ready not in done:
            late.result()
            missing = "; ".join(_lateness(model) for model in waited_for if model.dispatch.ready_workers == 0)
            raise WorkerError(f"not ready after {timeout_s:.0f} s: {missing}")


def _observe_s(model: ModelConfig) -> float:
    """Load, fleet and promise are looked at once in this time, at least."""
    return min(model.controller.window_s, model.monitor.every_s, 1.0)


def _lateness(model: ServedModel) -> str:
    """Why a model has no worker, as far as its workers say."""
    reasons = model.dispatch.not_ready_because()
    return f"model {model.signature.name}: {', '.join(reasons) or 'no worker was launched'}"
