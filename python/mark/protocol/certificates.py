"""A cluster's own certificate authority, and the certificates that it issues.

Needs `cryptography`, of the extra `aws`, which is imported when the first certificate is made: a worker that only uses
certificates does without.
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mark.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "CertifiedKey",
    "Role",
    "is_issued_by",
    "issue",
    "make_authority",
    "needs_renewal",
    "peer_name",
    "trust_bundle",
]

_AUTHORITY_DAYS = 730.0
_LEAF_DAYS = 30.0
_SKEW = timedelta(minutes=10)  # clocks of two machines differ by less
_RENEWED_AT = 2 / 3  # of its life: whatever renews it may fail for weeks before anybody notices


class Role(enum.Enum):
    """Which end of a connection a certificate is for. A worker's does not let its holder call other workers."""

    ROUTER = "router"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A certificate and its private key, which is never shown.

    Attributes:
        certificate_pem: the certificate.
        key_pem: its private key, in PKCS #8.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def peer_name(role: Role, cluster: str) -> str:
    """The name that certificates of a role carry in a cluster."""
    return f"{role.value}.{cluster}.mark"


def make_authority(cluster: str, now: datetime, days: float = _AUTHORITY_DAYS) -> CertifiedKey:
    """Make a certificate authority that issues to ends alone, not to other authorities.

    Args:
        cluster: whose it is.
        now: the time, with a time zone.
        days: how long it may issue and be trusted.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # Unique: while one authority replaces another, both are trusted.
    name = _named(f"mark {cluster} authority {uuid.uuid4().hex[:8]}")
    usage = _key_usage(signs_certificates=True)
    builder = (
        _builder(name, name, key, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return _signed(builder, key, key)


def issue(authority: CertifiedKey, cluster: str, role: Role, now: datetime, days: float = _LEAF_DAYS) -> CertifiedKey:
    """Issue a certificate for one end of connections, with a new key.

    Args:
        authority: who issues; its certificate's end is the end of this one at the latest.
        cluster: part of the name.
        role: a worker's is good for a server alone, a router's for a client alone.
        now: the time, with a time zone.
        days: how long it is good.

    Raises:
        ConfigError: the authority is no certificate with its key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer, issuer_key = _parsed(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    name = peer_name(role, cluster)
    left_days = (issuer.not_valid_after_utc - now) / timedelta(days=1)
    usage = ExtendedKeyUsageOID.SERVER_AUTH if role is Role.WORKER else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_named(name), issuer.subject, key, now, min(days, left_days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return _signed(builder, key, issuer_key)


def needs_renewal(certificate_pem: bytes, now: datetime) -> bool:
    """Whether a third or less of a certificate's life is left.

    Raises:
        ConfigError: it is no certificate.
    """
    certificate = _certificate(certificate_pem)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now >= certificate.not_valid_before_utc + life * _RENEWED_AT


def is_issued_by(certificate_pem: bytes, authority_pem: bytes) -> bool:
    """Whether this authority, and no other of the same name, signed a certificate.

    Raises:
        ConfigError: one of them is no certificate.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        _certificate(certificate_pem).verify_directly_issued_by(_certificate(authority_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def trust_bundle(*authorities_pem: bytes, now: datetime) -> bytes:
    """Authorities as one file: each once, in this order, without those whose time is over.

    Args:
        authorities_pem: certificates; each may be a bundle itself.
        now: the time, with a time zone.

    Raises:
        ConfigError: one holds no certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    kept: dict[bytes, None] = {}
    for pem in authorities_pem:
        try:
            certificates = x509.load_pem_x509_certificates(pem)
        except ValueError as error:
            raise ConfigError(f"a trusted authority is no certificate in PEM: {error}") from error
        kept.update((each.public_bytes(Encoding.PEM), None) for each in certificates if now < each.not_valid_after_utc)
    return b"".join(kept)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: float
) -> x509.CertificateBuilder:
    from cryptography import x509

    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey
) -> CertifiedKey:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificate = builder.sign(by, hashes.SHA256())
    return CertifiedKey(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])  # as many as X.509 allows


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate(pem: bytes) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ConfigError(f"no certificate in PEM: {error}") from error


def _parsed(certified: CertifiedKey) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate = _certificate(certified.certificate_pem)
    try:
        key = load_pem_private_key(certified.key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            "the authority's private key cannot be read; it must be PKCS #8 in PEM, not encrypted"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError("the authority's certificate and private key do not belong together")
    return certificate, key
