"""What a metric is: the rows of the tables that exporters, documentation, dashboard and alerts share."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["MetricInfo", "MetricKind"]


class MetricKind(enum.Enum):
    """What can be done with a metric."""

    COUNTER = "counter"  # only grows; look at its rate
    GAUGE = "gauge"  # how it is now
    HISTOGRAM = "histogram"  # observations between bounds, with `_bucket`, `_sum` and `_count`


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric.

    Attributes:
        name: as it is exported; of a histogram without `_bucket`, `_sum` and `_count`.
        kind: what can be done with it.
        meaning: in a line, for people.
        labels: names of its labels, in the order in which the exporter gives their values.
    """

    name: str
    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()
