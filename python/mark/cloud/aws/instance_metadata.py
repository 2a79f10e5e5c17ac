"""What an EC2 instance is told about itself, by version 2 of its metadata service.

Calls and statuses: Amazon EC2 User Guide, "Use IMDS to access instance metadata".
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from mark.errors import CloudError

__all__ = ["InstanceMetadata"]

_ENDPOINT = "http://169.254.169.254"
_TIMEOUT_S = 2.0
_TOKEN_S = 21_600  # as long as there is
_RENEWED_BEFORE_S = 60.0
_BYTES_MAX = 65_536
_TRIES_MAX = 3
_PAUSE_S = 0.2
_UNAUTHORIZED = 401
_NOT_FOUND = 404


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class InstanceMetadata:
    """Reads the metadata of the instance that this process runs on.

    Thread safety: belongs to one thread.
    """

    def __init__(
        self, endpoint: str | None = None, clock_s: Callable[[], float] = time.monotonic, pause_s: float = _PAUSE_S
    ) -> None:
        """Read nothing yet.

        Args:
            endpoint: of the service; by default AWS_EC2_METADATA_SERVICE_ENDPOINT, or where EC2 has it.
            clock_s: a steady clock.
            pause_s: before the second try; twice as long before the third.
        """
        self._endpoint = (endpoint or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _ENDPOINT).rstrip("/")
        self._clock_s = clock_s
        self._pause_s = pause_s
        # Never through a proxy: it would answer with another machine's metadata, if at all.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token = ""
        self._token_until_s = 0.0

    def get(self, path: str) -> str | None:
        """The text at a path such as "local-ipv4"; None when there is nothing, which is normal for most paths.

        Raises:
            CloudError: the service does not answer, or refuses.
        """
        pause_s = self._pause_s
        for remaining in range(_TRIES_MAX - 1, -1, -1):
            try:
                return self._read(f"/latest/meta-data/{path}", "GET", {"X-aws-ec2-metadata-token": self._valid_token()})
            except _Refused as refused:
                if refused.status == _NOT_FOUND:
                    return None
                reason: Exception = refused
                if refused.status == _UNAUTHORIZED:
                    self._token = ""  # the instance was stopped and started, or the clock was
            except (OSError, http.client.HTTPException) as error:
                reason = error
            if remaining:
                time.sleep(pause_s)
                pause_s *= 2
        raise CloudError(
            f"the metadata service at {self._endpoint} does not give {path}: {reason}; this runs on an EC2 instance "
            "whose metadata are enabled"
        ) from reason

    def need(self, path: str) -> str:
        """As `get`, of what every instance has.

        Raises:
            CloudError: it is not there either.
        """
        text = self.get(path)
        if not text:
            raise CloudError(f"the metadata service at {self._endpoint} knows no {path}; is this an EC2 instance?")
        return text

    def _valid_token(self) -> str:
        if not self._token or self._clock_s() >= self._token_until_s:
            asked_s = self._clock_s()
            self._token = self._read(
                "/latest/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_S)}
            )
            self._token_until_s = asked_s + _TOKEN_S - _RENEWED_BEFORE_S
        return self._token

    def _read(self, path: str, method: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._endpoint + path, method=method, headers=headers)  # noqa: S310 - ours
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return str(answer.read(_BYTES_MAX).decode(errors="replace"))
        except urllib.error.HTTPError as error:
            with error:
                raise _Refused(error.code) from error
