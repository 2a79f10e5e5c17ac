"""A minute of real traffic, ten times as dense, through router and workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.undisturbed import undisturbed
from integration.router_process import CONFIG, RouterProcess

from mark import AsyncClient
from mark._core import parse_infer_response, write_infer_request
from mark.domain.trace import Trace
from mark.workload import arrivals
from mark.workload.open_loop import OpenLoop
from mark.workload.report import LoadReport
from mark.workload.trace_file import read_trace

TRACE = Path(__file__).resolve().parents[3] / "shared" / "traces" / "azure_llm2023_conv_per_second.csv"
SECONDS = 60


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not TRACE.is_file(), reason="the shared traces are not here")
def test_a_minute_of_a_real_trace_at_ten_times_its_rate_loses_nothing(
    make_router: Callable[..., RouterProcess], record_property: Callable[[str, object], None]
) -> None:
    recorded = read_trace(TRACE)
    busiest = int(np.argmax(np.convolve(recorded.counts, np.ones(SECONDS), mode="valid")))
    minute = Trace(recorded.bin_s, recorded.counts[busiest : busiest + SECONDS])
    instants_s = arrivals.from_trace(minute, scale=10.0, seed=1)
    rows = [np.full((1, 4), number, dtype=np.float32) for number in range(100)]
    requests = [write_infer_request("doubler", "", "", [("x", "FP32", (1, 4), row)], []) for row in rows]

    def is_right(index: int, response: bytes) -> bool:
        return parse_infer_response(response).tensors[0][3] == (2 * rows[index % 100]).tobytes()

    async def drive(address: str) -> LoadReport:
        async with AsyncClient(address) as client:
            return await OpenLoop(client, requests, check=is_right).run(instants_s)

    def run_once() -> dict[str, Any]:
        router = make_router(CONFIG.replace("rt_max_ms: 2000", "rt_max_ms: 200"))
        router.wait_ready(2)
        report = asyncio.run(drive(router.address))
        router.stop()
        return report.as_dict(rt_max_ms=200.0)

    def loses_nothing(figures: dict[str, Any]) -> bool:
        return figures["by_status"] == {"OK": figures["requests"]} and bool(figures["attainment"] >= 0.98)

    figures = undisturbed(run_once, loses_nothing)

    record_property("attainment", figures["attainment"])
    print(f"attainment {figures['attainment']:.4f} of {figures['requests']}, latency {figures['latency_ms']}")
    assert figures["requests"] == len(instants_s) == round(minute.counts.sum() * 10)
    assert sum(figures["by_status"].values()) == figures["requests"]
    assert figures["by_status"] == {"OK": figures["requests"]}
    assert figures["answers_wrong"] == 0
    assert figures["attainment"] >= 0.98
