"""Which records belong together: an interruption with all that came of it, or one record alone."""

from __future__ import annotations

from collections.abc import Sequence

from mark.domain.record import Record, RecordKind

__all__ = ["LAST", "interruption_of", "story_of"]

LAST = "last"
"""Stands for the id of the last record that tells something."""

_FRAME = frozenset({RecordKind.START, RecordKind.STOP})


def story_of(records: Sequence[Record], wanted: str) -> tuple[Record, ...]:
    """The record of an id with those that it belongs to, in their order; empty when there is none of that id.

    What came of an interruption is told with it, whichever of its records is asked for. `LAST` is the last record but
    for plans that had nothing to do, and for the beginning and the end, unless there is nothing else.

    Args:
        records: in the order in which they were written.
        wanted: an id, or `LAST`.
    """
    asked = _last(records) if wanted == LAST else next((each for each in records if each.id == wanted), None)
    if asked is None:
        return ()
    interruption = interruption_of(asked)
    if interruption is None:
        return (asked,)
    return tuple(each for each in records if interruption_of(each) == interruption)


def interruption_of(record: Record) -> str | None:
    """The id of the interruption that a record is of, or came of; None for neither."""
    if record.kind is RecordKind.INTERRUPTION:
        return record.id
    found = record.details.get("interruption")
    return found if isinstance(found, str) else None


def _last(records: Sequence[Record]) -> Record | None:
    told = (each for each in reversed(records) if _tells(each))
    return next(told, records[-1] if records else None)


def _tells(record: Record) -> bool:
    return bool(record.actions) if record.kind is RecordKind.PLAN else record.kind not in _FRAME
