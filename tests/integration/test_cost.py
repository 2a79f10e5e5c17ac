"""What a router says that it has spent: the same dollars whoever is asked, and in the end the same as the cloud's."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from integration.router_process import CONFIG, RouterProcess

from mark.protocol import messages

MakeRouter = Callable[..., RouterProcess]
# Dear enough that every second is worth more than a cent.
DEAR = re.sub(r"price_usd_per_hour: [\d.]+", "price_usd_per_hour: 360.0", CONFIG)


def run_cost(address: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mark", "cost", address, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def ask(router: RouterProcess, method: str, request: Any, response: Any) -> Any:
    with grpc.insecure_channel(router.address) as channel:
        return response.FromString(channel.unary_unary(method)(request.SerializeToString(), timeout=5))


@pytest.fixture
def router(make_router: MakeRouter) -> RouterProcess:
    return make_router(DEAR)


def test_cost_is_split_as_asked_and_adds_up(router: RouterProcess) -> None:
    rows = list(csv.DictReader(io.StringIO(run_cost(router.address, "--by", "hour,market", "--csv").stdout)))

    assert {row["market"] for row in rows} == {"on_demand"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00Z", row["hour"]) for row in rows)
    assert sum(float(row["usd"]) for row in rows) > 0


def test_the_table_has_a_total_and_what_an_hour_costs(router: RouterProcess) -> None:
    shown = run_cost(router.address).stdout

    assert re.search(r"on_demand\s+│\s+\d+\.\d{6}", shown)
    assert re.search(r"total\s+│\s+│\s+\d+\.\d{6}", shown)
    assert re.search(r"instances cost \$720\.0000 an hour now: on_demand \$720\.0000", shown)


def test_a_split_that_makes_no_sense_is_refused(router: RouterProcess) -> None:
    for by in ("colour", "model,model", ""):
        refused = run_cost(router.address, "--by", by)
        assert refused.returncode == 2
        assert f"mark: --by {by}: give any of hour, model, market, offering" in refused.stderr


def test_status_and_bill_are_the_same_dollars(router: RouterProcess) -> None:
    def ask_both() -> tuple[float, float, float]:
        before = time.monotonic()
        bill = ask(router, messages.GET_BILL, messages.BillRequest(), messages.BillResponse)
        status = ask(router, messages.GET_STATUS, messages.StatusRequest(), messages.StatusResponse)
        took_s = time.monotonic() - before
        return sum(line.usd for line in bill.lines), sum(model.cost_usd for model in status.models), took_s

    billed_usd, status_usd, took_s = ask_both()

    # Between two questions time goes on, and is billed.
    assert billed_usd <= status_usd <= billed_usd + 0.2 * took_s + 1e-9


def test_nobody_there_is_told_in_a_line() -> None:
    alone = run_cost("127.0.0.1:1")

    assert alone.returncode == 2
    assert "no mark router answers at 127.0.0.1:1" in alone.stderr
