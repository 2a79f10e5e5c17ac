"""What `mark status` tells of a StatusResponse."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from mark._core import BurstVerdict, Outcome
from mark.cli.status_screen import status_lines
from mark.cli.top.glyphs import ASCII, BLOCKS
from mark.protocol import messages

HERE = "127.0.0.1:8001"
INGRESS = (
    "connections_open",
    "calls",
    "calls_cancelled",
    "connections_refused",
    "connections_hostile",
    "connections_too_slow",
    "messages_refused",
)
TRACES = ("traced_requests", "traced_spans_exported", "traced_spans_failed", "traced_spans_dropped")
CAPPED = {"stage": "spot_first", "allowed_usd_per_hour": 0.5}
QUIET: dict[str, Any] = {
    "name": "digits",
    "version": "3",
    "slo": {"rt_max_ms": 300.0, "sl_min": 0.98},
    "attainment": 0.9987,
    "submitted": 123_456,
    "ended": {"answered": 123_300, "late": 100, "queue_full": 56},
    "latency_ms": {"p50": 12.3, "p98": 98.7, "p99": 301.0},
    "queued": 3,
    "in_flight": 17,
    "load_per_s": 88.2,
    "capacity_per_s": 220.0,
    "capacity_ready_per_s": 200.0,
    "last_decision": "load 88, forecast 100 rows/s by lstm; nothing to do",
    "cost_usd": 1.5,
    "cost_usd_per_hour": 0.42,
    "batches": 15_000,
    "rows_per_batch": 7.8,
    "windows": [
        {"window_s": 60, "attainment": 0.9995, "burn_rate": 0.02},
        {"window_s": 300, "attainment": 0.9712, "burn_rate": 1.44},
    ],
    "error_budget_left": 0.61,
    "forecast": {"step_s": 60.0, "rates_per_s": [float(rate) for rate in range(60, 140, 10)], "forecaster": "lstm"},
    "cost_usd_peak_sized": 2.5,
}


def instances(count: int, offering: str = "small", **fields: Any) -> list[dict[str, Any]]:
    usual = {"market": "on_demand", "state": "ready", "age_s": 100.0, "cost_usd": 0.5}
    return [{"id": f"{offering}-{number}", "offering": offering, **usual, **fields} for number in range(count)]


def workers(*corrections: float, ejected: bool = False) -> list[dict[str, Any]]:
    return [
        {"address": f"10.0.0.{number}:1", "correction": correction, "ejected": ejected}
        for number, correction in enumerate(corrections)
    ]


def screen(
    model: dict[str, Any], width: int = 160, glyphs: Any = BLOCKS, budget: dict[str, Any] | None = None, **router: Any
) -> list[str]:
    """The lines for a router that serves one model."""
    response = ParseDict({"version": "1.2", "uptime_s": 7260.0, "models": [model], **router}, messages.StatusResponse())
    report = MessageToDict(response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if budget is not None:
        report["models"][0]["budget"] = budget
    lines = status_lines(report, HERE, width, glyphs)
    assert all(line.cell_len <= width for line in lines)
    return [line.plain for line in lines]


def line_of(lines: list[str], label: str) -> str:
    return next(line for line in lines if line.startswith(label))


def test_a_model_is_told_on_one_screen() -> None:
    lines = screen({**QUIET, "instances": instances(2), "workers": workers(1.0, 1.05)})

    assert lines[0] == f"mark 1.2 at {HERE}, up 2.017 h"
    assert lines[1].startswith("digits version 3  98% within 300 ms ─")
    assert lines[2:] == [
        "in time  1 min 99.95%  5 min 97.12%",
        "budget   ███████░░░░░  61.00% left  burns 1 min 0.0x  5 min 1.4x",
        "requests 99.87% of 123,456 in time since it began  100 late  56 queue full",
        "latency  p50 12.3  p98 98.7  p99 301 of 300 ms  since it began",
        "load     88.2 rows/s  expected 60.0, 70.0, 80.0, 90.0, 100, 110, ... in steps of 60 s  by lstm",
        "capacity 200 rows/s ready, 220 planned",
        "now      3 queued, 17 in flight  15,000 batches, 7.8 rows on average",
        "fleet    small (on demand)  2 ready  oldest 100 s  $1.000000",
        "workers  2 as fast as their profiles say",
        "money    $0.4200 an hour  $1.500000 so far  40% less than for the peak  ($2.500000)",
        "decision load 88, forecast 100 rows/s by lstm; nothing to do",
    ]


def test_before_the_first_look_and_plan_there_is_less() -> None:
    bare = {"name": "m", "version": "1", "slo": {"rt_max_ms": 10.0, "sl_min": 0.5}, "latency_ms": {}, "ended": {}}

    lines = screen(bare)

    assert not any(line.startswith(("in time", "budget")) for line in lines)
    assert line_of(lines, "load") == "load     0.0 rows/s"
    assert line_of(lines, "fleet") == "fleet    no instance"
    assert line_of(lines, "decision") == "decision none yet"


def test_what_is_taken_away_and_what_is_left_out_is_told() -> None:
    fleet = [
        *instances(5, "big"),
        *instances(3, "spot", market="spot", state="draining", taken_in_s=14.0),
        *instances(2, "spot", market="spot"),
        *instances(2, "c"),
        *instances(1, "d", state="pending"),
        *instances(1, "e"),
    ]

    lines = screen({**QUIET, "instances": fleet})

    begin = lines.index(line_of(lines, "fleet"))
    assert lines[begin : begin + 4] == [
        "fleet    big (on demand)  5 ready  oldest 100 s  $2.500000",
        "         spot (spot)  3 draining, 2 ready  3 taken away in 14 s  oldest 100 s  $2.500000",
        "         c (on demand)  2 ready  oldest 100 s  $1.000000",
        "         2 of 2 other offerings",
    ]


def test_the_worker_that_is_worst_is_named() -> None:
    slow = screen({**QUIET, "workers": workers(1.0, 1.52, 1.05)})
    sick = screen({**QUIET, "workers": [*workers(1.3, 0.5), *workers(0.9, ejected=True)]})

    begin = slow.index(line_of(slow, "workers"))
    assert slow[begin : begin + 2] == [
        "workers  10.0.0.1:1 takes 1.52 x as long as its profile says",
        "         2 as fast as their profiles say",
    ]
    assert line_of(sick, "workers") == "workers  10.0.0.0:1 takes 0.90 x as long as its profile says  ejected"
    assert "         2 more that are not as fast as theirs, of 3 in all" in sick


def test_bursts_and_functions_are_told() -> None:
    bursts = {
        "verdicts": {"send": 40, "too_late": 3, "over_budget": 2},
        "ended": {"answered": 38, "late": 1},
        "in_flight": 1,
        "breaker": "half_open",
        "functions": 5,
        "functions_warm": 4,
        "cold_starts": 7,
        "cost_usd": 0.25,
        "cost_usd_last_hour": 0.05,
    }
    all_bursts = {
        **bursts,
        "verdicts": {**{verdict.name.lower(): 0 for verdict in BurstVerdict}, **bursts["verdicts"]},  # type: ignore[dict-item]
        "ended": {**{outcome.name.lower(): 0 for outcome in Outcome}, **bursts["ended"]},  # type: ignore[dict-item]
    }

    lines = screen({**QUIET, "bursts": all_bursts})

    sent = "40 sent, 38 answered in time, 1 late, 1 in flight  5 not sent"
    assert line_of(lines, "bursts").startswith(f"bursts   {sent} (")
    assert "3 too late" in line_of(lines, "bursts")
    assert (
        line_of(lines, "function")
        == "function 4 warm of 5  7 cold starts  breaker half open  $0.250000 so far  $0.050000 in the last hour"
    )


@pytest.mark.parametrize("glyphs", [BLOCKS, ASCII])
def test_however_much_there_is_to_tell_it_fits_a_terminal(glyphs: Any) -> None:
    many = {f"outcome_number_{number}": 1000 for number in range(8)}
    model = {
        **QUIET,
        "ended": many,
        "instances": [each for number in range(9) for each in instances(30, f"offering-with-a-long-name-{number}")],
        "workers": workers(*[2.0] * 40, ejected=True),
        "windows": [{"window_s": window_s, "attainment": 0.5, "burn_rate": 25.0} for window_s in (60, 300, 1800, 3600)],
        "error_budget_left": -24.0,
        "last_decision": "a long story " * 40 + "\x1b[2J",
        "bursts": {
            "verdicts": {verdict.name.lower(): 100_000 for verdict in BurstVerdict},
            "ended": {outcome.name.lower(): 100_000 for outcome in Outcome},
            "breaker": "open",
        },
    }
    ingress = dict.fromkeys((*INGRESS, *TRACES), 12_345_678)

    lines = screen(model, 80, glyphs, CAPPED, following=True, draining=True, ingress=ingress)

    assert len(lines) <= 24
    assert not any("\x1b" in line for line in lines)
    assert glyphs is BLOCKS or "".join(lines).isascii()


def test_what_the_ingress_turned_away_and_what_tracing_lost_is_told() -> None:
    quiet = screen(QUIET, ingress={**dict.fromkeys(INGRESS, 0), "connections_open": 2, "calls": 9})
    lossy = screen(QUIET, ingress={**dict.fromkeys(TRACES, 4), "traced_spans_dropped": 0})

    assert quiet[1] == "ingress: 2 connections open, 9 calls, 0 of them cancelled"
    assert lossy[1] == "traces: 4 requests, 4 spans exported; lost: 4 not taken by the receiver"


def test_what_may_be_spent_and_what_is_given_up_for_it_is_told() -> None:
    full = screen(QUIET, budget={**CAPPED, "stage": "full"})

    assert line_of(full, "money").endswith("for the peak  ($2.500000)  at most $0.5000 an hour")
    assert line_of(screen(QUIET, budget=CAPPED), "money").endswith("  at most $0.5000 an hour, spot first")
    narrow = line_of(screen(QUIET, 80, budget=CAPPED), "money")
    assert narrow == "money    $0.4200 an hour  $1.500000 so far  at most $0.5000 an hour, spot first"


def test_a_budget_that_is_overdrawn_beyond_measure_is_told() -> None:
    windows = [{"window_s": 60, "attainment": 0.9, "burn_rate": "Infinity"}]

    lines = screen({**QUIET, "windows": windows, "error_budget_left": "-Infinity"})

    assert "overdrawn beyond measure  burns 1 min beyond measure" in line_of(lines, "budget")
