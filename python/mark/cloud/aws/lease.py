"""The lease of the one leader of a cluster: an object in S3 that is written only if nobody else wrote it since.

Conditional writes: Amazon S3 User Guide, "Add preconditions to S3 operations with conditional requests".
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mark.cloud.aws.errors import code_of, translated
from mark.cloud.aws.session import Client
from mark.errors import CloudError

__all__ = ["LEASE_KEY", "Lease", "LeaseLost"]

_log = logging.getLogger(__name__)

LEASE_KEY = "lease.json"
_WRITTEN_BY_ANOTHER = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_ABSENT = {"NoSuchKey", "404", "NotFound"}


class LeaseLost(CloudError):
    """Another router leads the cluster now; this one may not change what runs."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What the object says. `expires_at_s` is by the writer's clock; 0 once it was given up."""

    holder: str
    fencing: int
    expires_at_s: float
    lease_s: float


class Lease:
    """Held by at most one router at a time.

    A lease is taken when nobody holds it, when it was given up, or when it stayed unwritten for its whole length
    by the clock of the one who waits: clocks of different machines are never compared, except that one that ran out
    more than its length ago is taken at once. The holder stops counting on it a tenth early.

    Thread safety: every method may be called from any thread; `renew` from one at a time.

    Invariants:
        - `_etag` is that of the last write of this holder that is known to have succeeded;
        - `_seen` is the last that another has written, and since when that was seen;
        - once `_lost`, it stays lost: what was decided under it must not be done under a later one.
    """

    def __init__(
        self, client: Callable[[], Client], bucket: Callable[[], str], lease_s: float, holder: str | None = None
    ) -> None:
        """Hold nothing yet.

        Args:
            client: the client of S3, made on first use.
            bucket: where the object lies.
            lease_s: how long the lease lasts after each renewal.
            holder: a name that no other router has; made up when left out.
        """
        self._client = client
        self._bucket = bucket
        self._lease_s = lease_s
        self._holder = holder or uuid.uuid4().hex
        self._lock = threading.Condition()
        self._ended = threading.Event()
        self._seen: tuple[str, float] | None = None
        self._others_writes = 0  # that were seen while waiting
        self._etag: str | None = None
        self._fencing = 0
        self._until_s = 0.0
        self._lost = False

    @property
    def fencing(self) -> int:
        """Number of this reign; larger than that of every earlier one. 0 before it was taken."""
        return self._fencing

    @property
    def lease_s(self) -> float:
        """How long it lasts after each renewal."""
        return self._lease_s

    @property
    def is_taken(self) -> bool:
        """Whether it was ever this router's."""
        return self._fencing > 0

    @property
    def is_held(self) -> bool:
        """Whether it is this router's now."""
        return not self._lost and time.monotonic() < self._until_s

    @property
    def is_lost(self) -> bool:
        """Whether another router has taken it from this one."""
        return self._lost

    @property
    def try_again_s(self) -> float:
        """How long to wait between two tries to take it."""
        return self._lease_s / 6

    def take(self) -> None:
        """Wait until the lease is this router's.

        Raises:
            CloudError: S3 cannot be asked, or `release` was called meanwhile.
        """
        while not self.try_to_take():
            if self._ended.wait(self.try_again_s):
                raise CloudError("the cloud is closed: it waited for the lease of another router")

    def try_to_take(self) -> bool:
        """Take the lease if nobody holds it, or if its holder was silent for its whole length; whether it was taken.

        Call it again and again, from one thread at a time.

        Raises:
            CloudError: S3 cannot be asked.
        """
        if self._ended.is_set():
            return False
        found = self._read()
        taken = self._write(None, 1) if found is None else self._take_from(*found)
        with self._lock:
            self._lock.notify_all()
        return taken

    def outlast(self) -> bool:
        """Wait, while another thread tries to take it, until it is taken: True; or its holder is seen to live: False.

        It ends when `stop_waiting` is called, too, and when S3 does not answer.
        """
        with self._lock:
            before = self._others_writes
            self._lock.wait_for(
                lambda: self.is_taken or self._others_writes > before or self._ended.is_set(), 2 * self._lease_s
            )
            return self.is_held

    def stop_waiting(self) -> None:
        """Never take it any more, if it is not taken yet."""
        with self._lock:
            self._ended.set()
            self._lock.notify_all()

    def renew(self) -> None:
        """Hold it for another `lease_s`.

        Raises:
            LeaseLost: another router took it.
            CloudError: S3 cannot be asked; it is held as long as it was before.
        """
        self.raise_if_lost()
        if self._write(self._etag, self._fencing):
            return
        found = self._read()
        # A write whose answer was lost has succeeded all the same.
        if found is not None and (found[0].holder, found[0].fencing) == (self._holder, self._fencing):
            with self._lock:
                self._etag = found[1]
            if self._write(self._etag, self._fencing):
                return
        self._lose("another router has taken the lease")

    def raise_if_lost(self) -> None:
        """Return unless another router has taken it from this one.

        Raises:
            LeaseLost: it has; this router is to end.
        """
        if self._lost:
            raise LeaseLost("another router has taken the lease and leads the cluster now; this one is to end")

    def check(self) -> None:
        """Return only while it is held.

        Raises:
            LeaseLost: it is not.
        """
        self.raise_if_lost()
        if not self.is_taken:
            raise LeaseLost("another router leads the cluster; this one changes nothing before it does")
        if not self.is_held:
            raise LeaseLost(
                "the lease of the cluster has run out and could not be renewed; nothing is changed until it is"
            )

    def release(self) -> None:
        """Give it up, so that the next router need not wait. Ends `take` in other threads. Idempotent."""
        self.stop_waiting()
        with self._lock:
            etag, held = self._etag, self._etag is not None and not self._lost
            self._etag = None
            self._until_s = 0.0
        if not held:
            return
        try:
            self._put(etag, _Written(self._holder, self._fencing, 0.0, self._lease_s))
        except Exception as error:  # noqa: BLE001 - boto3's errors have no closed set; the lease runs out by itself
            _log.warning("the lease is not given up, so the next router waits %g s: %s", self._lease_s, error)

    def _lose(self, why: str) -> None:
        with self._lock:
            self._lost = True
        _log.error("%s: this one changes nothing any more", why)
        self.raise_if_lost()

    def _take_from(self, written: _Written, etag: str) -> bool:
        now_s = time.monotonic()
        if self._seen is None or self._seen[0] != etag:
            self._others_writes += self._seen is not None
            self._seen = (etag, now_s)
        unwritten = now_s - self._seen[1] >= written.lease_s
        long_over = time.time() - written.expires_at_s > written.lease_s
        if unwritten or long_over or written.holder == self._holder:
            return self._write(etag, written.fencing + 1)
        return False

    def _read(self) -> tuple[_Written, str] | None:
        try:
            answer = self._client().get_object(Bucket=self._bucket(), Key=LEASE_KEY)
            body, etag = json.loads(answer["Body"].read()), str(answer["ETag"])
            written = _Written(
                str(body["holder"]), int(body["fencing"]), float(body["expires_at_s"]), float(body["lease_s"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CloudError(
                f"the lease s3://{self._bucket()}/{LEASE_KEY} is not a lease: {error}; delete it"
            ) from error
        except Exception as error:
            if code_of(error) in _ABSENT:
                return None
            raise self._translated(error) from error
        return written, etag

    def _write(self, etag: str | None, fencing: int) -> bool:
        """Write the object unless another has since `etag`."""
        # From before the call: whoever waits for it to run out cannot have begun to count sooner.
        began_s = time.monotonic()
        try:
            new = self._put(etag, _Written(self._holder, fencing, time.time() + self._lease_s, self._lease_s))
        except Exception as error:
            if code_of(error) in _WRITTEN_BY_ANOTHER or code_of(error) in _ABSENT:
                return False
            raise self._translated(error) from error
        with self._lock:
            self._etag, self._fencing, self._until_s = new, fencing, began_s + 0.9 * self._lease_s
        return True

    def _put(self, etag: str | None, written: _Written) -> str:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        answer = self._client().put_object(
            Bucket=self._bucket(), Key=LEASE_KEY, Body=json.dumps(asdict(written)).encode(), **condition
        )
        return str(answer["ETag"])

    def _translated(self, error: Exception) -> CloudError:
        if code_of(error) == "NoSuchBucket":
            return CloudError(f"there is no bucket {self._bucket()}: `mark aws bootstrap` makes it")
        return translated(error, f"the lease of the cluster in s3://{self._bucket()}")
