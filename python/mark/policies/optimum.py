"""The optimum that plans are measured against, by an exact solver.

The very problem that `mark._core.refined_plan` searches (csrc/mark/planning_problem.h) as a mixed-integer program, for
HiGHS through `scipy.optimize.milp`. It may take a minute where the search takes a millisecond: for tests, benches and
`mark plan --optimal-gap`, never for a router.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mark import _core
from mark.domain.fleet_plan import FleetPlan, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Offering
from mark.errors import ConfigError
from mark.policies.planning_inputs import PlanningInputs, PlanningOptions, check_inputs, planning_problem

__all__ = ["OptimalGap", "Optimum", "optimal_gap", "optimal_schedule"]

_TIME_LIMIT_S = 60.0
_PROVEN_SHARE = 1e-6  # an optimum is one when nothing can be cheaper by more
# What the core takes for nothing: of a load or a price, and of the rows that two schedules miss.
_NEGLIGIBLE_SHARE = 1e-9
_EQUALLY_MISSED_SHARE = 1e-6


@dataclass(frozen=True, slots=True)
class Optimum:
    """The cheapest schedule of a problem, as far as it was found.

    Attributes:
        usd: what the best schedule that was found costs; infinite where none was found in time.
        bound_usd: no schedule costs less; the same as `usd`, but for rounding, where the optimum is proven.
        missed_rows: that no schedule serves, over the horizon; 0 where misses have a price, as in the core.
        counts: of each family of the problem, instances by step; empty where no schedule was found in time.
        proven: whether it is the optimum.
    """

    usd: float
    bound_usd: float
    missed_rows: float
    counts: tuple[tuple[int, ...], ...]
    proven: bool


@dataclass(frozen=True, slots=True)
class OptimalGap:
    """How much more than the optimum a plan costs.

    Attributes:
        gap: share that the plan costs more than `optimum_usd`: the gap itself where that is proven, else the most that
            the gap can be; infinite where the plan misses load that could be served, or costs and need not.
        optimum_usd: the optimum; where it was not proven in time, the most that was: no plan costs less.
        proven: whether `optimum_usd` is the optimum.
    """

    gap: float
    optimum_usd: float
    proven: bool


def optimal_gap(
    offerings: Sequence[Offering],
    capacities: Mapping[str, float],
    running: Sequence[RunningGroup],
    forecast: Forecast,
    options: PlanningOptions,
    plan: FleetPlan,
) -> OptimalGap:
    """Compare a plan with the optimum of what it was made for; takes seconds, a minute or two at the most.

    Args:
        offerings: as for `plan_fleet`, like all but the last.
        capacities: by offering.
        running: the fleet.
        forecast: the load.
        options: policy, prices, and what there was before.
        plan: what `plan_fleet` made of them.

    Raises:
        PlanningError: as `plan_fleet`.
        ConfigError: SciPy is not installed.
    """
    check_inputs(PlanningInputs(offerings, capacities, running, forecast, options))
    optimum = optimal_schedule(planning_problem(offerings, capacities, running, forecast, options))
    least_usd = optimum.usd if optimum.proven else optimum.bound_usd
    equal_rows = 2 * _EQUALLY_MISSED_SHARE * max(1.0, plan.missed_rows)
    if plan.missed_rows > optimum.missed_rows + equal_rows:
        gap = math.inf
    elif plan.cost_usd_horizon <= least_usd * (1 + _NEGLIGIBLE_SHARE):
        gap = 0.0
    else:
        gap = plan.cost_usd_horizon / least_usd - 1 if least_usd > 0 else math.inf
    return OptimalGap(gap, least_usd, optimum.proven)


def optimal_schedule(problem: _core.PlanningProblem, time_limit_s: float = _TIME_LIMIT_S) -> Optimum:
    """Solve a problem exactly.

    Where load must be covered, what is missed comes before any dollar. No price says that without drowning the prices
    that matter in the solver's tolerance, so there are two programs: the first finds the fewest rows that can be
    missed, the second the cheapest schedule among those that miss no more.

    Args:
        problem: of `planning_problem`.
        time_limit_s: for each of the two programs.

    Raises:
        ConfigError: SciPy is not installed.
    """
    program = _ScheduleProgram(problem)
    proven, missed_rows = True, 0.0
    if problem.must_cover:
        fewest = program.fewest_missed(time_limit_s)
        if fewest.values is None:
            return Optimum(math.inf, 0.0, 0.0, (), proven=False)
        # Of a search that was cut short this is too many, so that the bound in dollars still holds.
        proven, missed_rows = fewest.proven, program.missed_rows(fewest.values)
        program.miss_no_more_than(missed_rows)
    cheapest = program.cheapest(time_limit_s)
    if cheapest.values is None:
        return Optimum(math.inf, cheapest.bound, missed_rows, (), proven=False)
    return Optimum(
        usd=cheapest.value,
        bound_usd=cheapest.bound,
        missed_rows=missed_rows,
        counts=program.counts_of(cheapest.values),
        proven=proven and cheapest.proven,
    )


@dataclass(frozen=True, slots=True)
class _Solution:
    value: float
    bound: float
    values: Any  # of each column; None where none were found in time
    proven: bool


@dataclass(slots=True)
class _Program:
    """A mixed-integer program that is put together column by column and row by row."""

    usd: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    row_bounds: list[tuple[float, float]] = field(default_factory=list)
    terms: list[tuple[int, int, float]] = field(default_factory=list)

    def add_column(self, usd: float, lower: float, upper: float, *, whole: bool = False) -> int:
        self.usd.append(usd)
        self.lower.append(lower)
        self.upper.append(upper)
        self.whole.append(whole)
        return len(self.usd) - 1

    def add_row(self, terms: Iterable[tuple[int, float]], lower: float, upper: float) -> None:
        row = len(self.row_bounds)
        self.row_bounds.append((lower, upper))
        self.terms.extend((row, column, factor) for column, factor in terms)

    def solve(self, objective: Sequence[float], scale: float, time_limit_s: float) -> _Solution:
        """The least of an objective, in whose terms `scale` is what matters: the solver's tolerances are absolute."""
        try:
            from scipy.optimize import Bounds, LinearConstraint, milp
            from scipy.sparse import csr_array
        except ImportError as error:
            raise ConfigError("an exact optimum needs SciPy: pip install 'mark-serve[plan]'") from error
        rows, columns, factors = zip(*self.terms, strict=True)
        matrix = csr_array((factors, (rows, columns)), shape=(len(self.row_bounds), len(self.usd)))
        found = milp(
            np.asarray(objective) / scale,
            integrality=self.whole,
            bounds=Bounds(self.lower, self.upper),
            constraints=LinearConstraint(matrix, *zip(*self.row_bounds, strict=True)),
            options={"time_limit": time_limit_s, "mip_rel_gap": _PROVEN_SHARE},
        )
        value = math.inf if found.x is None else float(found.fun) * scale
        if found.status == 0:
            return _Solution(value, value, found.x, proven=True)
        bound = found.mip_dual_bound
        # Nothing costs less than nothing, whatever the solver had no time to prove.
        bound = 0.0 if bound is None or not math.isfinite(bound) else max(0.0, float(bound) * scale)
        return _Solution(value, min(value, bound), found.x, proven=False)


