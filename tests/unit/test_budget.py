"""How what may be spent is shared among models, and how a day's cap becomes one of the hour."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.controlplane.budget import Budget
from mark.domain.budget import BudgetCaps
from mark.live.shared_budget import SharedBudget

HOUR_NS = 3600 * 10**9
MODELS = ("a", "b", "c")


def budget(usd_per_hour: float = 9.0, models: tuple[str, ...] = MODELS) -> Budget:
    return Budget(BudgetCaps(usd_per_hour=usd_per_hour), models)


def test_before_the_others_have_asked_each_may_have_an_even_share() -> None:
    assert budget().ask("a", 100.0, 0.0) == pytest.approx(3.0)


def test_who_wants_little_gets_it_and_the_rest_is_shared_evenly() -> None:
    shared = budget()
    for _ in range(2):  # the second time everybody's wish is known
        grants = {name: shared.ask(name, wanted, 0.0) for name, wanted in (("a", 1.0), ("b", 20.0), ("c", 20.0))}

    assert grants == pytest.approx({"a": 1.0, "b": 4.0, "c": 4.0})


def test_where_all_have_what_they_want_the_rest_is_there_for_who_asks() -> None:
    shared = budget(models=("a",))

    assert shared.ask("a", 2.0, 0.0) == pytest.approx(9.0)


def test_what_another_holds_is_granted_to_nobody_before_it_has_let_go() -> None:
    shared = budget(models=("a", "b"))
    shared.ask("a", 1.0, 0.0)
    assert shared.ask("b", 8.0, 0.0) == pytest.approx(8.0)

    # Now a wants as much; b is told so at its next turn, and holds what it has until then.
    assert shared.ask("a", 8.0, 1.0) == pytest.approx(1.0)
    assert shared.ask("b", 8.0, 8.0) == pytest.approx(4.5)
    assert shared.ask("a", 8.0, 1.0) == pytest.approx(1.0)
    assert shared.ask("b", 8.0, 4.5) == pytest.approx(4.5)
    assert shared.ask("a", 8.0, 1.0) == pytest.approx(4.5)


Turn = tuple[str, float, float]


@given(st.lists(st.tuples(st.sampled_from(MODELS), st.floats(0, 50), st.floats(0, 1)), max_size=40))
def test_what_models_commit_within_their_grants_never_exceeds_the_cap(turns: list[Turn]) -> None:
    shared, held = budget(), dict.fromkeys(MODELS, 0.0)
    for model, wanted, used in turns:
        allowed = shared.ask(model, wanted, held[model])
        # It lets go of what is too much only after it was told, and may launch up to what is allowed.
        held[model] = allowed * used if held[model] <= allowed else allowed

        assert sum(held.values()) <= 9.0 + 1e-9


def test_a_day_begins_with_half_of_it_and_later_hours_keep_theirs() -> None:
    paced = Budget(BudgetCaps(usd_per_day=48.0), ["a"])
    paced.spent(0, 0.0)
    assert paced.usd_per_hour == pytest.approx((48.0 - 23.0) / (62 / 60))

    paced.spent(12 * HOUR_NS, 36.0)  # what may go ahead of the clock is gone: half of an even share is left
    assert paced.usd_per_hour == pytest.approx(1.0, rel=0.05)
    paced.spent(12 * HOUR_NS, 48.5)
    assert paced.usd_per_hour == 0.0
    paced.spent(24 * HOUR_NS, 0.0)
    assert paced.usd_per_hour == pytest.approx((48.0 - 23.0) / (62 / 60))


def test_both_caps_hold() -> None:
    both = Budget(BudgetCaps(usd_per_hour=5.0, usd_per_day=48.0), ["a"])
    assert both.usd_per_hour == pytest.approx(2.0)  # until it is told the time
    both.spent(0, 0.0)
    assert both.usd_per_hour == pytest.approx(5.0)


@given(st.lists(st.floats(0, 1), min_size=24 * 12, max_size=24 * 12))
def test_who_spends_all_that_is_allowed_keeps_to_the_day_and_always_has_something(greed: list[float]) -> None:
    paced, spent_usd, step_ns = Budget(BudgetCaps(usd_per_day=24.0), ["a"]), 0.0, HOUR_NS // 12
    for number, share in enumerate(greed):
        paced.spent(number * step_ns, spent_usd)
        assert paced.usd_per_hour >= 0.4  # an even share would be 1
        spent_usd += paced.usd_per_hour * share / 12

    assert spent_usd <= 24.0


def test_caps_of_nothing_are_refused() -> None:
    for caps in ({"usd_per_hour": 0.0}, {"usd_per_day": -1.0}, {"usd_per_hour": float("nan")}):
        with pytest.raises(ValueError, match="positive"):
            BudgetCaps(**caps)


def test_a_shared_budget_grants_no_more_to_many_threads_at_once() -> None:
    models = [f"m{number}" for number in range(8)]
    shared = SharedBudget(BudgetCaps(usd_per_hour=10.0), models)
    shared.spent(0, 0.0)

    with ThreadPoolExecutor(8) as threads:
        for _ in range(50):
            grants = list(threads.map(lambda name: shared.ask(name, 5.0, 0.0), models))

    assert sum(grants) == pytest.approx(10.0)
    assert shared.caps == BudgetCaps(usd_per_hour=10.0)
