"""What the router answers over HTTP, and to whom."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from mark.app.http import start_http
from mark.config.http import HttpConfig
from mark.errors import ConfigError
from mark.live.http_server import HttpServer

TOKEN = "a-token-of-32-signs-that-is-good"


class Parts:
    """What is mounted: it is ready when the test says so."""

    def __init__(self) -> None:
        self.is_ready = True

    async def ready(self) -> bool:
        return self.is_ready

    def mount(self, server: HttpServer) -> None:
        server.mount_health(self.ready)
        server.mount_metrics(lambda: b"# TYPE mark_up gauge\nmark_up 1\n")


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def server(request: pytest.FixtureRequest, parts: Parts) -> AsyncIterator[HttpServer]:
    server = HttpServer("127.0.0.1", getattr(request, "param", None))
    parts.mount(server)
    await server.start(0)
    yield server
    await server.stop()


@pytest.fixture
async def client(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # which keeps those of an address, too
    async with aiohttp.ClientSession(server.address, cookie_jar=jar) as session:
        yield session


async def test_health_is_what_the_router_says(client: aiohttp.ClientSession, parts: Parts) -> None:
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "ready\n")

    parts.is_ready = False
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.text()) == (503, "not ready\n")


async def test_metrics_are_what_was_mounted(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await answer.read() == b"# TYPE mark_up gauge\nmark_up 1\n"


async def test_nothing_can_be_changed(client: aiohttp.ClientSession) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/healthz", "/metrics"):
            async with client.request(method, path) as answer:
                assert answer.status == 405


async def test_every_answer_forbids_what_is_not_of_the_router(client: aiohttp.ClientSession) -> None:
    for path in ("/metrics", "/healthz", "/nowhere"):
        async with client.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; ")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Server"] == "mark"  # and no versions of what it is made of


class TestOnThisMachine:
    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8002", "127.0.0.1:1", "[::1]:8002"])
    async def test_its_own_names_are_served(self, client: aiohttp.ClientSession, host: str) -> None:
        async with client.get("/metrics", headers={"Host": host}) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8002", "localhost.evil.example", "[", ""])
    async def test_a_page_that_names_it_otherwise_is_refused(self, client: aiohttp.ClientSession, host: str) -> None:
        async with client.get("/metrics", headers={"Host": host}) as answer:
            assert answer.status in {400, 403}
            assert "mark_up" not in await answer.text()


@pytest.mark.parametrize("server", [TOKEN], indirect=True)
class TestWithAToken:
    async def test_health_needs_none(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/healthz") as answer:
            assert answer.status == 200

    @pytest.mark.parametrize(
        "shown", [None, "", "Bearer", "Bearer no", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
    )
    async def test_without_it_nothing_is_shown(self, client: aiohttp.ClientSession, shown: str | None) -> None:
        headers = {} if shown is None else {"Authorization": shown}
        async with client.get("/metrics", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "mark_up" not in await answer.text()

    async def test_a_scraper_shows_it(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200

    async def test_a_browser_is_led_to_the_form_and_logs_in_once(self, client: aiohttp.ClientSession) -> None:
        async with client.get("/metrics", headers={"Accept": "text/html"}) as form:
            assert (form.status, form.url.path) == (200, "/login")
            assert 'type="password"' in await form.text()
        async with client.post("/login", data={"token": f" {TOKEN} "}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
        async with client.get("/metrics") as answer:
            assert answer.status == 200

    async def test_two_routers_of_one_host_do_not_log_each_other_out(self, client: aiohttp.ClientSession) -> None:
        other = HttpServer("127.0.0.1", TOKEN[::-1])
        other.mount_metrics(lambda: b"")
        await other.start(0)
        for address, token in ((client._base_url, TOKEN), (other.address, TOKEN[::-1])):
            async with client.post(f"{address}login", data={"token": token}, allow_redirects=False) as answer:
                assert answer.status == 303
        for address in (client._base_url, other.address):
            async with client.get(f"{address}metrics") as answer:
                assert answer.status == 200
        await other.stop()

    async def test_a_wrong_one_is_refused_in_words(self, client: aiohttp.ClientSession) -> None:
        async with client.post("/login", data={"token": "wrong"}) as answer:
            assert answer.status == 401
            assert "That is not the token." in await answer.text()
            assert "Set-Cookie" not in answer.headers
        async with client.post("/login", data={"token": "x" * 10_000}) as answer:
            assert answer.status == 413

    async def test_the_name_of_the_host_is_free(self, client: aiohttp.ClientSession) -> None:
        async with client.get(
            "/metrics", headers={"Host": "page.example.org", "Authorization": f"Bearer {TOKEN}"}
        ) as answer:
            assert answer.status == 200


class TestPort:
    async def test_one_in_use_is_refused_where_the_file_gives_it(self, server: HttpServer, parts: Parts) -> None:
        taken = server.address.removeprefix("http://").rstrip("/")

        with pytest.raises(
            ConfigError, match=r"http\.address: cannot listen at 127\.0\.0\.1:\d+: Address already in use"
        ):
            await start_http(HttpConfig(address=taken), parts.mount)

    async def test_another_is_taken_where_the_default_is_in_use(
        self, parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            monkeypatch.setattr(HttpConfig, "port", taken)
            with caplog.at_level(logging.INFO):
                server = await start_http(HttpConfig(), parts.mount)
        assert server is not None
        assert server.address != f"http://127.0.0.1:{taken}/"
        assert f"the page is at {server.address}" in caplog.text
        await server.stop()

    async def test_a_name_that_nobody_knows_is_refused(self, parts: Parts) -> None:
        with pytest.raises(ConfigError, match=r"cannot listen at no-such-host\.invalid:0: \w+"):
            await HttpServer("no-such-host.invalid", None).start(0)

    async def test_off_listens_nowhere(self, parts: Parts) -> None:
        assert await start_http(HttpConfig(address="off"), parts.mount) is None

    async def test_it_is_free_again_after_the_stop_and_stop_may_come_twice(self, parts: Parts) -> None:
        server = HttpServer("127.0.0.1", None)
        parts.mount(server)
        await server.start(0)
        port = int(server.address.rstrip("/").rpartition(":")[2])
        await server.stop()
        await server.stop()

        with socket.socket() as again:
            again.bind(("127.0.0.1", port))

    async def test_a_stream_that_does_not_end_does_not_hold_the_stop_up(self, parts: Parts) -> None:
        server = HttpServer("127.0.0.1", None)

        async def stream(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
            response = aiohttp.web.StreamResponse()
            await response.prepare(request)
            await response.write(b"begun\n")
            await asyncio.Event().wait()
            return response

        server.mount("/stream", stream)
        await server.start(0)
        async with aiohttp.ClientSession(server.address) as session, session.get("/stream") as answer:
            assert await answer.content.readline() == b"begun\n"
            await asyncio.wait_for(server.stop(), 30)
            with contextlib.suppress(aiohttp.ClientPayloadError):
                assert await answer.content.read() == b""