class _ScheduleProgram:
    """A planning problem as a program. Loads and capacities are in capacities of the largest instance."""

    def __init__(self, problem: _core.PlanningProblem) -> None:
        self._problem = problem
        self._families = problem.families
        self._capacities = [family.rows_per_s for family in self._families]
        self._unit = max((float(rows.max()) for rows in self._capacities), default=0.0) or 1.0
        self._row_usd_factor = self._unit * problem.step_s
        self._program = _Program()
        self._counts = [self._add_family(family) for family in self._families]
        self._missed = [self._add_load(step, float(rate)) for step, rate in enumerate(problem.forecast_rows_per_s)]
        self._add_twins()
        self._add_pools()

    def fewest_missed(self, time_limit_s: float) -> _Solution:
        missed = set(self._missed)
        objective = [float(column in missed) for column in range(len(self._program.usd))]
        return self._program.solve(objective, 1.0, time_limit_s)

    def cheapest(self, time_limit_s: float) -> _Solution:
        dearest_usd = max((max(each.usd_per_step, each.start_usd) for each in self._families), default=0.0)
        return self._program.solve(self._program.usd, dearest_usd or max(self._program.usd) or 1.0, time_limit_s)

    def missed_rows(self, values: Any) -> float:
        """What a solution misses, but for what is negligible."""
        rows = float(sum(values[column] for column in self._missed)) * self._row_usd_factor
        return rows if rows > _EQUALLY_MISSED_SHARE * self._row_usd_factor else 0.0

    def miss_no_more_than(self, rows: float) -> None:
        if rows <= 0:
            for column in self._missed:
                self._program.upper[column] = 0.0
            return
        most = (rows + _EQUALLY_MISSED_SHARE * max(1.0, rows)) / self._row_usd_factor
        self._program.add_row([(column, 1.0) for column in self._missed], 0.0, most)

    def counts_of(self, values: Any) -> tuple[tuple[int, ...], ...]:
        """Of each family, instances by step."""
        steps = range(self._problem.steps)
        return tuple(
            tuple(round(values[columns[step]]) if step in columns else 0 for step in steps) for columns in self._counts
        )

    def _add_family(self, family: _core.Family) -> dict[int, int]:
        """Its columns by step, from the first at which it serves."""
        columns = {}
        for step in range(family.first, self._problem.steps):
            kept = family.count_now if step < family.kept_through else 0
            columns[step] = self._program.add_column(family.usd_per_step, kept, family.count_max, whole=True)
        if family.only_shrinks:
            for step in range(family.first + 1, self._problem.steps):
                self._program.add_row([(columns[step - 1], 1.0), (columns[step], -1.0)], 0.0, math.inf)
        if family.group < 0:
            self._add_starts(family, columns)
        return columns

    def _add_starts(self, family: _core.Family, columns: Mapping[int, int]) -> None:
        """Of launches: what starts is paid for, and lives for a while."""
        life = self._problem.min_life_steps
        if family.start_usd <= 0 and life <= 1:
            return
        starts: dict[int, int] = {}
        for step, column in columns.items():
            starts[step] = self._program.add_column(family.start_usd, 0.0, family.count_max)
            before = [(columns[step - 1], 1.0)] if step > family.first else []
            self._program.add_row([(starts[step], 1.0), (column, -1.0), *before], 0.0, math.inf)
            if life > 1:
                lately = [(starts[each], -1.0) for each in range(max(family.first, step - life + 1), step + 1)]
                self._program.add_row([(column, 1.0), *lately], 0.0, math.inf)

    def _add_load(self, step: int, rate: float) -> int:
        """All of it is served or missed; the column of what is missed."""
        problem, factor = self._problem, self._row_usd_factor
        load = rate / self._unit
        serverless_max = min(load, problem.serverless_rows_per_s_max / self._unit)
        serverless = self._program.add_column(problem.serverless_usd_per_row * factor, 0.0, serverless_max)
        miss_usd = 0.0 if problem.must_cover else problem.miss_usd_per_row
        missed = self._program.add_column(miss_usd * factor, 0.0, load)
        served = [
            (columns[step], float(rows[step]) / self._unit)
            for columns, rows in zip(self._counts, self._capacities, strict=True)
            if step in columns and rows[step] > 0
        ]
        negligible = _NEGLIGIBLE_SHARE * float(problem.forecast_rows_per_s.max()) / self._unit
        self._program.add_row([*served, (serverless, 1.0), (missed, 1.0)], load - negligible, math.inf)
        if not problem.must_cover and problem.miss_usd_per_row < problem.serverless_usd_per_row:
            # Nothing is missed on purpose: it would be cheaper, but serverless goes first.
            exhausted = self._program.add_column(0.0, 0.0, 1.0, whole=True)
            self._program.add_row([(serverless, 1.0), (exhausted, -serverless_max)], 0.0, math.inf)
            self._program.add_row([(exhausted, load), (missed, -1.0)], 0.0, math.inf)
        return missed

    def _add_twins(self) -> None:
        for family, columns in zip(self._families, self._counts, strict=True):
            if family.twin >= 0:
                twins = self._counts[family.twin]
                for step in columns.keys() & twins.keys():
                    self._program.add_row([(columns[step], 1.0), (twins[step], 1.0)], 0.0, family.count_max)

    def _add_pools(self) -> None:
        for number, limits in enumerate(self._problem.pool_limits_rows_per_s):
            members = [
                (columns, rows)
                for family, columns, rows in zip(self._families, self._counts, self._capacities, strict=True)
                if family.pool == number
            ]
            for step, limit in enumerate(limits):
                terms = [
                    (columns[step], float(rows[step]) / self._unit) for columns, rows in members if step in columns
                ]
                # Running ones that are kept may be more than the limit; no more come to them then.
                kept = sum(factor * self._program.lower[column] for column, factor in terms)
                most = max(float(limit) / self._unit, kept)
                self._program.add_row(terms, 0.0, most * (1 + _NEGLIGIBLE_SHARE))
