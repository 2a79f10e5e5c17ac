"""Several predictors, scored online: the best of late serves, and none that fails reaches the controller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from unit.forecast_series import Constant

from mark.errors import ForecastError
from mark.forecast.background import InlineBackground, Job, RefitOutcome, Refits, held_out_loss
from mark.forecast.champion import Champion, ChampionOptions
from mark.forecast.fan import HORIZON_STEPS, LEVELS, QuantileFan, QuantilePredictor, flat_fan
from mark.live.background import ThreadBackground


class Rig:
    """A champion in virtual time, over a load that is given step by step."""

    def __init__(self, predictors: Sequence[QuantilePredictor], **options: Any) -> None:
        refits = options.pop("refits", None)
        background = options.pop("background", InlineBackground())
        self.step = 0
        self.history: list[float] = []
        self.champion = Champion(predictors, lambda: self.step, background, ChampionOptions(**options), refits)

    def see(self, *rates: float) -> str:
        """Live through steps with these rates, and return who served the last forecast."""
        words = ""
        for rate in rates:
            self.history.append(rate)
            self.step += 1
            self.last = self.champion.forecast(np.array(self.history), 60.0, HORIZON_STEPS)
            words = self.last.forecaster
        return words

    def rates(self, horizon_steps: int = HORIZON_STEPS) -> tuple[float, ...]:
        return self.champion.forecast(np.array(self.history), 60.0, horizon_steps).rates_per_s


def noisy(count: int, level: float = 100.0) -> list[float]:
    """Independent from step to step, so that a constant bound is the best there is."""
    values: list[float] = (level * np.random.default_rng(5).lognormal(0.0, 1.0, count)).tolist()
    return values


def test_a_newcomer_is_served_by_the_moving_maximum_with_headroom() -> None:
    rig = Rig([])
    assert rig.rates(3) == (0.0, 0.0, 0.0)

    assert rig.see(50.0, 80.0, 60.0) == "moving maximum at 95 %"
    assert rig.rates(2) == pytest.approx((96.0, 96.0))


def test_a_forecast_has_the_quantiles_of_the_fan_that_serves_as_far_as_it_was_asked_for() -> None:
    rig = Rig([])
    rig.see(50.0, 80.0, 60.0)

    assert rig.last.levels == LEVELS
    assert [len(quantiles) for quantiles in rig.last.quantiles_per_s] == [HORIZON_STEPS] * len(LEVELS)
    assert rig.last.quantiles_per_s[0][0] == 80.0  # a moving maximum does not know how sure it is
    assert rig.last.fallback == ""
    assert {len(each) for each in rig.champion.forecast(np.array(rig.history), 60.0, 7).quantiles_per_s} == {7}


def test_a_better_predictor_takes_over_by_itself_and_is_calibrated() -> None:
    rig = Rig([Constant(60.0)])
    load = noisy(1500)

    assert rig.see(*load[:30]).startswith("moving maximum")
    assert rig.see(*load[30:]).startswith("constant")
    moving, constant = rig.champion.standings()
    assert (moving.champion, constant.champion) == (False, True)
    assert constant.pinball is not None
    assert moving.pinball is not None
    assert constant.pinball < moving.pinball
    assert constant.held == pytest.approx(0.95, abs=0.03)
    assert rig.rates()[0] > 150.0  # far above the 60 that it predicted


def test_a_predictor_that_needs_more_history_waits_for_it() -> None:
    late = Constant(100.0, history_steps=20)
    rig = Rig([late])
    rig.see(*noisy(19))
    assert late.asked_at == []

    rig.see(1.0)
    assert late.asked_at == [20]
    assert rig.champion.standings()[1].failures == {}


class Faulty(Constant):
    """Does something else from some step on."""

    def __init__(self, since: int, fault: Callable[[], QuantileFan]) -> None:
        super().__init__(60.0)
        self.since, self.fault = since, fault

    def predict(self, history: npt.NDArray[np.float64], first_step: int) -> QuantileFan:
        return self.fault() if first_step > self.since else super().predict(history, first_step)


def raise_at_once() -> QuantileFan:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (raise_at_once, "raised", "RuntimeError: out of memory"),
        (lambda: flat_fan([float("nan")] * HORIZON_STEPS), "no rate", "must be finite"),
        (lambda: flat_fan([1.0, 2.0]), "no rate", "no fan of 60 steps"),
        (lambda: None, "no rate", "no fan"),
    ],
)
def test_a_champion_that_fails_is_replaced_within_the_step_and_named(
    fault: Callable[[], QuantileFan], kind: str, words: str
) -> None:
    rig = Rig([Faulty(600, fault)])
    assert rig.see(*noisy(600)).startswith("constant")

    said = rig.see(100.0)

    assert said.startswith("moving maximum at 95 % in place of constant, which failed 1 times")
    assert words in said
    assert said == f"moving maximum at 95 % {rig.last.fallback}"
    assert rig.champion.standings()[1].failures == {kind: 1}
    assert np.all(np.isfinite(rig.rates()))


def test_one_that_goes_on_failing_loses_the_lead_until_it_has_proved_itself_anew() -> None:
    rig = Rig([Faulty(600, raise_at_once)], rule_steps=5)
    rig.see(*noisy(600))

    assert rig.see(*noisy(20)) == "moving maximum at 95 %"


def test_one_that_takes_too_long_is_passed_over_and_not_asked_again_meanwhile() -> None:
    release, begun, asked = threading.Event(), threading.Event(), []

    def hang() -> QuantileFan:
        asked.append(1)
        begun.set()
        release.wait(60)
        return flat_fan([1.0] * HORIZON_STEPS)

    rig = Rig([Faulty(0, hang)], background=ThreadBackground(), budget_s=0.02)
    try:
        began = time.monotonic()
        assert rig.see(10.0, 20.0, 30.0).startswith("moving maximum")
        assert time.monotonic() - began < 30
        assert begun.wait(30)  # its thread may come later than the budget ends
        standing = rig.champion.standings()[1]
        assert (standing.failures, len(asked)) == ({"too slow": 3}, 1)
        assert "not ended" in standing.last_failure
    finally:
        release.set()


def test_the_first_steps_are_served_the_bound_of_their_common_maximum() -> None:
    class Rising(Constant):
        def predict(self, history: npt.NDArray[np.float64], first_step: int) -> QuantileFan:
            return flat_fan(np.arange(1.0, HORIZON_STEPS + 1))

    rig = Rig([Rising(0.0)], rule_steps=4)
    rig.see(*np.full(400, 2.0))
    champion = rig.champion
    assert champion.fan is not None
    rates = rig.rates(70)
    assert len(rates) == 70
    assert len(set(rates[:4])) == 1
    assert len(set(rates[60:])) == 1


def test_entries_that_are_no_rates_do_not_end_it() -> None:
    rig = Rig([Constant(60.0)])

    assert rig.see(float("nan")) == "moving maximum"
    rig.see(50.0, float("nan"), -3.0, float("inf"))
    assert rig.rates(2) == pytest.approx((60.0, 60.0))


def test_skipped_steps_do_not_confuse_it() -> None:
    rig = Rig([Constant(60.0)])
    rig.see(*noisy(300))
    rig.history += noisy(100)
    rig.step += 100

    rig.see(*noisy(300))

    assert rig.champion.standings()[1].scored == 460  # 120 were needed to calibrate


class Held:
    """Background work that runs when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[HeldJob] = []

    def start_work(self, work: Callable[[], object]) -> Job:
        self.waiting.append(HeldJob(work))
        return self.waiting[-1]


