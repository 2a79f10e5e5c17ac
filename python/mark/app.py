"""Puts the parts together: the only module that constructs clouds, clocks and forecasters."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping

import grpc.aio

from mark._core import DispatcherParams, Endpoint, LatencyProfile, WorkerSpec, capacity_rows_per_s
from mark._core import ModelSignature as CoreSignature
from mark.cloud.local import LocalCloud
from mark.config import Config, ModelConfig
from mark.controlplane.controller import Controller, ControllerParams
from mark.domain.artifact import ModelArtifact, artifact_to_json
from mark.domain.fleet import InstanceState
from mark.domain.offering import Offering
from mark.domain.profile import Profile
from mark.domain.signature import ModelSignature
from mark.errors import ConfigError, ModelLoadError, WorkerError
from mark.forecast.baselines import MovingMaximum
from mark.live.clock import SteadyClock
from mark.live.control_loop import ControlLoop, ControlLoopParams
from mark.live.dispatch_loop import DispatchLoop
from mark.live.recorder import MemoryRecorder
from mark.live.server import InferenceServer, ServedModel
from mark.live.status import ControlService
from mark.live.worker_link import WorkerLink
from mark.ports import Cloud
from mark.protocol.service import make_server
from mark.worker.profiling import measure_profile

__all__ = ["Router", "capacities", "measure_missing_profiles", "serve"]

_log = logging.getLogger(__name__)

_READY_TIMEOUT_S = 120.0


def worker_command(artifact: ModelArtifact, offering: Offering, address: str) -> list[str]:
    """The command line of a local worker process."""
    return [
        sys.executable, "-m", "mark.worker",
        "--artifact", artifact_to_json(artifact),
        "--address", address,
        "--threads", str(offering.threads),
        "--cpu-share", str(offering.cpu_share),
        "--exit-with-parent",
    ]  # fmt: skip


def make_cloud(config: Config) -> LocalCloud:
    """The cloud that the configuration's offerings are rented from."""
    offerings = [offering.as_offering() for offering in config.offerings]
    return LocalCloud(offerings, clock=SteadyClock(), command=worker_command)


def capacities(model: ModelConfig, profiles: Mapping[str, Profile]) -> dict[str, float]:
    """Rows per second that one instance of each offering serves under the model's SLO; 0 where it cannot meet it.

    Raises:
        ConfigError: no offering meets the SLO.
    """
    slo_ns = model.as_slo().rt_max_ns - round(model.batching.margin_ms * 1e6)
    found = {
        name: capacity_rows_per_s(_core_profile(profile), slo_ns, model.batching.rows_max)
        for name, profile in profiles.items()
    }
    if not any(found.values()):
        fastest = ", ".join(f"{name} {profile.points[0].latency_ms:.1f} ms" for name, profile in profiles.items())
        raise ConfigError(
            f"model {model.name!r}: no offering answers a single row within rt_max_ms {model.slo.rt_max_ms:g} less "
            f"margin_ms {model.batching.margin_ms:g}; measured: {fastest}. Raise rt_max_ms or add a faster offering"
        )
    return found


async def measure_missing_profiles(
    config: Config, on_progress: Callable[[str, str, int], None] | None = None
) -> Config:
    """Measure the profile of every model on every offering that the configuration has none for.

    Each is measured on a worker of its own, launched for it and given back, one at a time: on one machine they would
    disturb each other.

    Args:
        config: what is served.
        on_progress: told model, offering and rows of each batch size before it is measured.

    Returns:
        The configuration with all profiles filled in.

    Raises:
        ModelLoadError: the model does not start on an offering.
    """
    models = []
    for model in config.models:
        artifact = model.artifact()
        profiles = dict(model.profiles)
        missing = [offering.name for offering in config.offerings if offering.name not in profiles]
        if artifact is not None and missing:
            cloud = make_cloud(config)
            try:
                for name in missing:
                    profile = await _measure(cloud, artifact, name, on_progress)
                    profiles[name] = [(point.rows, point.latency_ms) for point in profile.points]
            finally:
                await asyncio.to_thread(cloud.close)
        models.append(model.model_copy(update={"profiles": profiles}))
    return config.model_copy(update={"models": models})


