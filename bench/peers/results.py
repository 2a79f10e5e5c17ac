"""What was measured, and what the tables and the page say of it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.paper.table import Table
from bench.peers.measuring import Figures

__all__ = ["Results", "paced_table", "page_of", "ratio", "ratios_table", "servers_table"]

OURS = ("mark worker", "mark router")
SHARE_OF_CAPACITY = 0.8


@dataclass(slots=True)
class Results:
    """One run of the bench.

    Attributes:
        command: that made it.
        date: of the run, in UTC.
        machine: in words.
        versions: what was compared, by subject.
        wires: how each was asked.
        rounds: figures by subject and number of the round.
        left_out: why a subject has no figures, or not of every round.
        notes: what went wrong under an open-loop load.
        packages: all versions of each peer's environment.
    """

    command: str
    date: str
    machine: str
    versions: dict[str, str] = field(default_factory=dict)
    wires: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, dict[int, Figures]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    packages: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def as_json(self) -> str:
        """All of it, every round."""
        document: dict[str, Any] = asdict(self)
        return json.dumps(document, indent=2) + "\n"


def ratio(results: Results, ours: str, peer: str, of: Callable[[Figures], float]) -> float | None:
    """Median over the rounds of ours over the peer's in the same round; None where one of them was not measured."""
    left, right = results.rounds.get(ours, {}), results.rounds.get(peer, {})
    both = left.keys() & right.keys()
    return statistics.median(of(left[number]) / of(right[number]) for number in both) if both else None


def servers_table(results: Results) -> Table:
    """A row for each server, medians over the rounds."""
    rows = [
        (
            f"{name}, {results.versions[name]}",
            results.wires[name],
            f"{_median(rounds, lambda f: f.rate_per_s):,.0f}",
            f"{_median(rounds, lambda f: f.cpu_us):,.1f}",
            f"{_median(rounds, lambda f: f.p50_ms):.3f}",
            f"{_median(rounds, lambda f: f.p99_ms):.3f}",
        )
        for name, rounds in _rounds_of(results)
    ]
    return Table(
        "Throughput, processor time and latency",
        ("server", "asked by", "requests/s, 64 in flight", "CPU µs a request", "p50 ms, 1 in flight", "p99 ms"),
        rows,
        [f"{name} is left out, or some of its rounds are: {why}" for name, why in results.left_out.items()],
    )


def ratios_table(results: Results) -> Table:
    """How many times a peer's throughput is ours, and by how many times less its processor time."""
    peers = [name for name in results.rounds if name not in OURS]
    rows = []
    for ours in OURS:
        for what, of, inverse in (
            ("requests/s", lambda f: f.rate_per_s, False),
            ("CPU a request", lambda f: f.cpu_us, True),
            ("p50, 1 in flight", lambda f: f.p50_ms, True),
        ):
            pair = [(peer, ours) if inverse else (ours, peer) for peer in peers]
            found = [ratio(results, left, right, of) for left, right in pair]
            rows.append((f"{ours}: {what}", *("" if value is None else f"{value:.2f}" for value in found)))
    sentences = ["Above 1, mark is better: more requests, less time. Ratios are of one round, and the median of them."]
    return Table("mark over its peers", ("", *peers), rows, sentences)


def paced_table(results: Results) -> Table:
    """p99 at one rate for all, and at a rate that suits the peer."""
    rows = []
    for name, rounds in _rounds_of(results):
        own = _kept_up([figures.near_full_ms for figures in rounds])
        own_per_s = SHARE_OF_CAPACITY * _median(rounds, lambda figures: figures.rate_per_s)
        rate_per_s, paced = _paced(rounds)
        rate = _shown(rate_per_s) if rate_per_s is None else f"{rate_per_s:,.0f}"
        rows.append((name, f"{own_per_s:,.0f}", _shown(own), rate, _shown(paced)))
    sentences = [
        "The same rate for all is 80 % of what the first server of this table answered with 64 in flight, in the same "
        "round.",
        "Requests come at Poisson instants, whether or not others are answered, and wait from the instant at which "
        "they are due. A server does not keep up if one request in a hundred waits for more than 3 % of the time that "
        "the load lasts, or if one is refused or not answered at all.",
        *results.notes,
    ]
    columns = ("server", "80 % of its own requests/s", "p99 ms", "the same requests/s for all", "p99 ms")
    return Table("p99 under an open-loop load", columns, rows, sentences)


def _rounds_of(results: Results) -> Iterator[tuple[str, list[Figures]]]:
    return ((name, list(rounds.values())) for name, rounds in results.rounds.items())


def _paced(rounds: list[Figures]) -> tuple[float | None, float | str | None]:
    asked = [(rate, p99_ms) for figures in rounds for rate, p99_ms in figures.paced_ms.items()]
    if not asked:
        return None, None
    return statistics.median(rate for rate, _ in asked), _kept_up([p99_ms for _, p99_ms in asked])


def _kept_up(p99s_ms: list[float | None]) -> float | str:
    kept_up = [p99_ms for p99_ms in p99s_ms if p99_ms is not None]
    # Where it fell behind in most rounds, the others are luck.
    return statistics.median(kept_up) if 2 * len(kept_up) > len(p99s_ms) else "does not keep up"


def _shown(value: float | str | None) -> str:
    if value is None:
        return "not measured"
    return value if isinstance(value, str) else f"{value:,.2f}"


def _median(rounds: list[Figures], of: Callable[[Figures], float]) -> float:
    return statistics.median(map(of, rounds))


def tables_of(results: Results) -> Iterator[Table]:
    """All tables."""
    yield servers_table(results)
    yield ratios_table(results)
    yield paced_table(results)


_HEAD = """# mark beside other model servers

<!-- Written by `.venv/bin/{command}`; do not edit. -->

Measured {date}, on {machine}.
Again with `.venv/bin/{command}`, which installs each peer from PyPI in an environment of
its own, in the versions of `bench/peers/requirements`.

Every server serves the same network, 64 to 16 to 4 numbers in NumPy (`bench/peers/mlp.py`), with batches of up to 64
rows, and gets the same row in each request: as an OIP message where it speaks the protocol, as raw bytes or as JSON
where that is its own. All its processes run on one core, the load on another; what is measured is {rounds} of a few
seconds for each server, one server after the other, started anew in each. One answer before and one after is compared
with the model run offline, and of gRPC the bytes of all answers are counted, since h2load takes a failed call for a
success. mosec, LitServe and Ray Serve hold a batch open for 1 ms, the least that mosec can be told; Triton not at
all; BentoML as long as it reckons itself. "mark worker" is `mark worker` alone; "mark router" is `mark serve` with one
worker, both on the same one core.
"""


def page_of(results: Results) -> str:
    """The page, in markdown."""
    count = max(map(len, results.rounds.values()), default=0)
    rounds = "one round" if count == 1 else f"the median of {count} rounds"
    head = _HEAD.format(command=results.command, date=results.date, machine=results.machine, rounds=rounds)
    return "\n".join([head, *(table.as_markdown() for table in tables_of(results))]).rstrip() + "\n"
