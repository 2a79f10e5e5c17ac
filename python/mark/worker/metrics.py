"""What a worker's model did, counted around it, and served to Prometheus at a port of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mark import __version__
from mark._core import LatencyHistogram
from mark.errors import ConfigError
from mark.protocol.metric_families import MetricFamilies
from mark.worker.metric_table import WORKER_METRICS
from mark.worker.runtimes import Arrays, Model
from mark.worker.throttle import CpuCredits, CpuUse, Throttle

__all__ = ["MetricsPort", "WorkerCounts"]

_LOOPBACK = "127.0.0.1"


class WorkerCounts(Collector):
    """Counts what passes through the model and the throttle that it wraps.

    Thread safety: `collect` may be called from any thread; the model and the throttle by one, as without it.

    Invariant: all counts are touched only with `_lock` held.
    """

    def __init__(self, name: str) -> None:
        """Count from nothing.

        Args:
            name: of the model.
        """
        self._name = name
        self._lock = threading.Lock()
        self._batches: Counter[str] = Counter(answered=0, raised=0)
        self._rows = 0
        self._compute = LatencyHistogram()
        self._idled_s = 0.0
        self._credits: CpuCredits | None = None

    def around_model(self, model: Model) -> Model:
        """The same model, counted."""

        def counted(inputs: Arrays) -> Arrays:
            began_ns = time.perf_counter_ns()
            outcome = "raised"
            try:
                outputs = model(inputs)
                outcome = "answered"
            finally:
                self._ran(outcome, time.perf_counter_ns() - began_ns, len(next(iter(inputs.values()), ())))
            return outputs

        return counted

    def around_throttle(self, throttle: Throttle) -> Throttle:
        """The same throttle, counted."""
        if isinstance(throttle, CpuCredits):
            self._credits = throttle
        return _CountedThrottle(throttle, self)

    def idled(self, idle_s: float) -> None:
        """A batch is followed by so many seconds of idling."""
        with self._lock:
            self._idled_s += idle_s

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are the table's."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        families = MetricFamilies(WORKER_METRICS)
        families.add("mark_build_info", 1, __version__)
        with self._lock:
            for outcome, count in self._batches.items():
                families.add("mark_worker_batches_total", count, self._name, outcome)
            families.add("mark_worker_rows_total", self._rows, self._name)
            families.add_distribution("mark_worker_compute_seconds", self._compute.distribution_s(), self._name)
            families.add("mark_worker_idled_seconds_total", self._idled_s, self._name)
            if self._credits is not None:
                families.add("mark_worker_credits_seconds", self._credits.credits_s(CpuUse.now().wall_s), self._name)
        return iter(families)

    def _ran(self, outcome: str, took_ns: int, rows: int) -> None:
        with self._lock:
            self._batches[outcome] += 1
            self._rows += rows if outcome == "answered" else 0
            self._compute.record(took_ns)


class _CountedThrottle:
    """A throttle that tells how long it makes the worker idle."""

    def __init__(self, throttle: Throttle, counts: WorkerCounts) -> None:
        self._throttle = throttle
        self._counts = counts

    def idle_s(self, use: CpuUse, ended_s: float) -> float:
        idle_s = self._throttle.idle_s(use, ended_s)
        self._counts.idled(idle_s)
        return idle_s


class MetricsPort:
    """Serves the counts of a worker, and what every process says of itself, on a thread of its own.

    Thread safety: belongs to one thread.
    """

    def __init__(self, counts: WorkerCounts, address: str, port: int, *, open_to_others: bool) -> None:
        """Bind the port, and serve from now on.

        Args:
            counts: what is served.
            address: where the worker is; metrics are served at its host, or to this machine where that is a file.
            port: 0 takes a free one.
            open_to_others: False serves only this machine, whatever the host: metrics ask nobody for a certificate.

        Raises:
            ConfigError: the port is in use.
        """
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(counts)
        is_file = address.startswith("unix:")
        self._host = host = _LOOPBACK if is_file or not open_to_others else address.rpartition(":")[0].strip("[]")
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(f"--metrics-port: cannot listen at {host}:{port}: {error.strerror or error}") from error

    @property
    def url(self) -> str:
        """What Prometheus is to scrape."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def close(self) -> None:
        """Release the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
