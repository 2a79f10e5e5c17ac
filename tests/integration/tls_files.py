"""Authorities and certificates for tests, in folders as workers read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from mark.domain.tls import TlsIdentity
from mark.protocol.certificates import CertifiedKey, Role, issue, make_authority, peer_name
from mark.protocol.tls import write_tls_folder

__all__ = ["CLUSTER", "NOW", "authority", "router_identity", "worker_folder"]

CLUSTER = "demo"
NOW = datetime.now(timezone.utc)


def authority(cluster: str = CLUSTER, *, days: float = 730.0, ago: timedelta = timedelta()) -> CertifiedKey:
    return make_authority(cluster, NOW - ago, days)


def worker_folder(
    folder: Path, issuer: CertifiedKey, *trusted: CertifiedKey, cluster: str = CLUSTER, role: Role = Role.WORKER
) -> Path:
    """A folder with a new certificate; it trusts its issuer, or those that are given."""
    folder.mkdir(exist_ok=True)
    leaf = issue(issuer, cluster, role, NOW)
    write_tls_folder(folder, leaf.certificate_pem, leaf.key_pem, bundle(issuer, *trusted))
    return folder


def router_identity(issuer: CertifiedKey, *trusted: CertifiedKey, cluster: str = CLUSTER) -> TlsIdentity:
    leaf = issue(issuer, cluster, Role.ROUTER, NOW)
    return TlsIdentity(leaf.certificate_pem, leaf.key_pem, bundle(issuer, *trusted), peer_name(Role.WORKER, cluster))


def bundle(*authorities: CertifiedKey) -> bytes:
    return b"".join(each.certificate_pem for each in authorities)
