"""One scrape's worth of samples, of the metrics of a table and of no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from mark._core import Distribution
from mark.protocol.metric_info import MetricInfo, MetricKind

__all__ = ["MetricFamilies"]


class MetricFamilies:
    """Collects samples by the names of a table. For one scrape: make it, fill it, iterate over it.

    Thread safety: none.

    Invariant: every sample has as many labels as its metric has in the table.
    """

    def __init__(self, table: Iterable[MetricInfo]) -> None:
        """Make one without samples."""
        self._families = {info.name: (info, _family(info)) for info in table}

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add the sample of a counter or gauge.

        Raises:
            KeyError: the table has no such metric.
            ValueError: it has other labels.
        """
        info, family = self._checked(name, labels)
        family.add_sample(info.name, dict(zip(info.labels, labels, strict=True)), value)

    def add_distribution(self, name: str, counted: Distribution, *labels: str) -> None:
        """Add a histogram; see `add`."""
        info, family = self._checked(name, labels)
        shared = dict(zip(info.labels, labels, strict=True))
        counts = list(accumulate(counted.counts))
        for bound, count in zip([*map(floatToGoString, counted.bounds), "+Inf"], counts, strict=True):
            family.add_sample(f"{name}_bucket", {**shared, "le": bound}, count)
        family.add_sample(f"{name}_sum", shared, counted.sum)
        family.add_sample(f"{name}_count", shared, counts[-1])

    def __iter__(self) -> Iterator[Metric]:
        """The families that have samples, in the order of the table."""
        return (family for _, family in self._families.values() if family.samples)

    def _checked(self, name: str, labels: Sequence[str]) -> tuple[MetricInfo, Metric]:
        info, family = self._families[name]
        if len(labels) != len(info.labels):
            raise ValueError(f"{name} has the labels {', '.join(info.labels) or 'none'}, not {len(labels)}")
        return info, family


def _family(info: MetricInfo) -> Metric:
    makers = {
        MetricKind.COUNTER: CounterMetricFamily,
        MetricKind.GAUGE: GaugeMetricFamily,
        MetricKind.HISTOGRAM: HistogramMetricFamily,
    }
    made: Metric = makers[info.kind](info.name, info.meaning, labels=info.labels)
    return made
