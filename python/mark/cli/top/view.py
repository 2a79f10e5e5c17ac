"""What is shown: what the router has told so far, and what the person at the keys chose of it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mark.cli.top.keys import Key
from mark.domain.record import Record, RecordKind
from mark.domain.sample import ModelSample
from mark.errors import ModelNotFound

__all__ = ["SPANS_S", "ModelSeen", "View"]

SPANS_S = (120, 600, 3_600, 21_600, 86_400)

_SAMPLES_MAX = 10_000
_RECORDS_MAX = 4_096
_QUIET_MAX = 256
_LEFT_BEHIND_S = 30.0  # a model that is not sampled for so long, while others are, is not served any more
_PAGE = 10
_SPAN_S = 600


@dataclass(slots=True)
class ModelSeen:
    """What is known of one model: its samples and records in the order of time, each once.

    Attributes:
        now: the newest sample; None while there is but the past.
        samples: of the past and of now.
        records: by id.
    """

    now: ModelSample | None = None
    samples: deque[ModelSample] = field(default_factory=lambda: deque(maxlen=_SAMPLES_MAX))
    records: dict[str, Record] = field(default_factory=dict)

    def take_past(self, sample: ModelSample) -> None:
        """A point of the past; a router that is asked again may tell what it told before."""
        if not self.samples or sample.unix_s > self.samples[-1].unix_s:
            self.samples.append(sample)

    def take_sample(self, sample: ModelSample) -> None:
        """A sample of now."""
        while self.samples and self.samples[-1].unix_s >= sample.unix_s:
            self.samples.pop()  # the clock was put back
        self.samples.append(sample)
        self.now = sample

    def take_record(self, record: Record) -> None:
        """A record; the oldest makes room, and of plans that changed nothing there are few enough to leave it."""
        self.records.setdefault(record.id, record)
        if _changes_something(record):
            if len(self.records) > _RECORDS_MAX:
                del self.records[next(iter(self.records))]
            return
        quiet = [each.id for each in self.records.values() if not _changes_something(each)]
        if len(quiet) > _QUIET_MAX:
            del self.records[quiet[0]]

    def within(self, span_s: float) -> list[ModelSample]:
        """The samples of the last `span_s`, and one before them if there is one."""
        if self.now is None:
            return []
        begin = self.now.unix_s - span_s
        newest_first = reversed(self.samples)
        kept = list(itertools.takewhile(lambda sample: sample.unix_s >= begin, newest_first))
        if len(kept) < len(self.samples):
            kept.append(self.samples[-1 - len(kept)])
        return kept[::-1]


class View:
    """What is shown, without where and how: it is told what came and what was pressed.

    Knows no clock, socket or terminal. Thread safety: none.

    Invariants:
        - `shown` is a model that was seen, or empty while there is none;
        - the choice of a decision stays with that decision, whatever comes after it; without one the newest is chosen.
    """

    def __init__(self, wanted: str = "", *, takes_keys: bool = True) -> None:
        """Make the view of nothing.

        Args:
            wanted: the model to show first; empty for the first that the router names.
            takes_keys: whether there is somebody to choose.
        """
        self.takes_keys = takes_keys
        self.models: dict[str, ModelSeen] = {}
        self.shown = ""
        self.all_plans = False
        self.opened = False
        self.scroll = 0
        self.lost_because = ""  # why the router tells nothing now; empty while it does
        self._wanted = wanted
        self._chosen: str | None = None
        self._span_s: int | None = None

    def take_models(self, names: Sequence[str]) -> None:
        """The models that the router serves.

        Raises:
            ModelNotFound: the one that was asked for has never been among them.
        """
        if self._wanted and self._wanted not in (*names, *self.models):
            raise ModelNotFound(f"--model: unknown model {self._wanted!r}; served are {', '.join(sorted(names))}")
        if names and self.shown not in names:
            self.shown = self._wanted if self._wanted in names else names[0]
            self._model(self.shown)

    def take_past(self, sample: ModelSample) -> None:
        """What the router said of a model before."""
        self._model(sample.model).take_past(sample)

    def take_sample(self, sample: ModelSample) -> None:
        """What the router says of a model now."""
        self._model(sample.model).take_sample(sample)

    def take_record(self, record: Record) -> None:
        """What the router has done, or did before."""
        self._model(record.model).take_record(record)

    @property
    def seen(self) -> ModelSeen:
        """What is known of the model that is shown."""
        return self.models.get(self.shown, ModelSeen())

    @property
    def served(self) -> list[str]:
        """The models that are served, by name; the one that is shown is among them."""
        last_s = {name: seen.samples[-1].unix_s for name, seen in self.models.items() if seen.samples}
        newest_s = max(last_s.values(), default=0.0)
        return sorted(
            name for name in self.models if name == self.shown or last_s.get(name, 0.0) > newest_s - _LEFT_BEHIND_S
        )

    @property
    def span_s(self) -> int:
        """How far back plots reach: as was chosen; without a choice all that is known, up to ten minutes."""
        if self._span_s is not None:
            return self._span_s
        samples = self.seen.samples
        known_s = samples[-1].unix_s - samples[0].unix_s if samples else 0.0
        return next(span_s for span_s in SPANS_S if span_s >= min(known_s, _SPAN_S))

    def decisions(self) -> list[Record]:
        """The decisions to choose from, newest first."""
        records = reversed(list(self.seen.records.values()))
        return [record for record in records if self.all_plans or _changes_something(record)]

    def chosen(self) -> int:
        """Which of `decisions` is chosen; 0 where there are none."""
        return next((at for at, record in enumerate(self.decisions()) if record.id == self._chosen), 0)

    def press(self, key: Key) -> None:
        """Do what a key asks for."""
        if key in _MOVES:
            self._move(_MOVES[key])
        elif key in {Key.PAGE_UP, Key.PAGE_DOWN}:
            pages = 1 if key is Key.PAGE_DOWN else -1
            if self.opened:
                self.scroll = max(0, self.scroll + pages * _PAGE)
            else:
                self._move(pages * _PAGE)
        elif key in {Key.NEXT, Key.PREVIOUS}:
            self._show_other(1 if key is Key.NEXT else -1)
        elif key in {Key.LONGER, Key.SHORTER}:
            at = SPANS_S.index(self.span_s) + (1 if key is Key.LONGER else -1)
            self._span_s = SPANS_S[min(len(SPANS_S) - 1, max(0, at))]
        elif key is Key.ALL:
            self.all_plans = not self.all_plans
        elif key is Key.ENTER:
            self._open()
        elif key is Key.ESCAPE:
            self.opened = False

    def _model(self, name: str) -> ModelSeen:
        self.shown = self.shown or name
        return self.models.setdefault(name, ModelSeen())

    def _move(self, by: int) -> None:
        decisions = self.decisions()
        at = min(max(0, self.chosen() + by), max(0, len(decisions) - 1))
        # The newest is not held on to: who watches the top of the list wants to see what comes.
        self._chosen = decisions[at].id if at or (self.opened and decisions) else None
        self.scroll = 0

    def _open(self) -> None:
        decisions = self.decisions()
        if decisions:
            self._chosen = decisions[self.chosen()].id
            self.opened, self.scroll = True, 0

    def _show_other(self, by: int) -> None:
        served = self.served
        if served:
            at = served.index(self.shown) if self.shown in served else 0
            self.shown = served[(at + by) % len(served)]
            self._chosen, self.opened, self.scroll = None, False, 0


_END = 1_000_000
_MOVES = {Key.UP: -1, Key.DOWN: 1, Key.HOME: -_END, Key.END: _END}


def _changes_something(record: Record) -> bool:
    return record.kind is not RecordKind.PLAN or bool(record.actions)
