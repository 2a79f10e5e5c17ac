"""How often a cloud's API was called, and how often it answered with a fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ApiCounts"]


@dataclass(frozen=True, slots=True)
class ApiCounts:
    """Counts since the process began.

    Attributes:
        calls: by service and operation, repeats included.
        faults: of them, those that failed, by service, operation and what the cloud said, in its own code; the name of
            the error where it said nothing.
    """

    calls: Mapping[tuple[str, str], int] = field(default_factory=dict)
    faults: Mapping[tuple[str, str, str], int] = field(default_factory=dict)

    def __add__(self, other: ApiCounts) -> ApiCounts:
        """Both together."""
        return ApiCounts(Counter(self.calls) + Counter(other.calls), Counter(self.faults) + Counter(other.faults))
