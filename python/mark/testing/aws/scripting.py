"""The fake's methods for other processes: POST /fake/<method> with its arguments as JSON, GET to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from mark.testing.aws.billing import Bill
from mark.testing.aws.wire import Answer, AwsError, Environ

__all__ = ["Scripting"]


class Scripting:
    """Answers what is below /fake/.

    Thread safety: that of the methods.
    """

    def __init__(self, orders: Mapping[str, Callable[..., None]], reads: Mapping[str, Callable[..., Any]]) -> None:
        self._orders = orders
        self._reads = reads

    def page(self, environ: Environ, body: bytes) -> Answer:
        """One request."""
        name = environ["PATH_INFO"].removeprefix("/fake/").strip("/")
        posted = environ["REQUEST_METHOD"] == "POST"
        known = self._orders if posted else self._reads
        if name not in known:
            return _json(404, {"error": f"there is no {name!r}; there are {', '.join(sorted(known))}"})
        try:
            arguments = json.loads(body or b"{}") if posted else dict(parse_qsl(environ.get("QUERY_STRING", "")))
            return _json(200, known[name](**arguments))
        except (AwsError, TypeError, ValueError) as error:
            return _json(400, {"error": str(error)})


def _json(status: int, value: Any) -> Answer:
    if isinstance(value, Bill):
        value = {"usd": value.usd, "lines": [asdict(line) for line in value.lines]}
    return Answer(status, (("Content-Type", "application/json"),), json.dumps(value, default=_plain).encode())


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON here")
