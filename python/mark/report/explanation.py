"""Tells records in sentences: what happened, what was done, why that and not the next best, and the dollars."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence

from mark.domain.plan import Alternative, Launch, Retire
from mark.domain.record import Record, RecordedInstance, RecordKind
from mark.report.wording import duration

__all__ = ["explain"]

_ALTERNATIVES_MAX = 3
_YEAR_S = 365 * 86_400


def explain(story: Sequence[Record]) -> list[str]:
    """The lines that tell records which belong together, in their order; see `mark.domain.story.story_of`."""
    first = story[0]
    lines = [f"{first.id}: {_when(first.unix_s)}, model {first.model}"]
    for record in story:
        after_s = record.unix_s - first.unix_s
        lead = "" if record is first else f"{after_s:.1f} s later: "
        lines += ["", *_told(record, lead)]
    if len(story) > 1:
        lines += ["", *_in_all(story)]
    return lines


def _told(record: Record, lead: str) -> Iterator[str]:
    """One record: what happened, then why."""
    yield _sentence(f"{lead}{_HEADS[record.kind]}: {record.reason}" if record.kind in _HEADS else lead + record.reason)
    if record.kind is not RecordKind.PLAN or not record.actions:
        seen = _seen(record)
        if seen and record.kind in _SIGHTED:
            yield f"  {seen}"
    yield from (f"  {line}" for line in _done(record))
    yield from (f"  {line}" for line in _not_done(record))
    if record.kind in _PRICED:
        before_usd = sum(each.usd_per_hour for each in (*record.snapshot.instances, *record.snapshot.draining))
        yield f"  The fleet cost {_usd(before_usd)} an hour before it and costs {_usd(record.usd_per_hour)} after it."


_HEADS = {
    RecordKind.PLAN: "planned",
    RecordKind.ADDITION: "the promise was being broken",
    RecordKind.SHED: "requests were shed",
    RecordKind.FALLBACK: "a fallback",
    RecordKind.BUDGET: "the budget",
}
_SIGHTED = frozenset({RecordKind.INTERRUPTION, RecordKind.ADDITION, RecordKind.SHED, RecordKind.PLAN})
_PRICED = frozenset({RecordKind.PLAN, RecordKind.BRIDGE, RecordKind.ADDITION, RecordKind.BUDGET})


def _seen(record: Record) -> str:
    snapshot = record.snapshot
    words = f"The load was {snapshot.load_per_s:.0f} rows/s"
    if snapshot.forecast is not None and snapshot.forecast.rates_per_s:
        forecast = snapshot.forecast
        reach_s = forecast.step_s * len(forecast.rates_per_s)
        words += (
            f", and up to {max(forecast.rates_per_s):.0f} were expected within {duration(reach_s)} "
            f"({forecast.forecaster})"
        )
    return f"{words}; {_fleet(snapshot.instances)} stayed."


def _fleet(instances: Sequence[RecordedInstance]) -> str:
    counts = Counter(each.offering for each in instances)
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "nothing"


def _done(record: Record) -> Iterator[str]:
    launched: dict[tuple[str, str], int] = {}
    for action in record.actions:
        if isinstance(action, Launch):
            launched[action.offering, action.reason] = launched.get((action.offering, action.reason), 0) + 1
    prices = record.snapshot.prices_usd_per_hour
    for (offering, reason), count in launched.items():
        price = prices.get(offering)
        cost = "" if price is None else f" for {_usd(price)} an hour each, {_usd(price * count)} together"
        yield f"Launched {count} x {offering}{cost}: {reason}."
    offerings = {each.id: each.offering for each in record.snapshot.instances}
    for action in record.actions:
        if isinstance(action, Retire):
            yield f"Gave back {action.instance} ({offerings.get(action.instance, 'unknown')}): {action.reason}."


def _not_done(record: Record) -> Iterator[str]:
    """Why not the next best: what it would have cost, and what spoke against it."""
    horizon_s = record.details.get("horizon_s")
    within = f" over {duration(horizon_s)}" if isinstance(horizon_s, (int, float)) and horizon_s > 0 else ""
    priced = [other for other in record.alternatives if other.extra_usd is not None]
    # What was not to be had is told in any case: it may well have been better.
    told = [*priced[:_ALTERNATIVES_MAX], *(other for other in record.alternatives if other.extra_usd is None)]
    for number, other in enumerate(told):
        lead = "Not" if other.extra_usd is None else "Nor" if number else "The next best was"
        yield f"{lead} {other.what}{_extra(other, within)}: {other.reason}."
    if not record.alternatives and any(isinstance(action, Launch) for action in record.actions):
        yield "There was no alternative."
    if len(told) < len(record.alternatives):
        yield f"More in the record: {len(record.alternatives) - len(told)}."


def _extra(other: Alternative, within: str) -> str:
    if other.extra_usd is None:
        return ""
    return f", {_usd(abs(other.extra_usd))} {'more' if other.extra_usd >= 0 else 'less'}{within}"


def _in_all(story: Sequence[Record]) -> Iterator[str]:
    first, last = story[0], story[-1]
    fleet = (*first.snapshot.instances, *first.snapshot.draining)
    launched = Counter(a.offering for each in story for a in each.actions if isinstance(a, Launch))
    lost = [each for each in story if each.kind is RecordKind.LOSS]
    if launched:
        refused = dict.fromkeys(str(each.details.get("offering")) for each in story if each.kind is RecordKind.REFUSAL)
        short = f"; of {', '.join(refused)} not all was to be had" if refused else ""
        yield f"Asked for in all: {', '.join(f'{count} x {name}' for name, count in launched.items())}{short}."
    if lost:
        usd = sum(float(each.details.get("usd", 0.0)) for each in lost)
        yield f"Lost with it: {len(lost)} instances, which had cost {_usd(usd)} in all."
    before_usd, later_s = sum(each.usd_per_hour for each in fleet), last.unix_s - first.unix_s
    yield f"The fleet cost {_usd(before_usd)} an hour before, and {_usd(last.usd_per_hour)} {later_s:.0f} s later."


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _usd(value_usd: float) -> str:
    digits = 2 if abs(value_usd) >= 100 else 4 if abs(value_usd) >= 0.01 or value_usd == 0 else 6
    return f"${value_usd:,.{digits}f}"


def _when(unix_s: float) -> str:
    if unix_s < _YEAR_S:  # of a simulation, which counts from its beginning
        return f"{unix_s:.1f} s after the beginning"
    return dt.datetime.fromtimestamp(unix_s, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
