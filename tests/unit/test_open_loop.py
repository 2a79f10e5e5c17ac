"""The load generator against a client that answers as the tests say: no server, no socket."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from mark.client import AsyncClient
from mark.errors import Overloaded
from mark.workload.open_loop import OpenLoop
from mark.workload.pacing import Pacer
from mark.workload.report import CANCELLED, NOT_SENT, OK


class ScriptedClient(AsyncClient):
    """Answers b"now" at once, refuses b"refuse", and anything else when the gate opens."""

    def __init__(self) -> None:
        self.sent_s: list[float] = []
        self.deadlines_ms: list[float | None] = []
        self.gate = asyncio.Event()
        self.given_up = 0
        self.waiting = asyncio.Event()

    async def infer_raw(self, request: bytes, deadline_ms: float | None = None) -> bytes:
        self.sent_s.append(time.monotonic())
        self.deadlines_ms.append(deadline_ms)
        if request == b"refuse":
            raise Overloaded("full")
        if request != b"now":
            self.waiting.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        return request


class TestSending:
    async def test_no_request_leaves_before_its_instant(self) -> None:
        client = ScriptedClient()
        instants_s = np.linspace(0.0, 0.1, 200)  # closer than the millisecond of the event loop's own timers
        began_s = time.monotonic()

        report = await OpenLoop(client, [b"now"]).run(instants_s)

        assert np.all(np.array(client.sent_s) - began_s >= instants_s)
        assert report.lags_ms.min() >= 0
        assert np.all(report.latencies_ms >= report.lags_ms)

    async def test_a_generator_that_falls_behind_says_so_and_charges_the_delay(self) -> None:
        def hold_up(index: int, response: bytes) -> bool:
            if index == 0:
                until_s = time.monotonic() + 0.05
                while time.monotonic() < until_s:
                    pass
            return True

        report = await OpenLoop(ScriptedClient(), [b"now"], check=hold_up).run(np.array([0.0, 0.01, 0.02]))

        # Due while the check held the event loop: sent late, and late for whoever waited.
        assert report.lags_ms[1] >= 35
        assert report.latencies_ms[1] >= report.lags_ms[1]
        assert report.statuses == (OK,) * 3

    async def test_the_pool_goes_round_and_each_has_its_deadline(self) -> None:
        client = ScriptedClient()

        report = await OpenLoop(client, [b"now", b"refuse"], deadline_ms=70).run(np.zeros(4))

        assert report.statuses == (OK, "Overloaded", OK, "Overloaded")
        assert client.deadlines_ms == [70] * 4

    async def test_a_server_that_answers_nothing_fills_no_memory(self) -> None:
        client = ScriptedClient()
        loop = OpenLoop(client, [b"wait"], in_flight_max=3)

        report = await loop.run(np.zeros(10), lambda sent: client.gate.set() if sent == 10 else None)

        assert report.statuses == (OK,) * 3 + (NOT_SENT,) * 7
        assert report.attainment(rt_max_ms=1e6) == 0.3

    @pytest.mark.parametrize(("requests", "in_flight_max"), [([], 1), ([b"x"], 0)])
    async def test_what_cannot_be_run_is_refused(self, requests: list[bytes], in_flight_max: int) -> None:
        with pytest.raises(ValueError, match="at least"):
            OpenLoop(ScriptedClient(), requests, in_flight_max=in_flight_max)

    async def test_instants_must_increase(self) -> None:
        with pytest.raises(ValueError, match="must increase"):
            await OpenLoop(ScriptedClient(), [b"now"]).run(np.array([1.0, 0.0]))

    async def test_it_runs_once(self) -> None:
        loop = OpenLoop(ScriptedClient(), [b"now"])
        await loop.run(np.zeros(1))

        with pytest.raises(RuntimeError, match="make another"):
            await loop.run(np.zeros(1))


class TestEnding:
    async def test_a_stopped_run_reports_what_was_done(self) -> None:
        client = ScriptedClient()
        loop = OpenLoop(client, [b"now", b"wait"])
        run = asyncio.ensure_future(loop.run(np.array([0.0, 0.0, 3600.0])))
        await client.waiting.wait()

        loop.stop(grace_s=0.0)

        report = await run
        assert report.statuses == (OK, CANCELLED)
        assert len(report.instants_s) == len(report.latencies_ms) == len(report.lags_ms) == 2
        assert client.given_up == 1

    async def test_answers_still_come_in_within_the_grace(self) -> None:
        client = ScriptedClient()
        loop = OpenLoop(client, [b"wait"])
        run = asyncio.ensure_future(loop.run(np.array([0.0, 3600.0])))
        await client.waiting.wait()

        loop.stop(grace_s=3600.0)
        for _ in range(5):
            await asyncio.sleep(0)
        client.gate.set()

        assert (await run).statuses == (OK,)

    async def test_a_cancelled_run_leaves_nothing_behind(self) -> None:
        client = ScriptedClient()
        run = asyncio.ensure_future(OpenLoop(client, [b"wait"]).run(np.array([0.0, 0.0, 3600.0]), lambda sent: None))
        await client.waiting.wait()

        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert client.given_up == len(client.sent_s)

    async def test_a_check_that_raises_ends_the_run_and_is_heard(self) -> None:
        def broken(index: int, response: bytes) -> bool:
            raise KeyError("broken check")

        with pytest.raises(KeyError, match="broken check"):
            await OpenLoop(ScriptedClient(), [b"now"], check=broken).run(np.array([0.0, 3600.0]))

    async def test_a_picture_of_progress_that_raises_ends_the_run_and_is_heard(self) -> None:
        def broken(sent: int) -> None:
            raise KeyError("broken picture")

        with pytest.raises(KeyError, match="broken picture"):
            await OpenLoop(ScriptedClient(), [b"now"]).run(np.array([0.0, 3600.0]), broken)

    async def test_progress_is_told_while_nothing_is_due(self) -> None:
        told: list[int] = []
        loop = OpenLoop(ScriptedClient(), [b"now"])

        def tell(sent: int) -> None:
            told.append(sent)
            if len(told) == 2:
                loop.stop(grace_s=0.0)

        await loop.run(np.array([0.0, 3600.0]), tell)

        assert told == [1, 1, 1]  # twice on the way, once at the end

    async def test_latencies_can_be_followed_on_the_way(self) -> None:
        loop = OpenLoop(ScriptedClient(), [b"now", b"refuse"])

        report = await loop.run(np.zeros(4))

        assert loop.latencies_ms(0) == [report.latencies_ms[0], report.latencies_ms[2]]
        assert loop.latencies_ms(1) == [report.latencies_ms[2]]


class TestPacer:
    async def test_it_returns_at_the_instant_and_not_before(self) -> None:
        pacer = Pacer()
        lates_s = []
        for _ in range(20):
            instant_s = time.monotonic() + 0.0017
            await pacer.until(instant_s)
            lates_s.append(time.monotonic() - instant_s)
        pacer.close()

        assert min(lates_s) >= 0

    async def test_waking_ends_this_wait_and_the_next(self) -> None:
        pacer = Pacer()
        waiting = asyncio.ensure_future(pacer.until(time.monotonic() + 3600))
        await asyncio.sleep(0)

        pacer.wake()

        await waiting
        await pacer.until(time.monotonic() + 3600)
        pacer.close()
