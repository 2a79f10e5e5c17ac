"""`mark cost`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated, Final

import grpc
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mark.domain.bill import Bill, BillKey, BillLine
from mark.errors import ConfigError, Unavailable
from mark.protocol import messages

__all__ = ["cost"]

_KEYS: Final[dict[str, BillKey]] = {
    "hour": "hour_unix_s",
    "model": "model",
    "market": "market",
    "offering": "offering",
}
_TIMEOUT_S = 5.0


def cost(
    address: Annotated[str, typer.Argument(help="host:port of a router.")] = "127.0.0.1:8001",
    by: Annotated[
        str, typer.Option(help=f"What the dollars are split by, in this order: any of {', '.join(_KEYS)}.")
    ] = "model,market",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV and nothing else.")] = False,
) -> None:
    """Say what a running router has spent, by model, market, offering and hour.

    Hours are those of UTC. Instances are billed by the second, functions by the request.

    Example: mark cost localhost:8001 --by hour,market --csv
    """
    names = _names(by)
    answer = _fetch(address)
    bill = Bill(tuple(_line_of(line) for line in answer.lines))
    parts = bill.by(*(_KEYS[name] for name in names))
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow((*names, "usd"))
        writer.writerows((*_cells(names, key), f"{usd:.6f}") for key, usd in parts.items())
        return
    table = Table(show_footer=True)
    for place, name in enumerate(names):
        table.add_column(name, "total" if place == 0 else "")
    table.add_column("$", f"{bill.usd:.6f}", justify="right")
    for key, usd in parts.items():
        table.add_row(*(Text(cell) for cell in _cells(names, key)), f"{usd:.6f}")
    console = Console()
    console.print(table)
    console.print(_rate_line(answer.usd_per_hour))


def _names(by: str) -> list[str]:
    names = [name.strip() for name in by.split(",")]
    unknown = [name for name in names if name not in _KEYS]
    if unknown or len(set(names)) < len(names):
        raise ConfigError(f"--by {by}: give any of {', '.join(_KEYS)}, each once, with commas between them")
    return names


def _fetch(address: str) -> messages.BillResponse:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(messages.GET_BILL)
        try:
            answer = call(messages.BillRequest().SerializeToString(), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise Unavailable(f"no mark router answers at {address}: {error.code().name}: {error.details()}") from error
    return messages.BillResponse.FromString(answer)


def _line_of(line: messages.BillLine) -> BillLine:
    return BillLine(line.hour_unix_s, line.model, line.market, line.offering, line.usd)


def _cells(names: Sequence[str], key: Sequence[str | int]) -> list[str]:
    return [_hour(int(part)) if name == "hour" else str(part) for name, part in zip(names, key, strict=True)]


def _hour(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, tz=timezone.utc):%Y-%m-%dT%H:%MZ}"


def _rate_line(rates: Sequence[messages.UsdPerHour]) -> str:
    """What the instances cost an hour now, by market."""
    usd: dict[str, float] = {}
    for rate in rates:
        usd[rate.market] = usd.get(rate.market, 0.0) + rate.usd_per_hour
    parts = ", ".join(f"{market} ${each:.4f}" for market, each in sorted(usd.items()))
    return f"instances cost ${sum(usd.values()):.4f} an hour now" + (f": {parts}" if parts else "")
