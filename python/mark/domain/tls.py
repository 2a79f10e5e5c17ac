"""Who one end of a connection is, and whom it trusts."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["TlsIdentity"]


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A certificate with its private key, and the authorities whose certificates the other end may show.

    Attributes:
        certificate_pem: of this end, with what leads from it to an authority; empty: a client that shows none.
        key_pem: its private key, in PKCS #8; never shown, logged or compared in text. Empty: as the certificate.
        authorities_pem: certificates that are trusted; two while an authority is being replaced.
        peer_name: the name that the other end's certificate must carry; empty: the host that a client connects to.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    authorities_pem: bytes
    peer_name: str
