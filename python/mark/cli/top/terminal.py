"""The whole screen of a terminal, and its keys one by one; given back exactly as it was.

Not rich's `Live`: that reads no keys, gives nothing back when a shell stops it, and draws all of a frame each time.
"""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any

__all__ = ["Terminal"]

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the alternate screen, no cursor, no wrapping at the right edge
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[2J"
_BEGIN_FRAME = "\x1b[?2026h"  # terminals that know it show the frame at once; others ignore it
_END_FRAME = "\x1b[?2026l"
_SIZE = (80, 24)  # of a terminal that does not know its own


class Terminal:
    """A context: within it the screen is ours.

    Args:
        screen: file descriptor of the terminal to draw on.
        keys: that of the terminal to read keys from; None where input comes from elsewhere.

    Invariant: after `leave`, and after the context however it ends, modes and screen are those of before.
    """

    def __init__(self, screen: int, keys: int | None) -> None:
        self._screen = screen
        self._keys = keys
        self._modes: list[Any] | None = None
        self._entered = False
        self._size_shown: tuple[int, int] | None = None
        self._shown: list[str] = []

    def __enter__(self) -> Terminal:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def enter(self) -> None:
        """Take the screen; again, too, after a shell had it meanwhile."""
        if self._keys is not None:
            if self._modes is None:
                self._modes = termios.tcgetattr(self._keys)
            # Signals stay with the terminal: Ctrl-C, Ctrl-Z and Ctrl-\ do what they always do.
            tty.setcbreak(self._keys, termios.TCSADRAIN)
        self._entered = True
        self._size_shown = None
        self._write(_ENTER)

    def leave(self) -> None:
        """Give the screen and the modes back; nothing if it was not entered."""
        if not self._entered:
            return
        self._entered = False
        # Where the terminal itself is gone, there is nothing to give back.
        with contextlib.suppress(OSError):
            self._write(_LEAVE)
        with contextlib.suppress(termios.error):
            if self._keys is not None and self._modes is not None:
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._modes)

    def size(self) -> tuple[int, int]:
        """Columns and lines as they are now."""
        columns, lines = os.get_terminal_size(self._screen)
        return (columns, lines) if columns > 0 and lines > 0 else _SIZE

    def draw(self, lines: Sequence[str]) -> None:
        """Show lines from the top down, as far as they differ from those that are shown.

        Each fills its row, so that nothing has to be erased, which would flicker.
        """
        size = self.size()
        clear = ""
        if size != self._size_shown:
            clear, self._size_shown, self._shown = _CLEAR, size, []
        shown = [*self._shown, *[None] * (len(lines) - len(self._shown))]
        rows = [
            f"\x1b[{number};1H{line}"
            for number, (line, before) in enumerate(zip(lines, shown, strict=False), start=1)
            if line != before
        ]
        self._shown = list(lines)
        if rows:
            self._write(f"{_BEGIN_FRAME}{clear}{''.join(rows)}{_END_FRAME}")

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._screen, data) :]
