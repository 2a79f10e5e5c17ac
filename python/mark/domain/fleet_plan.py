"""A plan for a whole fleet: what to launch, retire and keep now, why, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FleetPlan", "PlannedChange", "RunningGroup"]


@dataclass(frozen=True, slots=True)
class RunningGroup:
    """Instances that are alike in everything that matters to a plan.

    Attributes:
        offering: name of their offering.
        count: how many.
        ready_in_s: until they serve; 0 when they do now.
        kept_for_s: they are not to be retired before.
        credits_s: seconds that a burstable still serves at full capacity; None for as many as a new one.
    """

    offering: str
    count: int
    ready_in_s: float = 0.0
    kept_for_s: float = 0.0
    credits_s: float | None = None


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """Some instances of an offering that are launched, retired or kept now, and why.

    Attributes:
        offering: its name.
        group: index of the running group; -1 for launches.
        count: how many.
        binding_step: the step that needs them most; -1 when none does (retired ones).
        usd: what they cost over the horizon; of retired ones, what they would have cost.
        alternative: in words, the best that was rejected; empty when there was none.
        alternative_extra_usd: what that would have cost more over the horizon.
        reason: why it was chosen, in words.
    """

    offering: str
    group: int
    count: int
    binding_step: int
    usd: float
    alternative: str
    alternative_extra_usd: float
    reason: str

    @property
    def why(self) -> str:
        """The reason, the step that needs them most, and the best that was rejected, in one line."""
        parts = [self.reason]
        if self.binding_step >= 0:
            parts.append(f"needed most at step {self.binding_step}")
        if self.alternative:
            parts.append(f"next best {self.alternative}, ${self.alternative_extra_usd:.4f} more")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What a policy decided for a forecast.

    Attributes:
        policy: "greedy" or "refined".
        launch: to rent now.
        retire: to give back now.
        keep: that run or boot and stay.
        cost_usd_per_hour: of what is kept and launched, while it runs.
        cost_usd_horizon: of the whole schedule: instances, launches, serverless and priced misses.
        missed_rows: that no one can be had for, over the horizon.
        counts: instances by offering and step, as the schedule has them now: offering -> one number for each step.
    """

    policy: str
    launch: tuple[PlannedChange, ...]
    retire: tuple[PlannedChange, ...]
    keep: tuple[PlannedChange, ...]
    cost_usd_per_hour: float
    cost_usd_horizon: float
    missed_rows: float
    counts: dict[str, tuple[int, ...]]
