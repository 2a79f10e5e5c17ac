"""Whether a PromQL expression asks for what mark exports."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mark.live.metric_table import ROUTER_METRICS
from mark.protocol.metric_info import MetricInfo, MetricKind
from mark.worker.metric_table import WORKER_METRICS

__all__ = ["complaints", "exported", "names_in"]

# What Prometheus adds to every sample, and what the histograms of a table have beside its labels.
_ADDED_LABELS = {"instance", "job", "le"}
# Not what a rule of ours records: those names have colons.
_NAME = re.compile(r"(?<![\w:])mark_\w+(?![\w:])")
_SELECTOR = re.compile(r"(?<![\w:])(mark_\w+)\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def exported() -> dict[str, MetricInfo]:
    """Every name that can be asked for, with its metric: those of a histogram are three."""
    names: dict[str, MetricInfo] = {}
    for info in (*ROUTER_METRICS, *WORKER_METRICS):
        parts = ("_bucket", "_sum", "_count") if info.kind is MetricKind.HISTOGRAM else ("",)
        names |= {f"{info.name}{part}": info for part in parts}
    return names


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    return set(_NAME.findall(re.sub(r'"[^"]*"', '""', expression)))


def complaints(expression: str, shown_labels: frozenset[str] = frozenset()) -> Iterator[str]:
    """What an expression asks for, or what is shown of its answer, that is not exported."""
    names, known = names_in(expression), exported()
    yield from (f"{name} is not exported" for name in sorted(names - set(known)))
    for name, matchers in _SELECTOR.findall(expression):
        unknown = set(_MATCHER.findall(matchers)) - _labels(name)
        yield from (f"{name} has no label {label}" for label in sorted(unknown))
    grouped = {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",")} - {""}
    have = {label for name in names for label in _labels(name)}
    if names:
        yield from (
            f"nothing in {expression!r} has a label {label}" for label in sorted((grouped | shown_labels) - have)
        )


def _labels(name: str) -> set[str]:
    info = exported().get(name)
    return _ADDED_LABELS | (set() if info is None else set(info.labels))
