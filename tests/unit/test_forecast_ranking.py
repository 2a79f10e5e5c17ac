"""Who leads, and when that changes."""

from __future__ import annotations

from mark.forecast.ranking import Ranking


def test_the_first_leads_until_another_has_enough_losses_and_is_clearly_better() -> None:
    ranking = Ranking(["old", "new"], margin=0.1, scores_min=5)
    for _ in range(4):
        ranking.add({"old": 10.0, "new": 1.0})
        assert ranking.champion == "old"

    ranking.add({"old": 10.0, "new": 1.0})
    assert ranking.champion == "new"


def test_a_challenger_within_the_margin_does_not_lead() -> None:
    ranking = Ranking(["old", "new"], margin=0.1, scores_min=1)
    for _ in range(50):
        ranking.add({"old": 1.0, "new": 0.95})

    assert ranking.champion == "old"


def test_what_is_long_past_is_forgotten() -> None:
    ranking = Ranking(["a", "b"], half_life=10, scores_min=1)
    for _ in range(1000):
        ranking.add({"a": 1.0, "b": 2.0})
    for _ in range(30):
        ranking.add({"a": 2.0, "b": 1.0})

    assert ranking.champion == "b"


def test_one_that_is_forgotten_hands_over() -> None:
    ranking = Ranking(["a", "b"], scores_min=2)
    for _ in range(5):
        ranking.add({"a": 1.0, "b": 2.0})

    ranking.forget("a")
    ranking.add({"b": 2.0})

    assert ranking.champion == "b"
    assert (ranking.loss("a"), ranking.count("b")) == (None, 6)
