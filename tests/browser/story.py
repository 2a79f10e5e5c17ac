"""A made-up day of one model: load in waves, a fleet that follows it, one interruption, and what was decided."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from mark.domain.fleet import InstanceId
from mark.domain.forecast import Forecast
from mark.domain.plan import Action, Alternative, Launch, Retire
from mark.domain.record import Record, RecordedInstance, RecordKind, RecordSnapshot
from mark.domain.sample import ModelSample

__all__ = ["BEGAN_UNIX_S", "Story"]

BEGAN_UNIX_S = 1_790_000_000.0
_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
_PRICES = {"c7i.large": 0.0893, "c7i.large-spot": 0.0341, "t3.large": 0.0832}
_CAPACITIES = {"c7i.large": 62.0, "c7i.large-spot": 62.0, "t3.large": 40.0}
_MARKETS = {"c7i.large": "on_demand", "c7i.large-spot": "spot", "t3.large": "burstable"}


@dataclass
class Story:
    """Tells samples and records, one second after the other, always the same.

    Attributes:
        model: its name.
        seconds: how long it is; the interruption is at two thirds of it.
        step_s: a plan is made once in this time.
    """

    model: str = "digits"
    seconds: int = 900
    step_s: int = 10

    def samples(self) -> Iterator[ModelSample]:
        """One for each second."""
        draw = random.Random(7)
        usd_total = usd_peak = 0.0
        for second in range(self.seconds):
            load = max(0.0, self._load(second) * draw.gauss(1.0, 0.06))
            fleet = self._fleet(second)
            rates = dict.fromkeys(("on_demand", "spot", "burstable"), 0.0)
            for name, count in fleet.items():
                rates[_MARKETS[name]] += count * _PRICES[name]
            capacity = sum(_CAPACITIES[name] * count for name, count in fleet.items())
            trouble = max(0.0, 1 - abs(second - self.interrupted_at) / (self.seconds * 0.02))
            usd_total += sum(rates.values()) / 3600
            usd_peak += 7 * _PRICES["c7i.large"] / 3600
            p50 = 28 + 30 * load / max(capacity, 1) + draw.random() * 4
            forecast = self._forecast(second)
            in_time = 1.0 - 0.06 * trouble - 0.002 * draw.random()
            yield ModelSample(
                unix_s=BEGAN_UNIX_S + second,
                model=self.model,
                load_per_s=load,
                requests_per_s={"answered": load * in_time, "late": load * (1 - in_time)},
                forecast=forecast,
                forecast_unix_s=BEGAN_UNIX_S + second - second % self.step_s,
                foreseen_per_s={
                    "bound": forecast.rates_per_s[0],
                    **{f"{level:g}": rates[0] for level, rates in zip(_LEVELS, forecast.quantiles_per_s, strict=True)},
                },
                capacity_planned_per_s=capacity,
                capacity_ready_per_s=capacity * (1 - 0.45 * trouble),
                instances={
                    "on_demand": {"ready": fleet["c7i.large"]},
                    "spot": {"ready": fleet["c7i.large-spot"], "pending": int(second % 97 < 6)},
                    "burstable": {"ready": fleet["t3.large"]},
                },
                latency_ms={"p50": p50, "p98": p50 * 2.4 + 120 * trouble, "p99": p50 * 3.1 + 160 * trouble},
                rt_max_ms=300.0,
                sl_min=0.98,
                attainment={60: in_time, 300: 0.9963, 1800: 0.9971, 3600: 0.99684, 21600: 0.99812},
                burn_rate={60: (1 - in_time) / 0.02, 300: 0.19, 1800: 0.15, 3600: 0.16, 21600: 0.09},
                error_budget_left=1.0 - 0.7 * second / self.seconds,
                queued=int(load / 40),
                in_flight=int(load / 12),
                usd_per_hour=rates,
                usd_total=usd_total,
                usd_peak_sized=usd_peak,
            )

    @property
    def interrupted_at(self) -> int:
        """The second of the notice."""
        return self.seconds * 2 // 3

    def records(self, until: int | None = None) -> Iterator[Record]:
        """A plan for each step before a second, and what the interruption was answered with."""
        before = self._fleet(0)
        for second in range(0, self.seconds if until is None else until, self.step_s):
            fleet = self._fleet(second)
            actions: list[Action] = []
            for name in fleet:
                more = fleet[name] - before[name]
                why = f"carries {_CAPACITIES[name]:.0f} of the rows/s that the bound asks for; needed most at step 3"
                actions += [Launch(name, f"t{second}-{number}", why) for number in range(more)]
                gone = [InstanceId(f"i-{name}-{fleet[name] + number}") for number in range(-more)]
                actions += [Retire(instance, "not needed for 300 s") for instance in gone]
            if second - second % self.step_s == self.interrupted_at - self.interrupted_at % self.step_s:
                yield self._record(second, RecordKind.INTERRUPTION, "The cloud takes 3 spot instances of the pool "
                                   "c7i.large in us-east-1a away in 120 s", (), ())  # fmt: skip
                bridge: tuple[Action, ...] = (
                    Launch("t3.large", "b1", "stands in"),
                    Launch("t3.large", "b2", "stands in"),
                )
                yield self._record(
                    second, RecordKind.BRIDGE, "Standbys take over what the cloud takes away", bridge, ()
                )
            alternatives = (
                Alternative("1 x c7i.large on demand", 0.0552, "costs more over the horizon"),
                Alternative("2 x t3.large", None, "their credits would end at step 9"),
            )
            high = max(self._forecast(second).rates_per_s)
            reason = f"load {self._load(second):.0f}, forecast {high:.0f} rows/s by linear quantiles at 95 %; " + (
                f"{len(actions)} actions" if actions else "nothing to do"
            )
            yield self._record(second, RecordKind.PLAN, reason, tuple(actions), alternatives if actions else ())
            before = fleet

    def _record(
        self, second: int, kind: RecordKind, reason: str, actions: tuple[Action, ...], others: tuple[Alternative, ...]
    ) -> Record:
        fleet, before = self._fleet(second), self._fleet(max(0, second - self.step_s))
        snapshot = RecordSnapshot(
            load_per_s=self._load(second),
            capacity_per_s=sum(_CAPACITIES[name] * count for name, count in fleet.items()),
            forecast=self._forecast(second),
            instances=tuple(
                RecordedInstance(InstanceId(f"i-{name}-{n}"), name, _MARKETS[name], "ready", 60.0 * n, _PRICES[name])
                for name, count in before.items()
                for n in range(count)
            ),
            unavailable_s={"c7i.large-spot": 90.0} if kind is RecordKind.BRIDGE else {},
            prices_usd_per_hour=_PRICES,
            capacities_per_s=_CAPACITIES,
        )
        return Record(
            id=f"{self.model}-1f3a-{second}-{kind.value}",
            at_ns=second * 1_000_000_000,
            unix_s=BEGAN_UNIX_S + second,
            model=self.model,
            kind=kind,
            reason=reason,
            actions=actions,
            alternatives=others,
            usd_per_hour=sum(_PRICES[name] * count for name, count in fleet.items()),
            snapshot=snapshot,
        )

    def _load(self, second: float) -> float:
        return 190 - 120 * math.cos(2 * math.pi * 2.2 * second / self.seconds) + 40 * math.sin(second / 47)

    def _forecast(self, second: int) -> Forecast:
        step = second - second % self.step_s
        middle = [max(5.0, self._load(step + self.step_s * ahead)) for ahead in range(12)]
        spread = [1 + 0.05 * math.sqrt(1 + ahead) for ahead in range(12)]
        quantiles = tuple(
            tuple(rate * (1 + (level - 0.5) * 2 * (wide - 0.95)) for rate, wide in zip(middle, spread, strict=True))
            for level in _LEVELS
        )
        bounds = tuple(rate * (wide + 0.06) for rate, wide in zip(middle, spread, strict=True))
        return Forecast(float(self.step_s), bounds, "linear quantiles at 95 %", _LEVELS, quantiles)

    def _fleet(self, second: int) -> dict[str, int]:
        step = second - second % (2 * self.step_s)
        needed = max(1, math.ceil((self._load(step + 2 * self.step_s) + 40) * 1.12 / 62))
        troubled = self.interrupted_at <= second < self.interrupted_at + self.seconds * 0.06
        spot = max(0, needed - 1 - (3 if troubled else 0))
        return {"c7i.large": 1, "c7i.large-spot": spot, "t3.large": 3 if troubled else 0}
