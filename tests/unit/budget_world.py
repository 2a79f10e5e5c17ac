"""A simulated model with a budget, watched: what was committed and spent at every instant, and each record."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mark import _core
from mark.cloud.simulated import CloudBehaviour, SimulatedCloud
from mark.controlplane.budget import Budget
from mark.controlplane.controller import Controller
from mark.controlplane.controller_params import ControllerParams
from mark.controlplane.spending import Spending, SpendingParams
from mark.domain.artifact import ModelArtifact
from mark.domain.budget import BudgetCaps, Stage
from mark.domain.fleet import Instance, InstanceState
from mark.domain.load import LoadChunk
from mark.domain.offering import Market, Offering, Serverless
from mark.forecast.baselines import MovingMaximum
from mark.sim import World, WorldParams
from mark.sim.load_feed import LoadFeed
from mark.testing import ManualClock

__all__ = ["BIG", "SPOT", "BudgetRun", "Load", "run_with_budget"]

BIG = Offering("big", Market.ON_DEMAND, 1.0, boot_s=60.0, max_count=60)
# As good, for less; but no more than half of the load may hang on it unless the budget says so.
SPOT = Offering("spot", Market.SPOT, 0.4, boot_s=60.0, max_count=60, pool="p", pool_share_max=0.5)
ROWS_PER_S = 10.0
_LATENCY_NS = 100_000_000
_FUNCTION_USD = 0.0002
_S = 1_000_000_000


@dataclass
class Load:
    """Stretches of (end in seconds, requests per second)."""

    stretches: Sequence[tuple[float, float]]

    def chunks(self) -> Iterator[LoadChunk]:
        ends, rates = zip(*self.stretches, strict=True)
        yield LoadChunk(np.array(ends, dtype=np.float64), np.array(rates, dtype=np.float64))


class WatchedCloud(SimulatedCloud):
    """Notes what is committed, and what functions have cost, whenever somebody looks or launches."""

    notes: list[tuple[int, float, float]]
    functions_usd: Callable[[], float]

    def launch(self, offering: str, artifact: ModelArtifact, token: str) -> Instance:
        launched = super().launch(offering, artifact, token)
        self._note()
        return launched

    def take_changed(self) -> list[Instance]:
        changed = super().take_changed()
        self._note()
        return changed

    def _note(self) -> None:
        alive = [each for each in self.list_instances() if each.state is not InstanceState.GONE]
        usd = sum(self._offerings[each.offering].price_usd_per_hour for each in alive)
        self.notes.append((self._clock.now_ns(), usd, self.functions_usd()))


@dataclass
class BudgetRun:
    """What came of a run."""

    cloud: WatchedCloud
    world: World
    decisions: list[str]
    stages: list[tuple[float, Stage]]
    functions: list[tuple[int, float]]  # when, and dollars in all
    shares: list[float]

    @property
    def attainment(self) -> float:
        ended = {ending: self.world.engine.ended(ending) for ending in _core.Ending}
        in_time = ended[_core.Ending.INSTANCE] + ended[_core.Ending.SERVERLESS]
        return in_time / max(1, sum(ended.values()))

    @property
    def committed_max(self) -> float:
        """The most dollars an hour that were ever committed, functions' of the last hour included."""
        times = [at_ns for at_ns, _, _ in self.cloud.notes]

        def an_hour_before(at_ns: int) -> float:
            before = bisect.bisect_right(times, at_ns - 3600 * _S) - 1
            return self.cloud.notes[before][2] if before >= 0 else 0.0

        return max((usd + functions - an_hour_before(at_ns) for at_ns, usd, functions in self.cloud.notes), default=0.0)

    def usd_by_day(self) -> dict[int, float]:
        usd: dict[int, float] = {}
        for hour, each in self.cloud.bill().by_hour().items():
            usd[hour // 86400] = usd.get(hour // 86400, 0.0) + each
        for (_, before), (at_ns, after) in itertools.pairwise(self.functions):
            day = int(at_ns // (86400 * _S))
            usd[day] = usd.get(day, 0.0) + after - before
        return usd


class _WatchedSpending(Spending):
    """Notes each stage."""

    stages: list[tuple[float, Stage]]
    shares: list[float]

    def choose(self, now_ns, *rest):  # type: ignore[no-untyped-def]
        before = self.stage
        made = super().choose(now_ns, *rest)
        if self.stage is not before:
            self.stages.append((now_ns / 1e9, self.stage))
        return made

    def limits(self, *seen):  # type: ignore[no-untyped-def]
        limits = super().limits(*seen)
        self.shares.append(limits.shed_share)
        return limits


@dataclass(frozen=True)
class _Model:
    """What is served, on what, under which caps."""

    offerings: Sequence[Offering]
    serverless: bool
    policy: str
    lowest_share: float
    caps: BudgetCaps | None

    @property
    def capacities(self) -> dict[str, float]:
        return dict.fromkeys((each.name for each in self.offerings), ROWS_PER_S)

    def functions(self) -> _core.FunctionPoolParams | None:
        if not self.serverless:
            return None
        functions = _core.FunctionPoolParams(_LATENCY_NS, concurrency_max=1000)
        functions.set_starts(cold_start_ns=0, burst=1000.0, per_s=1000.0)
        functions.set_price(usd_per_request=_FUNCTION_USD, usd_per_s=0.0, billed_quantum_ns=1)
        return functions

    def controller(self) -> Controller:
        params = ControllerParams(
            step_s=60.0,
            window_s=5.0,
            horizon_steps=10,
            cooldown_s=120.0,
            min_instances=0,
            policy=self.policy,  # type: ignore[arg-type]
        )
        planned = Serverless("function", _FUNCTION_USD * 1e6, 100.0, 1000) if self.serverless else None
        return Controller(("c", "m"), self.offerings, self.capacities, MovingMaximum(3, 1.1), params, planned)

    def spending(self) -> _WatchedSpending | None:
        if self.caps is None:
            return None
        stages = [stage for stage in Stage if self.serverless or stage is not Stage.NO_SERVERLESS]
        spending = _WatchedSpending(Budget(self.caps, ["m"]), "m", SpendingParams(stages=tuple(stages)))
        spending.stages, spending.shares = [], []
        return spending

    def world_params(self, spending: Spending | None) -> WorldParams:
        profile = _core.LatencyProfile([1], [_LATENCY_NS])
        return WorldParams(
            dispatcher=_core.DispatcherParams(500_000_000, rows_max=1),
            rt_max_ms=500.0,
            specs={each.name: _core.WorkerSpec(profile, rows_max=1) for each in self.offerings},
            capacities=self.capacities,
            functions=self.functions(),
            warmup_s=0.0,
            spending=spending,
            lowest_share=self.lowest_share,
        )


def run_with_budget(
    stretches: Sequence[tuple[float, float]],
    caps: BudgetCaps | None,
    *,
    offerings: Sequence[Offering] = (BIG, SPOT),
    serverless: bool = False,
    policy: str = "refined",
    behaviour: CloudBehaviour | None = None,
    lowest_share: float = 0.0,
) -> BudgetRun:
    """Simulate a load under caps; without any, as if there were no such thing."""
    model = _Model(offerings, serverless, policy, lowest_share, caps)
    clock = ManualClock()
    cloud = WatchedCloud(offerings, clock, behaviour or CloudBehaviour(boot_variation=0.0))
    cloud.notes, cloud.functions_usd = [], lambda: world.engine.functions_usd
    controller, spending = model.controller(), model.spending()
    if spending is not None:
        controller.keep_to(spending)
    decisions: list[str] = []
    functions_usd: list[tuple[int, float]] = []
    tick = controller.tick

    def noted(snapshot):  # type: ignore[no-untyped-def]
        decision = tick(snapshot)
        decisions.append(repr(decision))
        functions_usd.append((clock.now_ns(), world.engine.functions_usd))
        return decision

    controller.tick = noted  # type: ignore[method-assign]
    world = World(model.world_params(spending), LoadFeed(Load(stretches), 0.0), cloud, clock, controller)
    world.run()
    stages, shares = ([], []) if spending is None else (spending.stages, spending.shares)
    return BudgetRun(cloud, world, decisions, stages, functions_usd, shares)
