"""What live and simulated request paths have done so far, told alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from mark._core import BreakerState, BurstVerdict, Outcome
from mark.app.simulated_scenario import simulated_scenario
from mark.app.simulation import Told, simulate
from mark.controlplane.tallies import Tally
from mark.domain.functions import FunctionUse
from mark.domain.load import RecordedLoad
from mark.domain.record import Record, RecordKind
from mark.errors import ConfigError
from mark.live.record_file import RecordLines
from mark.live.record_log import read_log
from mark.live.recorder import MemoryRecorder
from mark.live.tally import tally_of

ENDED = {Outcome.ANSWERED: 90, Outcome.LATE: 1, Outcome.QUEUE_FULL: 4, Outcome.PREDICTED_MISS: 3, Outcome.EXPIRED: 2}


@dataclass
class Bursts:
    breaker: BreakerState = BreakerState.HALF_OPEN
    verdicts: dict[BurstVerdict, int] = field(default_factory=lambda: {BurstVerdict.AT_LIMIT: 7, BurstVerdict.SEND: 5})

    def statistics(self) -> Bursts:
        return self

    def decided(self, verdict: BurstVerdict) -> int:
        return self.verdicts.get(verdict, 0)

    def use(self) -> FunctionUse:
        return FunctionUse(alive=2, warm=1, cold_starts=3, usd=0.25)


@dataclass
class RequestPath:
    bursts: Bursts | None = None
    submitted_rows: int = 123

    def statistics(self) -> RequestPath:
        return self

    def ended(self, outcome: Outcome) -> int:
        return ENDED.get(outcome, 0)


def test_a_live_path_without_functions() -> None:
    shed = {"queue_full": 4, "predicted_miss": 3, "expired": 2, "beyond_the_budget": 0}

    assert tally_of(RequestPath(), 1.5) == Tally(123, 100, 90, 1.5, shed)  # type: ignore[arg-type]


def test_a_live_path_with_functions_has_their_dollars_what_they_were_not_asked_for_and_the_breaker() -> None:
    tally = tally_of(RequestPath(Bursts()), 1.5)  # type: ignore[arg-type]

    assert (tally.ended, tally.in_time) == (100, 90)
    assert tally.usd == 1.75
    assert tally.functions_refused == {"at_limit": 7, "over_budget": 0}
    assert tally.breaker == "half_open"


def simulated(policy: str = "mark") -> list[Record]:
    """Records of five minutes that begin with more than the fleet can take."""
    recorder = MemoryRecorder()
    load = RecordedLoad(np.sort(np.concatenate([np.arange(0, 300, 0.1), np.linspace(60, 62, 3000)])), 300.0)
    simulate(simulated_scenario("paper/inception-v3"), load, policy, told=Told(recorder=recorder))
    return recorder.records("paper/inception-v3")


def test_a_simulated_run_has_the_records_of_a_live_one() -> None:
    records = simulated("mark-no-serverless")

    assert records[0].kind is RecordKind.START
    assert records[0].details["scenario"] == "paper/inception-v3"
    assert records[-1].kind is RecordKind.STOP
    plans = [each for each in records if each.kind is RecordKind.PLAN]
    assert len(plans) == (1800 + 300) // 60
    assert all(each.unix_s == each.at_ns / 1e9 for each in records)
    shed = [each for each in records if each.kind is RecordKind.SHED]
    assert sum(each.details["requests"] for each in shed) == records[-1].details["tally"]["shed"]["refused"] > 0
    assert records[-1].details["tally"]["rows"] == 6000


def test_functions_that_are_at_their_limit_are_a_fallback_of_a_simulated_run_too() -> None:
    tally = simulated("mark")[-1].details["tally"]

    assert set(tally["functions_refused"]) == {"at_limit", "over_budget"}


def test_the_log_of_a_simulated_run_is_read_again(tmp_path: Path) -> None:
    lines = RecordLines(tmp_path / "log")
    records = simulated()
    for record in records:
        lines.record(record)
    lines.close()

    read = read_log(tmp_path / "log")
    assert read.records == tuple(records)
    assert read.faults == ()


def test_a_log_that_cannot_be_written_is_said_before_and_after(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none/log: cannot be written: No such file"):
        RecordLines(tmp_path / "none" / "log")
    full = RecordLines(Path("/dev/full"))
    for record in simulated():
        full.record(record)
    with pytest.raises(ConfigError, match="/dev/full: cannot be written: No space left"):
        full.close()
