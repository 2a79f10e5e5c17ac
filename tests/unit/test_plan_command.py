"""`mark plan`: what it asks the planner, and what it tells a person and a program."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mark.cli import main
from mark.cloud.catalog import scenario
from mark.domain.fleet_plan import FleetPlan, PlannedChange, RunningGroup
from mark.domain.forecast import Forecast
from mark.domain.offering import Serverless
from mark.errors import PlanningError

INCEPTION = "paper/inception-v3"
LAUNCH = PlannedChange("c5.large", -1, 3, 5, 0.27, "5 c5.xlarge", 0.125, "cheapest for what is left")
KEEP = PlannedChange("p2.xlarge", 0, 1, 0, 0.9, "", 0.0, "runs and is needed")
RETIRE = PlannedChange("c5.xlarge", 1, 2, -1, 0.34, "", 0.0, "nothing needs it")
PLAN = FleetPlan("refined", (LAUNCH,), (RETIRE,), (KEEP,), 1.155, 1.25, 40.0, {})


@dataclass(frozen=True)
class Options:
    """As the planner's own."""

    policy: str = "refined"
    serverless: Serverless | None = None


@dataclass(frozen=True)
class Gap:
    """As the solver's own."""

    gap: float = 0.0125
    optimum_usd: float = 1.2345
    proven: bool = True


@dataclass
class Planner:
    """Answers every question with the same plan, and remembers the last one."""

    answer: FleetPlan = PLAN
    error: Exception | None = None
    gap: Gap = field(default_factory=Gap)
    question: tuple[Any, ...] = ()

    def plan_fleet(self, *question: Any) -> FleetPlan:
        self.question = question
        if self.error is not None:
            raise self.error
        return self.answer

    def optimal_gap(self, *question: Any) -> Gap:
        assert question == (*self.question, self.answer)
        return self.gap


@pytest.fixture
def planner(monkeypatch: pytest.MonkeyPatch) -> Planner:
    stub = Planner()
    planning, optimum = ModuleType("mark.policies.planning"), ModuleType("mark.policies.optimum")
    vars(planning).update(plan_fleet=stub.plan_fleet, PlanningOptions=Options)
    vars(optimum).update(optimal_gap=stub.optimal_gap)
    monkeypatch.setitem(sys.modules, planning.__name__, planning)
    monkeypatch.setitem(sys.modules, optimum.__name__, optimum)
    return stub


