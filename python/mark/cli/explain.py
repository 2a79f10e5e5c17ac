"""`mark explain`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import grpc
import typer

from mark.client import calls
from mark.domain.record import Record
from mark.domain.story import LAST, story_of
from mark.errors import ConfigError
from mark.live.record_log import read_log
from mark.protocol import messages
from mark.report.explanation import explain as told

__all__ = ["explain"]

_ADDRESS = "127.0.0.1:8001"


def explain(
    which: Annotated[str, typer.Argument(help="Id of a record, or last.", metavar="[ID|last]")] = LAST,
    address: Annotated[str | None, typer.Argument(help=f"host:port of a router; {_ADDRESS} if left out.")] = None,
    log: Annotated[Path | None, typer.Option(help="Read this decision log instead of asking a router.")] = None,
    model: Annotated[str, typer.Option(help="Only records of this model.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON lines and nothing else.")] = False,
) -> None:
    """Tell in sentences what a router did, why that and not the next best, and what it costs.

    An interruption is told with all that came of it. `last` is the last record that is more than a plan with nothing to
    do.

    Example: mark explain last --log mark-demo/decisions.jsonl
    """
    if ":" in which and address is None:  # no id has one: mark explain localhost:8001
        which, address = LAST, which
    if log is not None and address is not None:
        raise ConfigError(f"--log {log}: is read instead of asking {address}; give one of them")
    story = _ask(address or _ADDRESS, which, model) if log is None else _read(log, which, model)
    if as_json:
        for record in story:
            typer.echo(json.dumps(record.as_dict()))
        return
    typer.echo("\n".join(told(story)))


def _read(log: Path, which: str, model: str) -> Sequence[Record]:
    read = read_log(log)
    for fault in read.faults:
        typer.echo(f"mark: passed over: {fault}", err=True)
    story = story_of([each for each in read.records if model in {"", each.model}], which)
    if not story:
        raise ConfigError(f"{log}: no record {which!r}{f' of model {model!r}' if model else ''}")
    return story


def _ask(address: str, which: str, model: str) -> Sequence[Record]:
    request = messages.StoryRequest(id=which, model=model).SerializeToString()
    with grpc.insecure_channel(address) as channel:
        try:
            answer = channel.unary_unary(messages.GET_STORY)(request, timeout=calls.QUESTION_TIMEOUT_S)
        except grpc.RpcError as error:
            raise calls.error_from(error) from error
    return [Record.from_dict(json.loads(line)) for line in messages.StoryResponse.FromString(answer).records]
