"""A terminal is given back as it was."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from collections.abc import Iterator

import pytest

from mark.cli.top.terminal import Terminal


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal: what a person sees and types, and what a program has."""
    person, program = os.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def seen(person: int, end: str) -> str:
    """What was shown until then: a pseudo-terminal passes it on in pieces."""
    text = ""
    while not text.endswith(end):
        assert select.select([person], [], [], 10.0)[0], text
        text += os.read(person, 65_536).decode()
    return text


def test_screen_and_modes_are_those_of_before(pair: tuple[int, int]) -> None:
    person, program = pair
    before = termios.tcgetattr(program)

    with Terminal(program, program):
        within = termios.tcgetattr(program)
        entered = seen(person, "\x1b[?7l")

    assert not within[3] & (termios.ICANON | termios.ECHO)
    assert within[3] & termios.ISIG  # Ctrl-C still interrupts
    assert entered.startswith("\x1b[?1049h\x1b[?25l")
    assert seen(person, "\x1b[?1049l") == "\x1b[?7h\x1b[?25h\x1b[?1049l"
    assert termios.tcgetattr(program) == before


def test_they_are_after_an_error_too(pair: tuple[int, int]) -> None:
    person, program = pair
    before = termios.tcgetattr(program)

    with pytest.raises(KeyboardInterrupt), Terminal(program, program):
        raise KeyboardInterrupt

    assert termios.tcgetattr(program) == before
    assert seen(person, "\x1b[?1049l")


def test_what_a_shell_set_meanwhile_is_not_what_is_given_back(pair: tuple[int, int]) -> None:
    """A program that was stopped finds other modes when it goes on; its own are those of when it began."""
    person, program = pair
    before = termios.tcgetattr(program)
    terminal = Terminal(program, program)

    terminal.enter()
    terminal.leave()
    assert seen(person, "\x1b[?1049l")
    terminal.enter()
    terminal.enter()
    terminal.leave()
    terminal.leave()

    assert seen(person, "\x1b[?1049l").count("\x1b[?1049l") == 1
    assert termios.tcgetattr(program) == before


def test_a_terminal_without_a_size_has_the_usual_one(pair: tuple[int, int]) -> None:
    _, program = pair
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    assert Terminal(program, None).size() == (80, 24)

    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 132, 0, 0))
    assert Terminal(program, None).size() == (132, 40)


def test_a_frame_is_drawn_where_it_differs_and_anew_when_the_size_changed(pair: tuple[int, int]) -> None:
    person, program = pair
    terminal = Terminal(program, None)

    terminal.draw(["one", "two"])
    first = seen(person, "\x1b[?2026l")
    terminal.draw(["one", "two"])
    terminal.draw(["one", "TWO"])
    second = seen(person, "\x1b[?2026l")
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 132, 0, 0))
    terminal.draw(["one", "two"])
    third = seen(person, "\x1b[?2026l")

    assert first == third == "\x1b[?2026h\x1b[2J\x1b[1;1Hone\x1b[2;1Htwo\x1b[?2026l"
    assert second == "\x1b[?2026h\x1b[2;1HTWO\x1b[?2026l"
