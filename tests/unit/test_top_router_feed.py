"""Listening to a router that comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import grpc.aio
import pytest

from mark.cli.top import router_feed
from mark.cli.top.once import look_once
from mark.cli.top.router_feed import RouterFeed
from mark.cli.top.view import View
from mark.errors import RequestError, Unavailable
from mark.protocol import messages

Answer = Callable[[str], AsyncIterator[messages.WatchEvent]]


class Router:
    """A server whose Watch a test writes; it may end and come back at its address."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer
        self.asked_after: list[str] = []
        self.port = 0

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        if self.answer is not None:
            handler = grpc.unary_stream_rpc_method_handler(
                self._watch,
                request_deserializer=messages.WatchRequest.FromString,
                response_serializer=messages.WatchEvent.SerializeToString,
            )
            service, method = messages.WATCH.strip("/").split("/")
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _watch(self, request: messages.WatchRequest, _: object) -> AsyncIterator[messages.WatchEvent]:
        self.asked_after.append(request.after)
        assert self.answer is not None
        async for event in self.answer(request.after):
            yield event


class Listener:
    def __init__(self, router: Router) -> None:
        self.heard: list[str] = []
        self.lost: asyncio.Queue[str] = asyncio.Queue()
        self.events: asyncio.Queue[str] = asyncio.Queue()
        feed = RouterFeed(router.address, lambda _, text: self.events.put_nowait(text), self.lost.put_nowait)
        self.task = asyncio.ensure_future(feed.run())

    async def next_event(self) -> str:
        return await asyncio.wait_for(self.events.get(), 10)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


@pytest.fixture
async def routers() -> AsyncIterator[Callable[[Answer | None], Awaitable[Router]]]:
    started: list[Router] = []

    async def start(answer: Answer | None) -> Router:
        router = Router(answer)
        await router.start()
        started.append(router)
        return router

    yield start
    for router in started:
        await router.stop()


async def counted(after: str) -> AsyncIterator[messages.WatchEvent]:
    begin = int(after or 0)
    for number in (begin + 1, begin + 2):
        yield messages.WatchEvent(id=str(number), kind="sample", json=str(number))
    await asyncio.Event().wait()


async def test_it_goes_on_where_it_was_when_the_router_comes_back(
    routers: Callable[[Answer | None], Awaitable[Router]],
) -> None:
    router = await routers(counted)
    listener = Listener(router)
    assert [await listener.next_event() for _ in range(2)] == ["1", "2"]

    await router.stop()
    reason = await asyncio.wait_for(listener.lost.get(), 10)
    await router.start()
    again = [await listener.next_event() for _ in range(2)]
    await listener.end()

    assert reason.startswith(f"no mark router answers at {router.address}: UNAVAILABLE: ")
    assert again == ["3", "4"]
    assert router.asked_after == ["", "2"]


async def test_a_router_that_ends_in_order_is_lost_too(routers: Callable[[Answer | None], Awaitable[Router]]) -> None:
    async def brief(after: str) -> AsyncIterator[messages.WatchEvent]:
        yield messages.WatchEvent(kind="now", json="{}")

    router = await routers(brief)
    listener = Listener(router)

    assert await asyncio.wait_for(listener.lost.get(), 10) == f"the router at {router.address} stopped"
    await listener.end()


async def test_one_that_says_nothing_any_more_is_lost(
    routers: Callable[[Answer | None], Awaitable[Router]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def then_silent(after: str) -> AsyncIterator[messages.WatchEvent]:
        monkeypatch.setattr(router_feed, "_SILENCE_S_MAX", 0.3)  # not before: to connect may take longer
        async for event in counted(after):
            yield event

    router = await routers(then_silent)
    listener = Listener(router)

    assert await asyncio.wait_for(listener.lost.get(), 10) == f"the router at {router.address} says nothing"
    await listener.end()


async def test_nobody_at_the_first_try_is_an_error() -> None:
    with pytest.raises(
        Unavailable, match=r"^no mark router answers at 127\.0\.0\.1:1: UNAVAILABLE: Connection refused$"
    ):
        await RouterFeed("127.0.0.1:1", lambda kind, text: None, lambda reason: None).run()


async def test_what_is_no_router_is_an_error(routers: Callable[[Answer | None], Awaitable[Router]]) -> None:
    router = await routers(None)

    with pytest.raises(RequestError, match="is no router of this version: it has no Watch"):
        await RouterFeed(router.address, lambda kind, text: None, lambda reason: None).run()


async def test_what_the_listener_refuses_ends_it(routers: Callable[[Answer | None], Awaitable[Router]]) -> None:
    router = await routers(counted)

    def refuse(kind: str, text: str) -> None:
        raise RequestError("not understood")

    with pytest.raises(RequestError, match="not understood"):
        await RouterFeed(router.address, refuse, lambda reason: None).run()


async def test_it_can_be_cancelled_at_any_moment(routers: Callable[[Answer | None], Awaitable[Router]]) -> None:
    """An event that comes together with the cancellation must not make it go on."""

    async def flood(after: str) -> AsyncIterator[messages.WatchEvent]:
        while True:
            yield messages.WatchEvent(kind="sample", json="1")

    router = await routers(flood)
    for _ in range(20):
        listener = Listener(router)
        await listener.next_event()
        await asyncio.wait_for(listener.end(), 10)
        assert listener.task.cancelled()


async def test_a_glance_that_sees_no_sample_is_an_error(routers: Callable[[Answer | None], Awaitable[Router]]) -> None:
    async def brief(after: str) -> AsyncIterator[messages.WatchEvent]:
        yield messages.WatchEvent(kind="now", json="{}")

    router = await routers(brief)

    with pytest.raises(Unavailable, match="stopped"):
        await look_once(router.address, View())