Mark = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mark(planner: Planner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mark:
    """`mark plan` with these arguments: exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mark", "plan", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def refusal(mark: Mark, *arguments: object) -> str:
    """What a person is told, in one line."""
    code, out, err = mark(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mark: ")
    assert len(err.splitlines()) == 1
    return err.removeprefix("mark: ").rstrip("\n")


def test_help_has_an_example(mark: Mark) -> None:
    code, out, _ = mark("--help")

    assert code == 0
    assert "Example: mark plan paper/inception-v3 --rate 50" in " ".join(out.split())


def test_the_planner_is_asked_what_the_person_asks(mark: Mark, planner: Planner) -> None:
    mark(INCEPTION, "--rate", 50, "--running", "c5.large=3", "--policy", "greedy")

    offerings, capacities, running, forecast, options = planner.question
    asked = scenario(INCEPTION)
    assert (offerings, capacities, running) == (asked.offerings, asked.capacities, (RunningGroup("c5.large", 3),))
    assert forecast == Forecast(60.0, (50.0,) * 60, "--rate")
    assert options == Options("greedy", asked.serverless)


def test_the_refined_policy_plans_unless_told_otherwise(mark: Mark, planner: Planner) -> None:
    mark(INCEPTION, "--rate", 50)

    assert planner.question[-1].policy == "refined"


def test_steps_of_ones_own_replace_those_of_the_scenario(mark: Mark, planner: Planner) -> None:
    mark(INCEPTION, "--rate", 5, "--step-s", 300, "--horizon-steps", 12)

    assert planner.question[3] == Forecast(300.0, (5.0,) * 12, "--rate")


def test_a_forecast_is_read_with_its_note(mark: Mark, planner: Planner, tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("step,rate\n0,1\n1,3\n", encoding="utf-8")

    _, out, _ = mark(INCEPTION, "--forecast", path)

    assert planner.question[3].rates_per_s == (1.0, 3.0)
    assert out.startswith(f"{INCEPTION}: 1 to 3 requests/s")
    assert f"note: {path} ends after 2 of 60 steps, and so does the plan" in out.splitlines()


def test_prices_and_markets_are_those_that_were_asked_for(mark: Mark, planner: Planner) -> None:
    mark(INCEPTION, "--rate", 5, "--catalog", "aws-us-east-1", "--spot")

    prices = {offering.name: offering.price_usd_per_hour for offering in planner.question[0]}
    assert prices["c5.large/spot"] == 0.0347


def test_the_json_has_counts_costs_and_reasons(mark: Mark) -> None:
    code, out, _ = mark(INCEPTION, "--rate", 50, "--json")

    answer = json.loads(out)
    assert code == 0
    assert (answer["launch"], answer["retire"], answer["keep"]) == ({"c5.large": 3}, {"c5.xlarge": 2}, {"p2.xlarge": 1})
    assert (answer["cost_usd_per_hour"], answer["cost_usd_horizon"]) == (1.155, 1.25)
    assert answer["reasons"] == [
        "launch 3 c5.large: cheapest for what is left; needed most at step 5; next best 5 c5.xlarge, $0.1250 more",
        "retire 2 c5.xlarge: nothing needs it",
        "keep 1 p2.xlarge: runs and is needed; needed most at step 0",
    ]
    assert answer["milliseconds"] >= 0
    assert answer["optimal_gap"] is None
    assert (answer["policy"], answer["missed_requests"]) == ("refined", 40)
    assert "assumed: up to 100000 instances of each type can be had" in answer["notes"]


def test_changes_of_one_offering_are_added_up(mark: Mark, planner: Planner) -> None:
    planner.answer = FleetPlan("refined", (LAUNCH, LAUNCH), (), (), 0.51, 0.5, 0.0, {})

    assert json.loads(mark(INCEPTION, "--rate", 50, "--json")[1])["launch"] == {"c5.large": 6}


def test_the_json_has_the_gap_when_it_is_asked_for(mark: Mark) -> None:
    _, out, _ = mark(INCEPTION, "--rate", 50, "--json", "--optimal-gap")

    gap = json.loads(out)["optimal_gap"]
    assert gap.pop("seconds") >= 0
    assert gap == {"gap": 0.0125, "optimum_usd": 1.2345, "proven": True}


def test_what_the_solver_prints_itself_stays_out_of_the_json(
    planner: Planner, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def noisy(*question: Any) -> Gap:
        ctypes.CDLL(None).puts(b"HiGHS says something")
        return Gap()

    monkeypatch.setattr(sys.modules["mark.policies.optimum"], "optimal_gap", noisy)
    monkeypatch.setattr(sys, "argv", ["mark", "plan", INCEPTION, "--rate", "50", "--json", "--optimal-gap"])
    with pytest.raises(SystemExit):
        main()

    ctypes.CDLL(None).fflush(None)
    shown = capfd.readouterr()
    assert json.loads(shown.out)["optimal_gap"]["proven"]
    assert "HiGHS says something" in shown.err


def test_a_gap_that_no_share_of_dollars_says_is_null_and_said_in_words(mark: Mark, planner: Planner) -> None:
    planner.gap = Gap(gap=math.inf)

    assert json.loads(mark(INCEPTION, "--rate", 50, "--json", "--optimal-gap")[1])["optimal_gap"]["gap"] is None
    shown = mark(INCEPTION, "--rate", 50, "--optimal-gap")[1]
    assert "not to be compared with the optimum, $1.2345, in dollars alone, found in" in shown


def test_the_gap_is_not_had_without_scipy(mark: Mark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert refusal(mark, INCEPTION, "--rate", 5, "--optimal-gap").startswith("--optimal-gap needs SciPy")


def test_a_person_gets_a_table_with_the_reasons(mark: Mark) -> None:
    code, out, _ = mark(INCEPTION, "--rate", 50)

    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if "│" in line]
    assert code == 0
    assert out.startswith(f"{INCEPTION}: 50 requests/s, 98% within 600 ms")
    assert [row[1:5] for row in rows] == [
        ["launch", "c5.large", "3", "0.2550"],
        ["retire", "c5.xlarge", "2", "-0.3400"],
        ["keep", "p2.xlarge", "1", "0.9000"],
    ]
    assert rows[0][5].endswith("needed most at step 5; next best 5 c5.xlarge, $0.1250 more")


def test_totals_misses_and_notes_stand_below_the_table(mark: Mark) -> None:
    _, out, _ = mark(INCEPTION, "--rate", 50, "--optimal-gap")

    lines = out.splitlines()
    assert "$1.1550 per hour; $1.2500 over the horizon" in lines
    assert any(line.startswith("1.25% above the optimum, $1.2345, found in 0.0") for line in lines)
    assert "40 requests of the horizon can be served by nobody in time" in lines
    assert "note: prices are AWS us-east-1, 2018, as in the MArk paper" in lines


def test_an_optimum_that_is_not_proven_is_not_called_one(mark: Mark, planner: Planner) -> None:
    planner.gap = Gap(proven=False)

    words = "at most 1.25% above the optimum, which is no less than $1.2345, found in"
    assert words in mark(INCEPTION, "--rate", 5, "--optimal-gap")[1]


def test_that_no_plan_can_be_made_is_one_line(mark: Mark, planner: Planner) -> None:
    planner.error = PlanningError("no offering can be had: c5.large max_count 0")

    assert refusal(mark, INCEPTION, "--rate", 5) == "no offering can be had: c5.large max_count 0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --rate or --forecast, and not both"),
        (("--rate", 5, "--forecast", "x.csv"), "give either --rate or --forecast, and not both"),
        (("--rate", -1), "--rate must be from 0 to 1000000000, not -1.0"),
        (("--rate", "nan"), "--rate must be from 0 to 1000000000, not nan"),
        (("--rate", 5, "--step-s", 0), "--step-s must be positive and finite, not 0.0"),
        (("--rate", 5, "--step-s", 1e6), "--step-s must be from 0 to 86400, not 1000000.0"),
        (("--rate", 5, "--horizon-steps", 0), "--horizon-steps must be from 1 to 1440, not 0"),
        (("--rate", 5, "--model", "x"), "--model x: paper/inception-v3 is one model"),
        (("--rate", 5, "--catalog", "aws"), "there is no catalogue 'aws'; did you mean 'aws-2018'?"),
        (("--rate", 5, "--running", "c6.large=1"), "--running c6.large=1: 'c6.large' is not offered; known are c5.lar"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(mark: Mark, arguments: tuple[object, ...], words: str) -> None:
    assert refusal(mark, INCEPTION, *arguments).startswith(words)
