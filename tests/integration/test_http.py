"""What a router serves over HTTP, as a process: its page, and who may see it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.router_process import CONFIG, RouterProcess, environment

TOKEN = "a-token-of-32-signs-that-is-good"
MakeRouter = Callable[..., RouterProcess]


def page_of(router: RouterProcess) -> str:
    said = re.search(r"the page is at (\S+)", router.log.read_text(encoding="utf-8"))
    assert said is not None
    return said[1]


def get(url: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def serve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "mark.yaml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "mark", "serve", str(folder / "mark.yaml"), *arguments]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True, timeout=60, check=False)


def events(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.status == 200
    return response


def test_page_health_and_events_are_there_when_it_serves(make_router: MakeRouter) -> None:
    router = make_router(CONFIG, "--set", "http.address=127.0.0.1:0")
    address = page_of(router)

    assert get(f"{address}healthz") == (200, "ready\n")
    status, page = get(address)
    assert status == 200
    assert "<title>mark</title>" in page
    connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=10)
    response = events(connection)
    seen: dict[str, dict[str, object]] = {}
    # It serves as soon as one instance is ready; the other one is so a little later.
    while "hello" not in seen or seen.get("sample", {}).get("instances") != {"on_demand": {"ready": 2}}:
        line = response.readline().decode()
        if line.startswith("event: "):
            seen[line.removeprefix("event: ").strip()] = json.loads(response.readline().decode().removeprefix("data: "))
    connection.close()
    assert [model["name"] for model in seen["hello"]["models"]] == ["doubler"]  # type: ignore[attr-defined]
    assert seen["sample"]["usd_per_hour"] == {"on_demand": 0.2}


def test_who_looks_on_does_not_hold_the_stop_up(make_router: MakeRouter) -> None:
    router = make_router(CONFIG, "--set", "http.address=127.0.0.1:0")
    connection = http.client.HTTPConnection(page_of(router).removeprefix("http://").rstrip("/"), timeout=10)
    response = events(connection)
    response.readline()

    began_s = time.monotonic()
    assert router.stop() == 0
    assert time.monotonic() - began_s < 10
    while response.readline():
        pass  # what was told until then; then the stream ends
    connection.close()


def test_two_routers_of_one_machine_have_a_page_each(make_router: MakeRouter) -> None:
    pages = {page_of(make_router(CONFIG)) for _ in range(2)}

    assert len(pages) == 2
    for page in pages:
        assert get(f"{page}healthz") == (200, "ready\n")


def test_an_address_that_the_file_gives_is_that_one_or_an_error(make_router: MakeRouter, tmp_path: Path) -> None:
    taken = page_of(make_router(CONFIG, "--set", "http.address=127.0.0.1:0")).removeprefix("http://").rstrip("/")

    ended = serve(tmp_path, "--set", f"http.address={taken}")

    assert ended.returncode == 2
    assert f"mark: http.address: cannot listen at {taken}: Address already in use; choose another" in ended.stderr


def test_off_is_off(make_router: MakeRouter) -> None:
    router = make_router(CONFIG, "--set", "http.address=off")

    assert "the page is at" not in router.log.read_text(encoding="utf-8")


class TestBeyondThisMachine:
    def test_without_a_token_it_does_not_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MARK_HTTP_TOKEN", raising=False)

        ended = serve(tmp_path, "--set", "http.address=0.0.0.0:0")

        assert ended.returncode == 2
        assert (
            "mark: http.address: other machines can reach 0.0.0.0:0, so what is shown there needs a token"
            in ended.stderr
        )

    def test_with_one_it_is_shown_to_those_who_have_it_and_told_to_nobody(
        self, make_router: MakeRouter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MARK_HTTP_TOKEN", TOKEN)
        router = make_router(CONFIG, "--set", "http.address=0.0.0.0:0")
        address = page_of(router).replace("0.0.0.0", "127.0.0.1")

        assert get(f"{address}healthz") == (200, "ready\n")
        assert [get(address, token)[0] for token in (TOKEN, "", "wrong")] == [200, 401, 401]
        assert router.stop() == 0
        assert TOKEN not in router.log.read_text(encoding="utf-8")
