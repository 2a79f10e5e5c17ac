"""`mark simulate` and `mark compare`: what they ask the simulator, and what they tell a person and a program."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from unit.simulation_reports import MadeUp

from mark.app import simulation
from mark.app.simulation import POLICIES, SimulationQuestion
from mark.cli import main
from mark.cli.simulation_run import ProgressBars
from mark.domain.simulation_report import SimulationReport

INCEPTION = "paper/inception-v3"
Asked = list[tuple[SimulationQuestion, str]]
Mark = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    questions: Asked = []

    def run(question: SimulationQuestion, policy: str, on_progress: Callable[[float], None]) -> SimulationReport:
        questions.append((question, policy))
        on_progress(60.0)
        return MadeUp(policy, miss_share=0.5 if policy == "reactive" else 0.004).report()

    monkeypatch.setattr(simulation, "run", run)
    return questions


@pytest.fixture
def mark(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mark:
    """`mark` with these arguments and a trace: exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    trace = tmp_path / "day.csv"
    trace.write_text("minute,requests\n0,600\n1,1200\n", encoding="utf-8")

    def run(command: str, *arguments: object) -> tuple[int, str, str]:
        words = ["mark", command, INCEPTION, "--trace", str(trace), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def test_the_simulator_is_asked_what_the_person_asks(mark: Mark, asked: Asked, tmp_path: Path) -> None:
    code, _, err = mark("simulate", "--policy", "oracle", "--seed", 3, "--hours", 2, "--scale", 0.5)

    assert (code, err) == (0, "")
    assert asked == [(SimulationQuestion(INCEPTION, None, tmp_path / "day.csv", 3, 2.0, 0.5), "oracle")]


def test_a_history_and_a_model_of_it_are_part_of_the_question(mark: Mark, asked: Asked, tmp_path: Path) -> None:
    mark("compare", "--policies", "mark", "--history-hours", 0.01, "--forecast-model", "x.forecast")

    [(question, _)] = asked
    assert (question.history_hours, question.forecast_model) == (0.01, Path("x.forecast"))


def test_the_json_of_a_run_is_its_report(mark: Mark) -> None:
    assert json.loads(mark("simulate", "--json")[1]) == MadeUp("mark").report().as_dict()


def test_the_json_of_a_comparison_has_the_reports_in_the_order_asked_for(mark: Mark) -> None:
    answer = json.loads(mark("compare", "--policies", "reactive, mark", "--json")[1])

    assert answer["scenario"] == INCEPTION
    assert [report["policy"] for report in answer["reports"]] == ["reactive", "mark"]


def test_all_policies_are_compared_unless_told_otherwise(mark: Mark, asked: Asked) -> None:
    mark("compare")

    assert tuple(policy for _, policy in asked) == POLICIES


def test_a_person_gets_tables_the_answer_and_each_note_once(mark: Mark) -> None:
    _, out, _ = mark("compare", "--policies", "mark,reactive")

    rows = [line.split() for line in out.splitlines()]
    assert [row[:2] for row in rows if row[1:2] in (["kept"], ["broken"])] == [["mark", "kept"], ["reactive", "broken"]]
    assert "mark is the only policy that keeps the promise (98.00% within 600 ms)" in out
    assert out.count("note: assumed: instances boot in 60 s") == 1


def test_the_page_is_written_and_said(mark: Mark, tmp_path: Path) -> None:
    path = tmp_path / "day.html"
    code, _, err = mark("compare", "--policies", "mark", "--html", path)

    assert (code, err) == (0, f"wrote {path}\n")
    assert "<h1>Policies compared: paper/inception-v3</h1>" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate", "--policy", "mrak"), "--policy: there is no policy 'mrak'; did you mean 'mark'? known are mark,"),
        (("compare", "--policies", "mark,orakel"), "--policies: there is no policy 'orakel'; did you mean 'oracle'?"),
        (("compare", "--policies", "mark,oracle,mark"), "--policies: mark is given twice"),
        (("compare", "--policies", " , "), "--policies: names no policy"),
        (("simulate", "--hours", 0), "--hours must be positive and finite, not 0.0"),
        (("simulate", "--scale", "nan"), "--scale must be positive and finite, not nan"),
        (("compare", "--history-hours", -1), "--history-hours must be 0.0 or more, not -1.0"),
        (("compare", "--history-hours", 1), "--history-hours 1: "),
        (("compare", "--seed", -1), "--seed must be 0 or more, not -1"),
        (("simulate", "--model", "x"), "--model x: paper/inception-v3 is one model"),
        (("simulate", "--trace", "none.csv"), "none.csv: cannot be read"),
        (("compare", "--html", "missing/day.html"), "--html missing/day.html: there is no folder"),
        (("compare", "--html", "."), "--html .: is a folder; name a file"),
        (("compare", "--html", "/dev/null"), "--html /dev/null: is no file that could be replaced"),
        (("compare", "--html", "x" * 300), f"--html {'x' * 300}: cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_nothing_is_simulated(
    mark: Mark, asked: Asked, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = mark(*arguments)

    assert (code, out, asked) == (2, "", [])
    assert err.startswith(f"mark: {words}")
    assert len(err.splitlines()) == 1


def test_ctrl_c_ends_quietly(mark: Mark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*question: object) -> SimulationReport:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "run", interrupted)

    assert mark("compare", "--html", tmp_path / "day.html") == (130, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["day.csv"]


def test_a_terminal_sees_how_far_a_run_is(mark: Mark, tmp_path: Path) -> None:
    written = io.StringIO()
    bars = ProgressBars(Console(file=written, force_terminal=True, width=120), 90.0, 10.0)
    with bars.shown():
        bars.begin("mark")(60.0)

    assert "mark" in written.getvalue()
    assert bars.words(60.0, 2.0) == "60 s of 90 s, about 300 requests/s"