class HeldJob:
    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.job: Job | None = None

    def run(self) -> None:
        self.job = InlineBackground().start_work(self.work)

    def wait(self, timeout_s: float) -> bool:
        return self.job is not None

    def outcome(self) -> object:
        assert self.job is not None
        return self.job.outcome()


def refit_of(rate: float, serving: Constant | None) -> RefitOutcome:
    background = Held()
    refits = Refits({"constant": lambda series, first: Constant(rate)}, {"constant": 100}, background)
    present = {} if serving is None else {"constant": serving}
    series = np.full(800, 50.0)
    assert refits.poll(series, 800, present) is None
    assert refits.poll(series, 801, present) is None
    background.waiting[0].run()
    ended = refits.poll(series, 802, present)
    assert ended is not None
    assert len(background.waiting) == 1
    refits.poll(series, 900, present)
    assert len(background.waiting) == 2
    return ended


def test_a_refit_is_promoted_only_when_it_is_better_on_what_was_held_out() -> None:
    better = refit_of(50.0, Constant(70.0))
    worse = refit_of(90.0, Constant(70.0))
    first = refit_of(90.0, None)

    assert better.promoted is not None
    assert "held-out pinball loss 0, that of the present one" in better.reason
    assert worse.promoted is None
    assert first.promoted is not None


