"""The cluster's certificates in its bucket: made once, renewed in time, fetched by the instances.

See docs/decisions/0022 for who holds which key, and in which order an authority is replaced.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from mark.cloud.aws.objects import Objects, StoredObject
from mark.cloud.aws.session import Client
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError, ConfigError
from mark.protocol.certificates import (
    CertifiedKey,
    Role,
    is_issued_by,
    issue,
    make_authority,
    needs_renewal,
    peer_name,
    trust_bundle,
)
from mark.protocol.tls import write_tls_folder

__all__ = ["AUTHORITY", "NEXT_AUTHORITY", "TRUSTED", "WORKER", "LinkIdentity", "WorkerCertificates"]

_log = logging.getLogger(__name__)

# A private key and its certificate in one object: together they are written, or not.
AUTHORITY: Final = "tls/authority-key.pem"
NEXT_AUTHORITY: Final = "tls/next-authority-key.pem"
WORKER: Final = "tls/worker-key.pem"
TRUSTED: Final = "tls/trusted.pem"

_OVERLAP = timedelta(days=1)  # the next authority is trusted so long before it issues: all have fetched it by then
_WORKER_DAYS = 30.0
_ROUTER_DAYS = 7.0
_TRIES_MAX = 5  # each time, another router was faster
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class LinkIdentity:
    """What the router of a cluster shows to its workers, and the keeper of the cluster's certificates.

    Only routers read the authority's key, and a router's own key never leaves its process. Any number of routers may
    refresh at a time: they agree by conditional writes.

    Thread safety: every method may be called from any thread; refreshes take turns.

    Invariants: `_identity` is replaced whole, with `_lock` held.
    """

    def __init__(
        self,
        s3: Callable[[], Client],
        bucket: Callable[[], str],
        cluster: str,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Ask AWS for nothing yet.

        Args:
            s3: gives a client of S3.
            bucket: gives the name of the cluster's bucket.
            cluster: its name.
            now: the time, with a time zone.
        """
        self._objects = Objects(s3, bucket)
        self._cluster = cluster
        self._now = now
        self._lock = threading.Lock()
        self._identity: TlsIdentity | None = None

    def link_tls(self) -> TlsIdentity:
        """As of the last refresh; the first call refreshes.

        Raises:
            CloudError: it cannot be had.
        """
        identity = self._identity
        return self._refreshed() if identity is None else identity

    def refresh(self) -> None:
        """Make what is missing, renew what is due, and read what others renewed. Once in ten minutes will do.

        Raises:
            CloudError: the bucket cannot be read or written; what was read last stays.
        """
        self._refreshed()

    def _refreshed(self) -> TlsIdentity:
        with self._lock:
            try:
                authority = self._authority()
                trusted = self._trusted(authority)
                self._worker(authority)
                self._identity = self._own(authority, trusted)
            except ConfigError as error:
                raise CloudError(
                    f"s3://{self._objects.bucket}/tls/ holds what is no certificate with its key: {error}; delete it "
                    "all, and start routers and workers again"
                ) from error
            return self._identity

    def _authority(self) -> CertifiedKey:
        """The authority that issues now; a next one takes its place in time."""
        for _ in range(_TRIES_MAX):
            stored, following = self._objects.get(AUTHORITY), self._objects.get(NEXT_AUTHORITY)
            if stored is None:
                self._put(AUTHORITY, make_authority(self._cluster, self._now()), None)
                continue
            if following is not None and stored.body == following.body:
                self._objects.delete(NEXT_AUTHORITY)  # it took its place
            elif following is not None and self._is_known(_split(following)):
                if self._objects.put(AUTHORITY, following.body, stored):
                    _log.warning("cluster %s: a new certificate authority issues from now on", self._cluster)
                continue
            elif following is None and needs_renewal(_split(stored).certificate_pem, self._now()):
                self._put(NEXT_AUTHORITY, make_authority(self._cluster, self._now()), None)
                _log.warning("cluster %s: a new certificate authority is made known; it issues tomorrow", self._cluster)
            return _split(stored)
        raise self._contended(AUTHORITY)

    def _is_known(self, following: CertifiedKey) -> bool:
        """Whether everybody had the time to fetch that the next authority is trusted."""
        trusted = self._objects.get(TRUSTED)
        return (
            trusted is not None
            and following.certificate_pem in trusted.body
            and self._now() >= trusted.written_at + _OVERLAP
        )

    def _trusted(self, authority: CertifiedKey) -> bytes:
        """Every authority that may have issued what is shown somewhere, the next one included."""
        for _ in range(_TRIES_MAX):
            stored, following = self._objects.get(TRUSTED), self._objects.get(NEXT_AUTHORITY)
            more = [] if following is None else [_split(following).certificate_pem]
            before = [] if stored is None else [stored.body]
            bundle = trust_bundle(authority.certificate_pem, *more, *before, now=self._now())
            if stored is not None and stored.body == bundle:
                return bundle
            if self._objects.put(TRUSTED, bundle, stored):
                return bundle
        raise self._contended(TRUSTED)

    def _worker(self, authority: CertifiedKey) -> None:
        """The certificate that all workers show; they fetch it by themselves."""
        for _ in range(_TRIES_MAX):
            stored = self._objects.get(WORKER)
            if stored is not None and self._is_good(_split(stored), authority):
                return
            leaf = issue(authority, self._cluster, Role.WORKER, self._now(), _WORKER_DAYS)
            if self._put(WORKER, leaf, stored):
                return
        raise self._contended(WORKER)

    def _own(self, authority: CertifiedKey, trusted: bytes) -> TlsIdentity:
        present = self._identity
        if present is not None:
            leaf = CertifiedKey(present.certificate_pem, present.key_pem)
            if self._is_good(leaf, authority):
                return present if present.authorities_pem == trusted else self._shown(leaf, trusted)
        return self._shown(issue(authority, self._cluster, Role.ROUTER, self._now(), _ROUTER_DAYS), trusted)

    def _shown(self, leaf: CertifiedKey, trusted: bytes) -> TlsIdentity:
        return TlsIdentity(leaf.certificate_pem, leaf.key_pem, trusted, peer_name(Role.WORKER, self._cluster))

    def _is_good(self, leaf: CertifiedKey, authority: CertifiedKey) -> bool:
        return is_issued_by(leaf.certificate_pem, authority.certificate_pem) and not needs_renewal(
            leaf.certificate_pem, self._now()
        )

    def _put(self, key: str, certified: CertifiedKey, over: StoredObject | None) -> bool:
        return self._objects.put(key, certified.key_pem + certified.certificate_pem, over)

    def _contended(self, key: str) -> CloudError:
        return CloudError(
            f"s3://{self._objects.bucket}/{key} is written by others all the time; are there two routers?"
        )


