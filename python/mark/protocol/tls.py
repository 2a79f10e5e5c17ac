"""Mutual TLS of connections between router and worker: whom each end shows itself as, and whom it trusts."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError

__all__ = [
    "AUTHORITIES",
    "CERTIFICATE",
    "KEY",
    "TlsFolder",
    "channel_credentials",
    "channel_options",
    "read_client_identity",
    "write_tls_folder",
]

_log = logging.getLogger(__name__)

CERTIFICATE: Final = "certificate.pem"
KEY: Final = "key.pem"
AUTHORITIES: Final = "authorities.pem"
_FILES = (CERTIFICATE, KEY, AUTHORITIES)

_Stamp = tuple[tuple[int, int, int], ...]  # of each file: which one it is, when it was written, how long it is


def channel_credentials(identity: TlsIdentity) -> grpc.ChannelCredentials:
    """What a router connects to workers with, and a client to a server."""
    return grpc.ssl_channel_credentials(
        identity.authorities_pem, identity.key_pem or None, identity.certificate_pem or None
    )


def channel_options(identity: TlsIdentity) -> list[tuple[str, str | int]]:
    """Options of such a channel: workers are known by the name of their cluster, and not called through a proxy."""
    return [("grpc.ssl_target_name_override", identity.peer_name), ("grpc.enable_http_proxy", 0)]


def read_client_identity(
    authorities: Path, certificate: Path | None = None, key: Path | None = None, peer_name: str = ""
) -> TlsIdentity:
    """What a client trusts and shows, of files in PEM.

    Raises:
        ConfigError: a file is missing or wrong, or certificate and key do not belong together; the message names it.
    """
    authorities_pem = _read_bytes(authorities)
    _check_certificates(authorities, authorities_pem)
    if certificate is None or key is None:
        return TlsIdentity(b"", b"", authorities_pem, peer_name)
    certificate_pem = _read_bytes(certificate)
    _check_certificates(certificate, certificate_pem)
    _check_pair(certificate, key)
    return TlsIdentity(certificate_pem, _read_bytes(key), authorities_pem, peer_name)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _check_certificates(path: Path, pem: bytes) -> None:
    """Refuse what gRPC would refuse late, with no word about why."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"{path}: holds no certificate in PEM") from error


def _check_pair(certificate: Path, key: Path) -> None:
    try:
        # Told no password: it would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if "MISMATCH" in str(error):
            where = f"{certificate.parent}: {certificate.name} and {key.name}"
            if certificate.parent != key.parent:
                where = f"{certificate} and {key}"
            raise ConfigError(f"{where} do not belong together; write both anew") from error
        raise ConfigError(f"{key}: holds no private key in PEM that is not encrypted") from error
    except OSError as error:
        raise ConfigError(f"cannot read {key}: {error.strerror}") from error


def write_tls_folder(folder: Path, certificate_pem: bytes, key_pem: bytes, authorities_pem: bytes) -> None:
    """Write, or replace, what `TlsFolder` reads. Each file is whole at all times; only its owner reads the key.

    Raises:
        OSError: the folder cannot be written.
    """
    for name, pem in ((AUTHORITIES, authorities_pem), (CERTIFICATE, certificate_pem), (KEY, key_pem)):
        part = folder / f".{name}.part"
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - its mode
            file.write(pem)
        part.replace(folder / name)


@dataclass(frozen=True, slots=True)
class _Files:
    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes

    def identity(self) -> TlsIdentity:
        return TlsIdentity(self.certificate, self.key, self.authorities, peer_name="")

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authorities)


class TlsFolder:
    """A worker's certificate, key and authorities: three files, read anew when they change.

    They are looked at when somebody connects, so what replaces them holds from the next connection on, and those that
    are open stay. A replacement that does not belong together yet, or is wrong, changes nothing, and is told once.

    Thread safety: every method may be called from any thread; gRPC asks on its own.

    Invariants:
        - what was read last and belonged together is what is shown;
        - `_used`, `_refused` and `_told` are touched only with `_lock` held.
    """

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            ConfigError: a file is missing or wrong; the message names it.
        """
        self._folder = folder
        self._lock = threading.Lock()
        self._used: _Stamp = ()
        self._refused: _Stamp = ()
        self._told = ""
        self._first = self._read()

    def server_credentials(self) -> grpc.ServerCredentials:
        """What a server of this folder shows; a client without a certificate of its authorities is refused."""
        return grpc.dynamic_ssl_server_credentials(
            self._first.configuration(), self._fetch, require_client_authentication=True
        )

    def identity(self) -> TlsIdentity:
        """What was read when it was made."""
        return self._first.identity()

    def replaced(self) -> TlsIdentity | None:
        """What replaces the files that were read last; None when nothing does."""
        files = self._reread()
        return None if files is None else files.identity()

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """As `replaced`: gRPC asks this at every new connection."""
        files = self._reread()
        return None if files is None else files.configuration()

    def _reread(self) -> _Files | None:
        with self._lock:
            try:
                stamp = self._stamp()
                if stamp in {self._used, self._refused}:
                    return None
                self._refused = stamp  # until it has been read
                return self._read()
            except ConfigError as error:
                if str(error) != self._told:
                    _log.warning("what was read before stays in use: %s", error)
                self._told = str(error)
                return None

    def _read(self) -> _Files:
        stamp = self._stamp()
        try:
            files = _Files(*((self._folder / name).read_bytes() for name in _FILES))
        except OSError as error:
            raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
        self._check(files)
        if self._stamp() != stamp:
            raise ConfigError(f"{self._folder}: is being replaced just now")
        self._used = stamp
        return files

    def _stamp(self) -> _Stamp:
        try:
            found = [(self._folder / name).stat() for name in _FILES]
        except OSError as error:
            raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _check(self, files: _Files) -> None:
        for name, pem in ((CERTIFICATE, files.certificate), (AUTHORITIES, files.authorities)):
            _check_certificates(self._folder / name, pem)
        _check_pair(self._folder / CERTIFICATE, self._folder / KEY)
