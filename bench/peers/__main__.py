"""Measures mark and its peers: `.venv/bin/python -m bench.peers`, on an otherwise idle machine of two cores."""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.peers.environments import Environment, EnvironmentMissing, default_folder, environment_of
from bench.peers.load import ClosedLoad, H2load, LoadFailed, PacedLoad
from bench.peers.measuring import Extent, Serving, figures_of, p99_at, say, serving
from bench.peers.open_loop import OpenLoop
from bench.peers.processes import NotServing
from bench.peers.results import SHARE_OF_CAPACITY, Results, page_of, tables_of
from bench.peers.subjects import ROOT, SUBJECTS, Subject
from bench.peers.wires import WrongAnswer

_BUSY_MIN = 0.3
_PAGE = ROOT / "docs" / "peers.md"


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, by what, where, for how long, and the ingress that mark is told to use."""

    subjects: Sequence[Subject]
    closed: ClosedLoad
    open: PacedLoad
    core: int
    extent: Extent
    ingress: str | None


def main(arguments: Sequence[str]) -> int:
    """Run the bench; 1 when nothing could be measured."""
    options = _options(arguments)
    chosen = [subject for subject in SUBJECTS if subject.name.replace(" ", "-") in options.only]
    # So that what was started is ended on SIGTERM and SIGHUP as on Ctrl-C.
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        say("two cores are needed: one for the server, one for the load")
        return 1
    results = Results(_command(options), time.strftime("%Y-%m-%d", time.gmtime()), _machine())
    try:
        loads = H2load(cores[1]), OpenLoop(cores[1], options.environments)
    except LoadFailed as error:
        say(str(error))
        return 1
    try:
        environments = dict(_installed(chosen, options.environments, results))
        installed = [subject for subject in chosen if subject.name in environments]
        bench = Bench(installed, *loads, cores[0], Extent(options.seconds, min(2, options.seconds)), options.ingress)
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            _round(number, bench, environments, results)
    except KeyboardInterrupt:
        say("interrupted: nothing is written")
        return 130
    _write(results, options)
    return 0 if results.rounds else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = [subject.name.replace(" ", "-") for subject in SUBJECTS]
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=names, help=f"of {','.join(names)}")
    parser.add_argument("--rounds", type=int, default=3, help="each server is started and measured so often (3)")
    parser.add_argument("--seconds", type=int, default=8, help="of each load (8)")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where peers are installed")
    parser.add_argument("--ingress", choices=("native", "grpcio"), help="of mark; its default when left out")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--page", action="store_true", help=f"write {_PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    unknown = set(options.only) - set(names)
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(names)}")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are 1 or more")
    return options


def _command(options: argparse.Namespace) -> str:
    """What makes the same figures elsewhere: without the places of files."""
    words = ["python", "-m", "bench.peers", "--rounds", str(options.rounds), "--seconds", str(options.seconds)]
    if len(options.only) < len(SUBJECTS):
        words += ["--only", ",".join(options.only)]
    if options.ingress:
        words += ["--ingress", options.ingress]
    return " ".join([*words, "--page"])


def _installed(chosen: Iterable[Subject], folder: Path, results: Results) -> Iterable[tuple[str, Environment | None]]:
    for subject in chosen:
        environment = None
        try:
            if subject.environment is not None:
                environment = environment_of(subject.environment, folder.resolve())
                results.packages[subject.name] = environment.versions
        except EnvironmentMissing as error:
            _leave_out(results, subject.name, error)
            continue
        results.versions[subject.name] = environment.versions[subject.package] if environment else _own_version()
        results.wires[subject.name] = subject.wire.name
        say(f"{subject.name}: {subject.package} {results.versions[subject.name]}")
        yield subject.name, environment


def _round(number: int, bench: Bench, environments: dict[str, Environment | None], results: Results) -> None:
    """All servers, one after the other; mark's worker is the first, so that its capacity sets the rate of all."""
    rate_per_s: float | None = None
    for subject in bench.subjects:
        try:
            with serving(subject, bench.core, environments[subject.name], bench.ingress) as served:
                figures = figures_of(served, bench.closed, bench.extent)
                own_per_s = round(SHARE_OF_CAPACITY * figures.rate_per_s)
                rate_per_s = rate_per_s or own_per_s
                figures.near_full_ms = _paced(served, bench, own_per_s, results)
                figures.paced_ms[rate_per_s] = _paced(served, bench, rate_per_s, results)
        except (NotServing, WrongAnswer, LoadFailed, ConnectionError) as error:
            _leave_out(results, subject.name, error)
            continue
        results.rounds.setdefault(subject.name, {})[number] = figures
        say(f"{subject.name}: {figures}")


def _paced(served: Serving, bench: Bench, rate_per_s: float, results: Results) -> float | None:
    served.check()  # it has worked off what the load before this left behind
    try:
        return p99_at(served.target, bench.open, rate_per_s, bench.extent)
    except LoadFailed as error:
        # Some servers close connections under too much load: no reason to drop what else was measured of them.
        note = f"at {rate_per_s:,.0f} requests/s: {error}"
        results.notes.append(f"{served.name} {note}")
        say(f"{served.name} {note}")
        return None


def _leave_out(results: Results, name: str, error: Exception) -> None:
    said = re.sub(r"\s+", " ", str(error)).replace("|", "/")
    results.left_out[name] = said
    say(f"{name} is left out: {said}")


def _write(results: Results, options: argparse.Namespace) -> None:
    for table in tables_of(results):
        print(table.as_text())
    if options.json:
        options.json.write_text(results.as_json(), encoding="utf-8")
    if options.page:
        _PAGE.write_text(page_of(results), encoding="utf-8")


def _own_version() -> str:
    with suppress(PackageNotFoundError):
        return version("mark-serve")
    return "of this tree"


def _machine() -> str:
    model = "an unknown processor"
    with suppress(OSError):
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        model = found[1] if found else model
    busy = os.getloadavg()[0]
    # Whoever reads the figures must know if the machine was not theirs alone.
    others = f"; before the first server, {busy:.1f} other processes ran on average" if busy >= _BUSY_MIN else ""
    return f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}{others}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