class WorkerCertificates:
    """What one instance's worker shows and trusts, fetched from the bucket into its folder.

    Thread safety: belongs to one thread.
    """

    def __init__(self, s3: Callable[[], Client], bucket: Callable[[], str], folder: Path) -> None:
        """Write to a folder that is there; nothing yet."""
        self._objects = Objects(s3, bucket)
        self._folder = folder
        self._written: tuple[bytes, bytes] | None = None

    def refresh(self) -> bool:
        """Fetch, and write what changed; whether anything did.

        Raises:
            CloudError: there are none, or the bucket or the folder cannot be used; what was written before stays.
        """
        leaf, trusted = self._get(WORKER), self._get(TRUSTED)
        if self._written == (leaf.body, trusted.body):
            return False
        try:
            certified = _split(leaf)
            write_tls_folder(self._folder, certified.certificate_pem, certified.key_pem, trusted.body)
        except ConfigError as error:
            raise CloudError(f"s3://{self._objects.bucket}/{WORKER}: {error}") from error
        except OSError as error:
            raise CloudError(f"cannot write certificates to {self._folder}: {error.strerror or error}") from error
        self._written = (leaf.body, trusted.body)
        return True

    def _get(self, key: str) -> StoredObject:
        stored = self._objects.get(key)
        if stored is None:
            raise CloudError(
                f"there is no s3://{self._objects.bucket}/{key}: a router of this cluster writes it when it starts"
            )
        return stored


def _split(stored: StoredObject) -> CertifiedKey:
    key, found, rest = stored.body.partition(_CERTIFICATE)
    if not found or not key.strip():
        raise ConfigError("must hold a private key, and a certificate after it")
    return CertifiedKey(found + rest, key)