def test_a_refit_that_raises_is_told_and_changes_nothing() -> None:
    def fail(series: npt.NDArray[np.float64], first_step: int) -> QuantilePredictor:
        raise ForecastError("too short")

    refits = Refits({"constant": fail}, {"constant": 1000}, InlineBackground())
    rig = Rig([Constant(60.0)], refits=refits)
    rig.see(1.0, 2.0, 3.0)

    assert rig.champion.last_refit == RefitOutcome("constant", None, "too short")


def test_a_step_never_waits_for_a_refit() -> None:
    release = threading.Event()

    def fit(series: npt.NDArray[np.float64], first_step: int) -> QuantilePredictor:
        release.wait(60)
        return Constant(60.0)

    rig = Rig([], refits=Refits({"constant": fit}, {"constant": 10_000}, ThreadBackground()))
    try:
        began = time.monotonic()
        rig.see(1.0, 2.0, 3.0)
        assert time.monotonic() - began < 30
        assert [standing.name for standing in rig.champion.standings()] == ["moving maximum"]
    finally:
        release.set()
    deadline = time.monotonic() + 30
    while rig.champion.last_refit is None and time.monotonic() < deadline:
        rig.see(4.0)
    assert [standing.name for standing in rig.champion.standings()] == ["moving maximum", "constant"]


def test_a_predictor_joins_once_it_could_be_fitted() -> None:
    refits = Refits({"constant": lambda series, first: Constant(60.0)}, {"constant": 10_000}, InlineBackground())
    rig = Rig([], refits=refits)

    assert rig.see(*noisy(1500)).startswith("constant")


def test_no_fit_begins_before_the_history_is_long_enough() -> None:
    fitted_on: list[int] = []

    def fit(series: npt.NDArray[np.float64], first_step: int) -> QuantilePredictor:
        fitted_on.append(len(series))
        return Constant(60.0)

    refits = Refits({"constant": fit}, {"constant": 10_000}, InlineBackground(), {"constant": 5})
    Rig([], refits=refits).see(*noisy(20))

    assert fitted_on == [5]


def test_the_predictor_that_is_to_lead_serves_whoever_is_better() -> None:
    rig = Rig([Constant(60.0), Constant(1.0, "poor")], leader="poor")

    assert rig.see(*noisy(1500)).startswith("poor at 95 %")
    assert [standing.name for standing in rig.champion.standings() if standing.champion] == ["poor"]


def test_until_the_one_that_is_to_lead_can_the_moving_maximum_serves_and_says_so() -> None:
    rig = Rig([Constant(60.0, "late", history_steps=3)], leader="late")

    assert rig.see(1.0, 2.0) == "moving maximum at 95 % until late has enough history"
    assert rig.last.fallback == ""  # it has not failed
    assert rig.see(3.0) == "late at 95 %"


def test_a_replay_teaches_what_living_through_the_history_would_have() -> None:
    load = noisy(1500)
    lived, replayed = Rig([Constant(60.0)]), Rig([Constant(60.0)])
    lived.see(*load[:-1])
    for rig in (lived, replayed):
        rig.history, rig.step = list(load), len(load)
    replayed.champion.replay(np.array(load), len(load), 60.0)

    assert replayed.rates() == pytest.approx(lived.rates())
    assert replayed.champion.standings() == lived.champion.standings()


def test_held_out_steps_must_hold_a_horizon() -> None:
    with pytest.raises(ForecastError, match="fewer than the horizon"):
        held_out_loss(Constant(1.0), np.ones(100), 90, 0)


@pytest.mark.parametrize("options", [{"level": 1.0}, {"rule_steps": 0}, {"rule_steps": 61}, {"budget_s": 0.0}])
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ForecastError):
        ChampionOptions(**options)
