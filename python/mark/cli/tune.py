"""`mark tune`."""

from __future__ import annotations

import json
from typing import Annotated

import grpc
import typer

from mark.client import calls
from mark.errors import InvalidRequest
from mark.protocol import messages

__all__ = ["tune"]


def tune(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    address: Annotated[str, typer.Option(help="host:port of a router.")] = "127.0.0.1:8001",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="batching.KEY=VALUE; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Show a model's batching knobs, or set some without a restart: all that are given, or none.

    They hold until the router ends; the configuration file stays as it is.

    Example: mark tune digits --set batching.margin_ms=3 --set batching.admission=false
    """
    wanted = dict(_pair(text) for text in settings or [])
    with grpc.insecure_channel(address) as channel:
        request = messages.TuneRequest(model=model, settings=wanted)
        try:
            answer = channel.unary_unary(messages.TUNE)(request.SerializeToString(), timeout=calls.QUESTION_TIMEOUT_S)
        except grpc.RpcError as error:
            raise calls.error_from(error) from error
    now = dict(sorted(messages.TuneResponse.FromString(answer).settings.items()))
    if as_json:
        typer.echo(json.dumps(now, indent=2))
        return
    for name, value in now.items():
        typer.echo(f"batching.{name} = {value}" + ("  (changed)" if name in wanted else ""))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    key = name.strip().removeprefix("batching.")
    if not equals or not key or not value.strip():
        raise InvalidRequest(f"--set {text}: must be batching.KEY=VALUE, such as batching.margin_ms=3")
    return key, value.strip()
