"""What local functions do beyond the contract of all: what is kept warm, which is used, and starts that fail."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from contract.test_functions_contract import FUNCTION, PRICE, TIMEOUT_S

from mark.cloud.local_functions import LocalFunctions, LocalFunctionsParams
from mark.errors import CloudError


class World:
    """Makes pools of functions, each of which is a small script."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "function.py"
        self.script.write_text(FUNCTION, encoding="utf-8")
        self.pools: list[LocalFunctions] = []

    def pool(self, params: LocalFunctionsParams, *command: str) -> LocalFunctions:
        line = command or (sys.executable, str(self.script))
        self.pools.append(LocalFunctions(lambda address: [*line, address], PRICE, params))
        return self.pools[-1]

    def processes(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if str(self.script) in child.cmdline()]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    sockets = tmp_path / "t"
    sockets.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(sockets))
    made = World(tmp_path)
    yield made
    for pool in made.pools:
        await pool.close(0.0)
    assert made.processes() == []
    assert list(sockets.iterdir()) == []


async def until(holds: Callable[[], bool]) -> None:
    async def look() -> None:
        while not holds():  # noqa: ASYNC110 - that a process has started or ended is told to nobody here
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), 15.0)


async def test_those_that_are_kept_warm_are_there_before_the_first_request_and_outlive_their_idle_time(
    world: World,
) -> None:
    # Idle for much longer than the machine may be busy with something else: a ping that comes too late is in vain.
    pool = world.pool(LocalFunctionsParams(concurrency_max=3, idle_s=1.5, keep_warm=2, ping_s=0.1))
    await pool.start()
    await until(lambda: pool.use().warm == 2)
    began_s = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > began_s + 3.1)  # more than twice their idle time

    answers = await asyncio.gather(*(pool.invoke(b"slow", TIMEOUT_S) for _ in range(3)))

    assert sorted(answer.was_cold for answer in answers) == [False, False, True]
    await until(lambda: pool.use().alive == 2)  # the third one ends, and those that are kept do not


async def test_pings_are_billed_and_so_is_the_start_of_what_they_keep(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=1, idle_s=5.0, keep_warm=1, ping_s=0.05))
    await pool.start()

    await until(lambda: pool.use().usd > 3.0)  # three pings, or the start and one
    first_usd = pool.use().usd
    await until(lambda: pool.use().usd > first_usd + 1.0)


async def test_a_request_takes_one_that_is_being_started_rather_than_another(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=5, idle_s=5.0, keep_warm=1, ping_s=1.0))
    await pool.start()
    await asyncio.sleep(0)

    answer = await pool.invoke(b"x", TIMEOUT_S)

    assert answer.was_cold
    assert pool.use().cold_starts == 1


async def test_one_that_is_kept_warm_and_killed_is_replaced(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=1, idle_s=5.0, keep_warm=1, ping_s=0.05))
    await pool.start()
    for starts in (2, 3, 4):
        await until(lambda: pool.use().warm == 1)
        world.processes()[0].kill()
        await until(lambda starts=starts: pool.use().cold_starts == starts)  # type: ignore[misc]


async def test_the_one_used_last_is_used_first_and_the_others_end(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=3, idle_s=0.8))
    await asyncio.gather(*(pool.invoke(b"slow", TIMEOUT_S) for _ in range(3)))

    while pool.use().alive > 1:
        assert not (await pool.invoke(b"slow", TIMEOUT_S)).was_cold

    assert pool.use().cold_starts == 3


async def test_a_process_that_ends_at_once_is_told_with_its_last_words(world: World) -> None:
    pool = world.pool(
        LocalFunctionsParams(concurrency_max=1, idle_s=1.0), sys.executable, "-c", "raise SystemExit('no such weights')"
    )
    with pytest.raises(CloudError, match="no such weights"):
        await pool.invoke(b"x", TIMEOUT_S)
    assert (pool.use().alive, pool.use().usd) == (0, 0.0)  # nothing was billed


async def test_a_command_that_is_none_is_an_error(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=1, idle_s=1.0), str(world.script.parent / "absent"))
    with pytest.raises(CloudError, match="its process does not start: "):
        await pool.invoke(b"x", TIMEOUT_S)
    assert pool.use().alive == 0


async def test_a_call_that_is_cut_off_ends_its_function(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=1, idle_s=5.0))
    await pool.invoke(b"x", TIMEOUT_S)
    asking = asyncio.ensure_future(pool.invoke(b"hang", TIMEOUT_S))
    await asyncio.sleep(0.05)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    await until(lambda: pool.use().alive == 0)


async def test_a_function_that_is_killed_at_work_is_an_error_of_its_request(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=1, idle_s=5.0))
    for _ in range(3):
        await pool.invoke(b"x", TIMEOUT_S)
        asking = asyncio.ensure_future(pool.invoke(b"hang", TIMEOUT_S))
        await asyncio.sleep(0.05)
        world.processes()[0].kill()
        with pytest.raises(CloudError, match="did not answer: UNAVAILABLE"):
            await asking
        await until(lambda: pool.use().alive == 0)


async def test_closing_while_functions_start_and_work_leaves_nothing(world: World) -> None:
    pool = world.pool(LocalFunctionsParams(concurrency_max=4, idle_s=5.0, keep_warm=2, ping_s=0.05))
    await pool.start()
    asking = [asyncio.ensure_future(pool.invoke(b"slow", TIMEOUT_S)) for _ in range(4)]
    await asyncio.sleep(0.01)

    await asyncio.gather(pool.close(), pool.close(0.0))

    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(outcome, CloudError)
    assert pool.use().alive == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency_max": 0, "idle_s": 1.0},
        {"concurrency_max": 1, "idle_s": 1.0, "keep_warm": 2},
        {"concurrency_max": 1, "idle_s": 0.0},
        {"concurrency_max": 1, "idle_s": 1.0, "keep_warm": 1, "ping_s": 1.0},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needs "):
        LocalFunctionsParams(**wrong)  # type: ignore[arg-type]
