"""Clients of AWS's services, with bounds on every call and a count of them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import boto3
import botocore.config

from mark.cloud.aws.errors import translated
from mark.cloud.aws.settings import AwsSettings
from mark.domain.api_counts import ApiCounts

__all__ = ["AwsSession", "Client"]

Client = Any
"""A client of boto3: its methods are made from AWS's own descriptions, and have no types."""

_CONNECT_S = 5.0
_READ_S = 30.0  # a long poll takes 20
_ATTEMPTS_MAX = 3  # what still fails then is told: the loops above come back on their own rhythm


class AwsSession:
    """Makes clients of one region, and counts what they call.

    Thread safety: every method may be called from any thread; so may the methods of the clients.

    Invariants: `_clients`, `_calls` and `_faults` are touched only with `_lock` held.
    """

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._session = boto3.session.Session(region_name=settings.region)
        self._clients: dict[str, Client] = {}
        self._calls: Counter[tuple[str, str]] = Counter()
        self._faults: Counter[tuple[str, str, str]] = Counter()
        self._account: str | None = None

    def client(self, service: str, region: str | None = None) -> Client:
        """The client of a service; `region` where the service is not in every one."""
        key = f"{service}@{region or self._settings.region}"
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._make(service, region)
            return self._clients[key]

    @property
    def account(self) -> str:
        """The account's number.

        Raises:
            CloudError: AWS does not say who is asking.
        """
        if self._account is None:
            try:
                self._account = str(self.client("sts").get_caller_identity()["Account"])
            except Exception as error:
                raise translated(error, "asking AWS which account this is") from error
        return self._account

    def counts(self) -> ApiCounts:
        """How often each operation was sent so far, repeats included, and how often that failed."""
        with self._lock:
            return ApiCounts(self._calls.copy(), self._faults.copy())

    def once_client(self, service: str, timeout_s: float, connections_max: int) -> Client:
        """A new client whose calls are sent once and never again by themselves, for calls that cost each time.

        Args:
            service: such as "lambda".
            timeout_s: a call that gets no byte for so long fails.
            connections_max: connections that are kept for the next call.
        """
        with self._lock:  # boto3 makes clients on one thread at a time
            return self._make(
                service,
                None,
                connect_timeout=min(_CONNECT_S, timeout_s),
                read_timeout=timeout_s,
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=connections_max,
            )

    def _make(self, service: str, region: str | None, **bounds: Any) -> Client:
        usual = {
            "connect_timeout": _CONNECT_S,
            "read_timeout": _READ_S,
            "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS_MAX},
            "max_pool_connections": 64,
        }
        config = botocore.config.Config(**{**usual, **bounds})
        client = self._session.client(
            service, region_name=region, endpoint_url=self._settings.endpoint_url, config=config
        )
        # Once for each attempt, unlike "before-call" and "after-call".
        client.meta.events.register("before-send.*.*", self._sent)
        client.meta.events.register("response-received.*.*", self._answered)
        return client

    def _sent(self, event_name: str, **_: object) -> None:
        service, operation = event_name.split(".")[1:]
        with self._lock:
            self._calls[service, operation] += 1

    def _answered(
        self,
        event_name: str,
        parsed_response: dict[str, Any] | None = None,
        exception: Exception | None = None,
        **_: object,
    ) -> None:
        code = (
            type(exception).__name__ if exception is not None else (parsed_response or {}).get("Error", {}).get("Code")
        )
        if not code:
            return
        service, operation = event_name.split(".")[1:]
        with self._lock:
            self._faults[service, operation, str(code)] += 1
