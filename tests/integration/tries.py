"""Promises in real time, measured on a machine that others use, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["first_kept"]

_Run = TypeVar("_Run")


def first_kept(run: Callable[[], _Run], is_kept: Callable[[_Run], bool], tries: int = 3) -> _Run:
    """The first run that keeps a promise in real time, else the last.

    A machine that stands still for as long as an answer may take breaks any promise; that says nothing of what serves.
    """
    for _ in range(tries - 1):
        done = run()
        if is_kept(done):
            return done
        print(f"the promise was not kept: {done}; once more")
    return run()