async def _measure(
    cloud: Cloud, artifact: ModelArtifact, offering: str, on_progress: Callable[[str, str, int], None] | None
) -> Profile:
    launched = await asyncio.to_thread(cloud.launch, offering, artifact, f"profile-{offering}")
    changes = 0
    while True:
        instance = next(known for known in cloud.list_instances() if known.id == launched.id)
        if instance.state is InstanceState.GONE:
            raise ModelLoadError(
                f"model {artifact.signature.name} does not start on offering {offering}: {instance.detail}"
            )
        if instance.state is InstanceState.READY and instance.address is not None:
            break
        changes = await asyncio.to_thread(cloud.wait_for_change, changes, 1.0)

    def progress(rows: int) -> None:
        if on_progress is not None:
            on_progress(artifact.signature.name, offering, rows)

    profile = await measure_profile(instance.address, artifact.signature, progress)
    await asyncio.to_thread(cloud.terminate, instance.id)
    return profile


class Router:
    """The router: ingress, one request path and one control path for each model, and the cloud below them.

    Thread safety: belongs to one event loop. Construct, `start`, and `stop` exactly once.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._clock = SteadyClock()
        self._cloud = make_cloud(config)
        self._recorder = MemoryRecorder()
        self._worker_ids = itertools.count(1).__next__
        self._models: dict[str, ServedModel] = {}
        self._control_tasks: list[asyncio.Task[None]] = []
        self._inference: InferenceServer | None = None
        self._server: grpc.aio.Server | None = None

    async def start(self) -> str:
        """Bind the address, start the fleet, and return the address once every model answers.

        Raises:
            ConfigError: the port is in use, or no offering meets a model's SLO.
            ModelLoadError: a model does not load.
            WorkerError: a model is not ready within two minutes.
        """
        for model in self._config.models:
            self._models[model.name] = self._assemble(model)
        self._inference = InferenceServer(self._models, self._clock)
        settings = self._config.server
        self._server, address = await make_server(
            f"{settings.host}:{settings.port}",
            self._inference,
            control=ControlService(self._models, self._inference, self._recorder, self._clock, self._cloud),
            message_bytes_max=settings.message_bytes_max,
        )
        for model in self._config.models:
            self._start_model(model)
        await self._server.start()
        await self._wait_ready()
        return address

    async def failed(self) -> None:
        """Return when a control loop has ended, by raising its error; otherwise never."""
        if not self._control_tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._control_tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> bool:
        """Drain, stop the fleet, and release the port; True when every request in flight was answered.

        When cancelled while it drains, it goes on as `abandon` does: nothing is left behind either way.
        """
        try:
            answered = self._inference is None or await self._inference.drain(self._config.server.drain_s)
        except asyncio.CancelledError:
            await self.abandon()
            raise
        await self._release()
        return answered

    async def abandon(self) -> None:
        """Stop without waiting for any request: the workers are killed in the middle of a batch."""
        await self._release(grace_s=0.0)

    async def _release(self, grace_s: float | None = None) -> None:
        for task in self._control_tasks:
            task.cancel()
        await asyncio.gather(*self._control_tasks, return_exceptions=True)
        for model in self._models.values():
            await model.dispatch.close()
        if self._server is not None:
            await self._server.stop(grace=0.5)
        await asyncio.to_thread(self._cloud.close, grace_s)

    def _assemble(self, model: ModelConfig) -> ServedModel:
        signature, slo, batching = model.signature(), model.as_slo(), model.batching
        params = DispatcherParams(
            slo.rt_max_ns,
            rows_max=batching.rows_max,
            queue_requests_max=batching.queue_requests_max,
            queue_bytes_max=batching.queue_bytes_max,
            margin_ns=round(batching.margin_ms * 1e6),
            admission=batching.admission,
        )
        dispatch = DispatchLoop(Endpoint(_core_signature(signature), params), self._clock, slo.rt_max_ns)
        return ServedModel(signature, slo, dispatch, self._assemble_control(model, dispatch))

    def _assemble_control(self, model: ModelConfig, dispatch: DispatchLoop) -> ControlLoop | None:
        artifact = model.artifact()
        if artifact is None:
            return None
        profiles, settings = model.as_profiles(), model.controller
        controller = Controller(
            deployment=(self._config.cluster, model.name),
            offerings=tuple(offering.as_offering() for offering in self._config.offerings),
            capacities=capacities(model, profiles),
            forecaster=MovingMaximum(window_steps=settings.maximum_of_steps, headroom=settings.headroom),
            params=ControllerParams(
                step_s=settings.step_s,
                window_s=settings.window_s,
                horizon_steps=settings.horizon_steps,
                cooldown_s=settings.cooldown_s,
                min_instances=settings.min_instances,
            ),
        )
        specs = {name: _worker_spec(model, profile) for name, profile in profiles.items()}
        return ControlLoop(artifact, controller, self._cloud, dispatch, specs, self._worker_ids)

    def _start_model(self, model: ModelConfig) -> None:
        served = self._models[model.name]
        for worker in model.workers:
            link = WorkerLink(worker.address, model.name, model.version)
            served.dispatch.add_worker(self._worker_ids(), link, _worker_spec(model, worker.as_profile()))
        if served.control is not None:
            settings = model.controller
            params = ControlLoopParams(step_s=settings.step_s, observe_s=min(settings.window_s, 1.0))
            work = served.control.run(self._clock, self._recorder, params)
            self._control_tasks.append(asyncio.get_running_loop().create_task(work))

    async def _wait_ready(self) -> None:
        async def all_ready() -> None:
            for model in self._models.values():
                await model.dispatch.wait_ready()

        ready, failed = asyncio.ensure_future(all_ready()), asyncio.ensure_future(self.failed())
        done, pending = await asyncio.wait(
            {ready, failed}, timeout=_READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        if failed in done:
            failed.result()
        if ready not in done:
            late = [name for name, model in self._models.items() if model.dispatch.ready_workers == 0]
            raise WorkerError(f"no worker of {', '.join(late)} was ready within {_READY_TIMEOUT_S:.0f} s")


async def serve(config: Config, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
    """Serve until `stop` is set, then drain; when cancelled, stop at once. Leaves no process, port or file behind.

    Args:
        config: what to serve.
        stop: ends the serving.
        on_ready: told the address once every model answers.
    """
    config = await measure_missing_profiles(
        config, lambda model, offering, rows: _log.info("profiling %s on %s: %d rows", model, offering, rows)
    )
    router = Router(config)
    try:
        on_ready(await router.start())
        await _first_of(stop.wait(), router.failed())
    except asyncio.CancelledError:
        # The second signal may come before the first was acted on.
        await router.abandon()
        raise
    except BaseException:
        await router.stop()
        raise
    if not await router.stop():
        _log.warning("stopped with requests unanswered after %g s", config.server.drain_s)


async def _first_of(*works: Coroutine[object, object, object]) -> None:
    """Return when the first of them does, or raise what it raises; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def _core_profile(profile: Profile) -> LatencyProfile:
    return LatencyProfile(profile.rows, profile.latencies_ns)


def _core_signature(signature: ModelSignature) -> CoreSignature:
    return CoreSignature(
        signature.name,
        signature.version,
        [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.inputs],
        [(tensor.name, tensor.datatype, tensor.shape) for tensor in signature.outputs],
        signature.rows_max,
    )


def _worker_spec(model: ModelConfig, profile: Profile) -> WorkerSpec:
    batching = model.batching
    return WorkerSpec(
        _core_profile(profile), rows_max=batching.rows_max, batches_in_flight_max=batching.batches_in_flight_max
    )
