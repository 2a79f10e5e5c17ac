"""The metrics of a router that serves, as Prometheus gets them."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable

import numpy as np
import pytest
from integration.conftest import INGRESSES
from integration.router_process import CONFIG, RouterProcess
from unit.metrics_world import Samples, parsed

from mark import Client
from mark.errors import ModelFailed

WITHIN_S = 30.0


ANY_PORT = ("--set", "http.address=127.0.0.1:0")


def scrape(router: RouterProcess) -> Samples:
    (page,) = re.findall(r"the page is at (\S+)", router.log.read_text(encoding="utf-8"))
    with urllib.request.urlopen(f"{page}metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return parsed(answer.read())


def labelled(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"model": "doubler", **labels}.items()))


def plans(samples: Samples) -> float:
    return samples.get(("mark_records_total", labelled(kind="plan")), 0.0)


@pytest.mark.parametrize("ingress", INGRESSES)
def test_a_scrape_counts_what_clients_sent_and_what_became_of_it(
    make_router: Callable[..., RouterProcess], ingress: str
) -> None:
    router = make_router(CONFIG, "--set", f"server.ingress={ingress}", *ANY_PORT)
    before = scrape(router)
    with Client(router.address) as client:
        for _ in range(20):
            client.infer("doubler", {"x": np.ones((2, 4), np.float32)})
        with pytest.raises(ModelFailed):
            client.infer("doubler", {"x": np.full((1, 4), 666.0, np.float32)})

    after = scrape(router)

    def more(name: str, **labels: str) -> float:
        return after[name, labelled(**labels)] - before.get((name, labelled(**labels)), 0.0)

    assert more("mark_requests_submitted_total") == 21
    assert more("mark_rows_submitted_total") == 41
    assert more("mark_requests_total", outcome="answered") == 20
    assert more("mark_requests_total", outcome="model_error") == 1
    assert more("mark_request_latency_seconds_count") == 20
    assert more("mark_queue_wait_seconds_count") == 21
    assert more("mark_batch_rows_sum") == 41
    assert sum(more("mark_batches_total", reason=each) for each in ("full", "idle", "slack", "window")) == 21
    assert after["mark_workers_ready", labelled()] >= 1
    assert ("mark_ingress_calls_total" in {name for name, _ in after}) == (ingress == "native")


def test_promise_plans_fleet_and_dollars_are_told_as_time_passes(make_router: Callable[..., RouterProcess]) -> None:
    router = make_router(CONFIG, *ANY_PORT)
    with Client(router.address) as client:
        client.infer("doubler", {"x": np.ones((2, 4), np.float32)})
    first = scrape(router)
    late_s = time.monotonic() + WITHIN_S
    ready = ("mark_instances", labelled(offering="small", market="on_demand", state="ready"))
    while plans(now := scrape(router)) < plans(first) + 2 or now[ready] < 2:
        assert time.monotonic() < late_s
        time.sleep(0.05)

    assert now["mark_slo_target_ratio", labelled()] == 0.9
    assert now["mark_slo_attainment_ratio", labelled(window="1m")] == 1.0
    assert now["mark_slo_error_budget_left_ratio", labelled()] == 1.0
    assert now["mark_planner_duration_seconds_count", labelled()] >= plans(first)
    assert now["mark_forecast_coverage_ratio", labelled(level="bound")] <= 1.0
    assert now["mark_forecast_rows_per_second", labelled(level="bound")] >= 0.0
    assert now["mark_actions_total", labelled(action="launch", reason="plan")] == 2
    assert now["mark_cost_usd_per_hour", labelled(market="on_demand")] == pytest.approx(0.2)
    assert now["mark_cost_usd", labelled(market="on_demand")] > first["mark_cost_usd", labelled(market="on_demand")]
    assert now["mark_cost_usd_per_thousand_requests", labelled()] > 0.0
    assert now["mark_router_leads", ()] == 1
