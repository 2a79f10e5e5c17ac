"""`mark top` in a terminal, as a person has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.router_process import CONFIG, RouterProcess, start_router

PATIENCE_S = 20.0
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Person:
    """Somebody at a terminal of their own in which `mark top` runs."""

    def __init__(self, address: str, *arguments: str, **environ: str) -> None:
        self._fd, self._end = os.openpty()
        self.resize(80, 24)
        self.modes = termios.tcgetattr(self._end)
        self.text = ""
        self.process = subprocess.Popen(
            # The terminal controls it, so that Ctrl-C and a new size reach it.
            ["setsid", "--ctty", sys.executable, "-m", "mark", "top", address, *arguments],
            stdin=self._end,
            stdout=self._end,
            stderr=self._end,
            env={**os.environ, "TERM": "xterm-256color", **environ},
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def read(self, *until: str) -> str:
        """What was shown since the last call, up to some words, all of them, in whatever order they came.

        What is to be shown together is to be waited for together: rows are drawn again only where they have changed.
        """
        deadline, begin = time.monotonic() + PATIENCE_S, len(self.text)
        while missing := [words for words in until if words not in self._since(begin)]:
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"{missing} was not shown: {plain(self.text[begin:])}"
            if select.select([self._fd], [], [], left_s)[0]:
                self.text += os.read(self._fd, 65_536).decode("utf-8", "replace")
        return plain(self.text[begin:])

    def _since(self, begin: int) -> str:
        """As it came, and what is left of it without control sequences."""
        return self.text[begin:] + plain(self.text[begin:])

    def leaves(self, exit_code: int) -> None:
        """It ends, and the terminal is as it was."""
        if LEAVE_SCREEN not in self.text[self.text.rfind(ENTER_SCREEN) :]:
            self.read(LEAVE_SCREEN)
        assert self.process.wait(PATIENCE_S) == exit_code
        assert termios.tcgetattr(self._end) == self.modes
        assert self.text.endswith(f"\x1b[?7h\x1b[?25h{LEAVE_SCREEN}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self._fd, self._end):
            with contextlib.suppress(OSError):
                os.close(fd)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.fixture
def sit() -> Iterator[Callable[..., Person]]:
    people: list[Person] = []

    def at(address: str, *arguments: str, **environ: str) -> Person:
        people.append(Person(address, *arguments, **environ))
        return people[-1]

    yield at
    for person in people:
        person.close()


def test_it_shows_a_router_until_q(router: RouterProcess, sit: Callable[..., Person]) -> None:
    person = sit(router.address)

    # A frame may be drawn before all is known: instances become ready one after the other.
    person.read(
        "doubler   90% within 2000 ms", "capacity", "on demand 2 ready", "$0.2000 an hour", "decisions", "launch 2",
        "q quit",
    )  # fmt: skip
    person.press(b"\r")
    person.read("launch 2 x small", "esc back")
    person.press(b"\x1b")
    person.read("enter opens")
    person.press(b"q")
    person.leaves(0)


def test_a_new_size_is_drawn_at_once(router: RouterProcess, sit: Callable[..., Person]) -> None:
    person = sit(router.address)
    person.read("q quit")

    person.resize(120, 40)

    person.read("promised", "q quit")  # only tall frames have the first
    person.press(b"q")
    person.leaves(0)


def test_tab_shows_the_next_model(make_router: Callable[..., RouterProcess], sit: Callable[..., Person]) -> None:
    one = CONFIG[CONFIG.index("  - name: doubler") :]
    router = make_router(
        CONFIG + one.replace("name: doubler", "name: twice").replace("rt_max_ms: 2000", "rt_max_ms: 800")
    )
    person = sit(router.address)
    person.read("90% within 2000 ms", "tab model")

    person.press(b"\t")
    person.read("90% within 800 ms")
    person.press(b"\x1b[Z")
    person.read("90% within 2000 ms")

    person.press(b"q")
    person.leaves(0)


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [
        (lambda person: person.press(b"\x03"), 130),
        (lambda person: person.process.send_signal(signal.SIGTERM), 143),
        (lambda person: person.process.send_signal(signal.SIGHUP), 129),
    ],
    ids=["ctrl-c", "SIGTERM", "SIGHUP"],
)
def test_however_it_is_ended_the_terminal_is_as_it_was(
    router: RouterProcess, sit: Callable[..., Person], end: Callable[[Person], Any], exit_code: int
) -> None:
    person = sit(router.address)
    person.read("q quit")

    end(person)

    person.leaves(exit_code)


def test_who_stops_it_has_the_terminal_until_it_goes_on(router: RouterProcess, sit: Callable[..., Person]) -> None:
    person = sit(router.address)
    person.read("q quit")

    person.process.send_signal(signal.SIGSTOP)
    termios.tcsetattr(person._end, termios.TCSANOW, person.modes)  # as a shell does
    person.process.send_signal(signal.SIGCONT)

    person.read(ENTER_SCREEN, "q quit")
    person.press(b"q")  # is read without Enter: the modes are those that it needs
    person.leaves(0)


def test_a_router_that_goes_away_and_comes_back_is_told(tmp_path: Path, sit: Callable[..., Person]) -> None:
    first = start_router(CONFIG, tmp_path)
    port = first.address.rpartition(":")[2]
    again: RouterProcess | None = None
    try:
        person = sit(first.address)
        person.resize(160, 24)  # room for any reason: the stream may end well, or the connection before it
        person.read("q quit")
        first.stop()
        person.read("lost since", "trying again")
        again = start_router(CONFIG.replace("port: 0", f"port: {port}"), tmp_path)
        person.read("q quit")  # in the place of the reason
        person.press(b"q")
        person.leaves(0)
    finally:
        first.stop()
        if again is not None:
            again.stop()


def test_where_nobody_answers_it_says_so_and_leaves_the_screen_alone(sit: Callable[..., Person]) -> None:
    person = sit("127.0.0.1:1")

    said = person.read("\n")

    assert said.startswith("mark: no mark router answers at 127.0.0.1:1: UNAVAILABLE: ")
    assert person.process.wait(PATIENCE_S) == 2
    assert ENTER_SCREEN not in person.text


def test_a_model_that_is_not_served_is_refused(router: RouterProcess, sit: Callable[..., Person]) -> None:
    person = sit(router.address, "--model", "tripler")

    assert "mark: --model: unknown model 'tripler'; served are doubler" in person.read("\n")
    assert person.process.wait(PATIENCE_S) == 2


def test_without_colours_there_are_none(router: RouterProcess, sit: Callable[..., Person]) -> None:
    person = sit(router.address, NO_COLOR="1")

    person.read("q quit")

    assert not re.search(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d", person.text)
    person.press(b"q")
    person.leaves(0)


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii", "TERM": "dumb"}])
def test_a_dumb_terminal_gets_one_frame(
    router: RouterProcess, sit: Callable[..., Person], environ: dict[str, str]
) -> None:
    person = sit(router.address, **environ)

    shown = person.read("decisions")

    assert "90% within 2000 ms" in shown
    assert person.process.wait(PATIENCE_S) == 0
    assert "\x1b" not in person.text
    assert "PYTHONIOENCODING" not in environ or person.text.isascii()


def test_a_pipe_gets_one_frame(router: RouterProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mark", "top", router.address],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "doubler   90% within 2000 ms" in done.stdout
    assert "q quit" not in done.stdout
    assert "\x1b" not in done.stdout
