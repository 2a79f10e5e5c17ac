"""The journal of launches that were begun: written before EC2 is asked, deleted when it shows what was bought."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mark.cloud.aws.errors import translated
from mark.cloud.aws.session import Client

__all__ = ["Intent", "Intents"]

_log = logging.getLogger(__name__)

_PREFIX = "intents/"


@dataclass(frozen=True, slots=True)
class Intent:
    """One call that buys.

    Attributes:
        operation: "create_fleet" or "run_instances".
        request: its parameters, the client token included.
        offering: name of the offering.
        model: name of the model.
        tokens: launch tokens, in the order in which instances are given to them.
        began_at_s: seconds since the epoch.
        fencing: number of the reign that began it.
    """

    operation: str
    request: Mapping[str, Any]
    offering: str
    model: str
    tokens: tuple[str, ...]
    began_at_s: float
    fencing: int

    @property
    def key(self) -> str:
        """Name of its object."""
        return f"{_PREFIX}{self.request['ClientToken']}.json"

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Intent:
        """Read an intent.

        Raises:
            ValueError: the text is not one.
        """
        try:
            data = json.loads(text)
            if data["operation"] not in {"create_fleet", "run_instances"} or "ClientToken" not in data["request"]:
                raise ValueError("it names no launch")
            return cls(**{**data, "tokens": tuple(data["tokens"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is not an intent: {error!r}") from error


class Intents:
    """Keeps intents in S3.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, client: Callable[[], Client], bucket: Callable[[], str]) -> None:
        """Keep them in a bucket; both are looked up on first use."""
        self._client = client
        self._bucket = bucket

    def put(self, intent: Intent) -> None:
        """Write one down.

        Raises:
            CloudError: it is not written; nothing may be bought.
        """
        try:
            self._client().put_object(Bucket=self._bucket(), Key=intent.key, Body=intent.to_json().encode())
        except Exception as error:
            raise translated(error, "writing down what is about to be launched") from error

    def drop(self, intent: Intent) -> None:
        """Forget one that is settled.

        Raises:
            CloudError: it is still there; the next router finds it settled.
        """
        try:
            self._client().delete_object(Bucket=self._bucket(), Key=intent.key)
        except Exception as error:
            raise translated(error, "deleting the note of a launch") from error

    def open_ones(self) -> list[Intent]:
        """Those that nobody has settled, oldest first. What cannot be read is logged, deleted and left out.

        Raises:
            CloudError: S3 does not say.
        """
        client, found = self._client(), []
        try:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket(), Prefix=_PREFIX)
            for key in [each["Key"] for page in pages for each in page.get("Contents", ())]:
                body = client.get_object(Bucket=self._bucket(), Key=key)["Body"].read()
                try:
                    found.append(Intent.from_json(body))
                except ValueError as error:
                    _log.error("s3://%s/%s is deleted: %s", self._bucket(), key, error)
                    client.delete_object(Bucket=self._bucket(), Key=key)
        except Exception as error:
            raise translated(error, "reading which launches were begun") from error
        return sorted(found, key=lambda intent: intent.began_at_s)
