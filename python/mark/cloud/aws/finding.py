"""What `mark aws check` says of one thing."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Finding", "Verdict"]


class Verdict(enum.Enum):
    """How it is."""

    WELL = "well"
    MISSING = "missing"
    UNKNOWN = "unknown"  # AWS does not say, or nothing is there yet to try it on


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table.

    Attributes:
        what: was looked at.
        verdict: how it is.
        detail: in words.
        mend: what to do about it; empty where nothing is to be done.
    """

    what: str
    verdict: Verdict
    detail: str
    mend: str = ""
