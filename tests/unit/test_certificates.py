"""A cluster's authority, what it issues, and the folder that workers read."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from mark.domain.tls import TlsIdentity
from mark.errors import ConfigError
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
from mark.protocol.tls import AUTHORITIES, CERTIFICATE, KEY, TlsFolder, write_tls_folder

NOW = datetime(2026, 11, 26, tzinfo=timezone.utc)
DAY = timedelta(days=1)
AUTHORITY = make_authority("demo", NOW)
OTHER = make_authority("demo", NOW)
LEAF = issue(AUTHORITY, "demo", Role.WORKER, NOW, days=30)


def read(certified: CertifiedKey) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certified.certificate_pem)


class TestCertificates:
    def test_an_authority_issues_to_ends_alone_and_is_good_for_more_than_a_year(self) -> None:
        certificate = read(AUTHORITY)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.value.ca, constraints.value.path_length, constraints.critical) == (True, 0, True)
        assert certificate.not_valid_after_utc >= NOW + 366 * DAY
        public = certificate.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        assert public.curve.name == "secp256r1"

    @pytest.mark.parametrize(
        ("role", "usage"),
        [(Role.WORKER, ExtendedKeyUsageOID.SERVER_AUTH), (Role.ROUTER, ExtendedKeyUsageOID.CLIENT_AUTH)],
    )
    def test_a_certificate_is_good_for_the_end_that_it_is_for(self, role: Role, usage: x509.ObjectIdentifier) -> None:
        certificate = read(issue(AUTHORITY, "demo", role, NOW))
        extensions = certificate.extensions
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [f"{role.value}.demo.mark"] == [peer_name(role, "demo")]
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    def test_it_is_renewed_when_a_third_of_its_life_is_left(self) -> None:
        assert not needs_renewal(LEAF.certificate_pem, NOW)
        assert not needs_renewal(LEAF.certificate_pem, NOW + 19.9 * DAY)
        assert needs_renewal(LEAF.certificate_pem, NOW + 20 * DAY)

    def test_none_outlives_its_authority(self) -> None:
        late = NOW + 729 * DAY
        assert (
            read(issue(AUTHORITY, "demo", Role.WORKER, late)).not_valid_after_utc == read(AUTHORITY).not_valid_after_utc
        )

    def test_who_issued_it_is_told_by_the_key_not_by_the_name(self) -> None:
        assert is_issued_by(LEAF.certificate_pem, AUTHORITY.certificate_pem)
        assert not is_issued_by(LEAF.certificate_pem, OTHER.certificate_pem)

    def test_two_authorities_are_trusted_while_one_replaces_the_other(self) -> None:
        old = make_authority("demo", NOW - 700 * DAY)
        both = trust_bundle(AUTHORITY.certificate_pem, old.certificate_pem, now=NOW)
        assert both == AUTHORITY.certificate_pem + old.certificate_pem
        assert trust_bundle(both, AUTHORITY.certificate_pem, now=NOW) == both
        assert trust_bundle(both, now=NOW + 31 * DAY) == AUTHORITY.certificate_pem

    def test_keys_are_never_shown(self) -> None:
        identity = TlsIdentity(LEAF.certificate_pem, LEAF.key_pem, AUTHORITY.certificate_pem, "worker.demo.mark")
        for shown in (repr(LEAF), repr(AUTHORITY), repr(identity)):
            assert "PRIVATE KEY" not in shown

    def test_an_authority_that_is_none_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no certificate in PEM"):
            issue(CertifiedKey(b"x", AUTHORITY.key_pem), "demo", Role.WORKER, NOW)
        with pytest.raises(ConfigError, match="private key cannot be read"):
            issue(CertifiedKey(AUTHORITY.certificate_pem, b"x"), "demo", Role.WORKER, NOW)
        with pytest.raises(ConfigError, match="do not belong together"):
            issue(CertifiedKey(AUTHORITY.certificate_pem, OTHER.key_pem), "demo", Role.WORKER, NOW)
        with pytest.raises(ConfigError, match="trusted authority"):
            trust_bundle(b"", now=NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tls_folder(tmp_path, LEAF.certificate_pem, LEAF.key_pem, AUTHORITY.certificate_pem)
    return tmp_path


ENCRYPTED = load_pem_private_key(LEAF.key_pem, None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
)


class TestFolder:
    def test_only_its_owner_reads_the_key_and_nothing_else_is_left(self, folder: Path) -> None:
        assert (folder / KEY).stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in folder.iterdir()) == [AUTHORITIES, CERTIFICATE, KEY]
        write_tls_folder(folder, LEAF.certificate_pem, LEAF.key_pem, OTHER.certificate_pem)
        assert (folder / AUTHORITIES).read_bytes() == OTHER.certificate_pem

    @pytest.mark.parametrize("name", [CERTIFICATE, KEY, AUTHORITIES])
    def test_a_file_that_is_missing_is_named(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        with pytest.raises(ConfigError, match=f"cannot read .*{name}: No such file"):
            TlsFolder(folder)

    @pytest.mark.parametrize(
        ("name", "pem", "words"),
        [
            (CERTIFICATE, b"", f"{CERTIFICATE}: holds no certificate"),
            (AUTHORITIES, b"\xff", f"{AUTHORITIES}: holds no certificate"),
            (AUTHORITIES, AUTHORITY.certificate_pem[:100], f"{AUTHORITIES}: holds no certificate"),
            (KEY, LEAF.key_pem[:60], f"{KEY}: holds no private key"),
            (KEY, ENCRYPTED, f"{KEY}: holds no private key in PEM that is not encrypted"),
            (KEY, OTHER.key_pem, f"{CERTIFICATE} and {KEY} do not belong together"),
        ],
    )
    def test_a_file_that_is_wrong_is_named(self, folder: Path, name: str, pem: bytes, words: str) -> None:
        (folder / name).write_bytes(pem)
        with pytest.raises(ConfigError, match=words):
            TlsFolder(folder)

    def test_what_replaces_it_is_read_once_and_what_is_half_there_is_told_once(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        watched = TlsFolder(folder)
        assert watched._fetch() is None  # nothing changed

        new = issue(OTHER, "demo", Role.WORKER, NOW)
        (folder / CERTIFICATE).write_bytes(new.certificate_pem)
        with caplog.at_level(logging.WARNING):
            assert watched._fetch() is None
            assert watched._fetch() is None
        assert [record.getMessage() for record in caplog.records] == [
            f"what was read before stays in use: {folder}: {CERTIFICATE} and {KEY} do not belong together; "
            "write both anew"
        ]
        assert "PRIVATE" not in caplog.text

        (folder / KEY).write_bytes(new.key_pem)
        assert watched._fetch() is not None
        assert watched._fetch() is None

    def test_a_folder_that_is_removed_keeps_what_was_read(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        watched = TlsFolder(folder)
        (folder / KEY).unlink()
        assert watched._fetch() is None
        assert watched._fetch() is None
        assert len(caplog.records) == 1
        write_tls_folder(folder, LEAF.certificate_pem, LEAF.key_pem, AUTHORITY.certificate_pem)
        assert watched._fetch() is not None
