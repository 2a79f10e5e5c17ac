"""`mark status`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console

from mark.cli.status_screen import status_lines
from mark.cli.top.glyphs import glyphs_for
from mark.errors import Unavailable
from mark.protocol import messages

__all__ = ["status"]

_WIDTH = 160  # where the output goes to no terminal: enough for every line


def status(
    address: Annotated[str, typer.Argument(help="host:port of a router.")] = "127.0.0.1:8001",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show models, SLO, fleet and cost of a running router: one screen for each model.

    Instances are counted by offering, and workers told that are not as fast as their profile; --json has each of them.

    Example: mark status localhost:8001
    """
    report = _fetch(address)
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    console = Console(highlight=False)
    width = console.width if console.is_terminal else _WIDTH
    for line in status_lines(report, address, width, glyphs_for(console.encoding)):
        console.print(line, no_wrap=True, overflow="ignore", crop=False)


def _fetch(address: str) -> dict[str, Any]:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(messages.GET_STATUS)
        try:
            answer = call(messages.StatusRequest().SerializeToString(), timeout=5.0)
        except grpc.RpcError as error:
            raise Unavailable(f"no mark router answers at {address}: {error.code().name}: {error.details()}") from error
    return MessageToDict(
        messages.StatusResponse.FromString(answer),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
