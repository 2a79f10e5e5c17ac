"""What serverless functions answer, and what they have done so far."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FunctionAnswer", "FunctionUse"]


@dataclass(frozen=True, slots=True)
class FunctionAnswer:
    """What a function gave back for one request.

    Attributes:
        message: a ModelInferResponse.
        usd: what it is billed: the request and its duration, the start of a cold one included.
        was_cold: the function had to be started for it.
    """

    message: bytes
    usd: float
    was_cold: bool


@dataclass(frozen=True, slots=True)
class FunctionUse:
    """What functions have done so far.

    Attributes:
        alive: functions that there are now, as far as that is known.
        warm: of them, those that have started.
        cold_starts: functions that were started.
        usd: requests, durations and pings.
    """

    alive: int
    warm: int
    cold_starts: int
    usd: float
