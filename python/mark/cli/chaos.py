"""`mark chaos`: make what a promise must survive happen now."""

from __future__ import annotations

import json
from typing import Annotated

import grpc
import typer

from mark.cli.option_checks import check_within
from mark.errors import Unavailable
from mark.protocol import messages
from mark.protocol.statuses import error_of

__all__ = ["chaos"]

chaos = typer.Typer(name="chaos", help="Make what a promise must survive happen now.", no_args_is_help=True)

_TIMEOUT_S = 5.0


@chaos.callback()
def _chaos() -> None:
    """Make what a promise must survive happen now."""


@chaos.command()
def interrupt(
    address: Annotated[str, typer.Argument(help="host:port of a router.")] = "127.0.0.1:8001",
    share: Annotated[float, typer.Option(help="Of the spot instances that run, the oldest first; in (0, 1].")] = 0.8,
    model: Annotated[str, typer.Option(help="Only those that serve this model.")] = "",
    notice_s: Annotated[
        float | None, typer.Option(help="Until they are gone; by default what the configuration says.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Take spot instances away from a running router, after a notice, as a cloud would.

    Works with the local cloud. Their offerings are sold out for a while, as after any interruption.

    Example: mark chaos interrupt localhost:8001 --share 0.8 --notice-s 5
    """
    check_within("--share", share, 0, 1)
    request = messages.InterruptRequest(share=share, model=model)
    if notice_s is not None:
        check_within("--notice-s", notice_s, 0)
        request.notice_s = notice_s
    hit = [
        {"id": each.id, "offering": each.offering, "model": each.model, "notice_s": round(each.notice_s, 3)}
        for each in _ask(address, request).instances
    ]
    if as_json:
        typer.echo(json.dumps({"interrupted": hit}, indent=2))
        return
    for each in hit:
        typer.echo(f"{each['id']} ({each['offering']}, {each['model']}) is taken away in {each['notice_s']:.1f} s")
    if not hit:
        typer.echo("no spot instance runs that is not under notice already")


def _ask(address: str, request: messages.InterruptRequest) -> messages.InterruptResponse:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(messages.INTERRUPT)
        try:
            answer = call(request.SerializeToString(), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise Unavailable(
                    f"no mark router answers at {address}: {error.code().name}: {error.details()}"
                ) from error
            raise error_of(error.code(), error.details()) from error
    return messages.InterruptResponse.FromString(answer)
