"""The cluster's certificates and models in its bucket, on moto's S3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from boto3.exceptions import RetriesExceededError
from moto import mock_aws

from mark.cloud.aws.agent_settings import AgentSettings
from mark.cloud.aws.certificates import (
    AUTHORITY,
    NEXT_AUTHORITY,
    TRUSTED,
    WORKER,
    LinkIdentity,
    WorkerCertificates,
)
from mark.cloud.aws.models import ModelStore
from mark.cloud.aws.objects import Objects
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.cloud.aws.worker_boot import WorkerBoot
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering
from mark.domain.signature import ModelSignature, TensorSpec
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError
from mark.protocol.certificates import is_issued_by
from mark.protocol.tls import AUTHORITIES, CERTIFICATE, KEY, TlsFolder

BUCKET = "mark-demo"
SIGNATURE = ModelSignature("digits", "1", (TensorSpec("x", "FP32", (-1, 64)),), (TensorSpec("y", "FP32", (-1,)),), 32)


class Now:
    """A clock of days, that begins when the test does: S3 has its own."""

    def __init__(self) -> None:
        self.time = datetime.now(timezone.utc) + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.time

    def pass_days(self, days: float) -> None:
        self.time += timedelta(days=days)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def identity(s3: Any, now: Now) -> LinkIdentity:
    return LinkIdentity(lambda: s3, lambda: BUCKET, "demo", now)


def body(s3: Any, key: str) -> bytes:
    stored = Objects(lambda: s3, lambda: BUCKET).get(key)
    assert stored is not None
    return stored.body


def refreshed(identity: LinkIdentity) -> TlsIdentity:
    identity.refresh()
    return identity.link_tls()


class TestLinkIdentity:
    def test_the_first_router_makes_everything_encrypted_and_the_next_agrees(
        self, s3: Any, identity: LinkIdentity, now: Now
    ) -> None:
        first = identity.link_tls()
        assert first.peer_name == "worker.demo.mark"
        assert is_issued_by(first.certificate_pem, body(s3, AUTHORITY))
        assert is_issued_by(body(s3, WORKER), body(s3, AUTHORITY))
        assert body(s3, TRUSTED) == first.authorities_pem
        keys = {each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
        assert keys == {AUTHORITY, TRUSTED, WORKER}
        for key in keys:
            assert s3.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] == "AES256"

        second = LinkIdentity(lambda: s3, lambda: BUCKET, "demo", now).link_tls()
        assert second.authorities_pem == first.authorities_pem
        assert second.key_pem != first.key_pem  # a router's key stays in its process
        assert first.key_pem not in b"".join(body(s3, key) for key in keys)

    def test_two_routers_that_begin_at_once_agree(self, s3: Any, identity: LinkIdentity, now: Now) -> None:
        class Racing(LinkIdentity):
            """Another router does everything just after this one has seen that nothing is there."""

            raced = False

            def _put(self, *arguments: Any) -> bool:
                if not self.raced:
                    self.raced = True
                    identity.refresh()
                return super()._put(*arguments)

        other = Racing(lambda: s3, lambda: BUCKET, "demo", now)
        assert other.link_tls().authorities_pem == identity.link_tls().authorities_pem

    def test_a_router_that_is_always_overtaken_gives_up(
        self, identity: LinkIdentity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Objects, "put", lambda *_: False)
        with pytest.raises(CloudError, match="written by others all the time"):
            identity.refresh()

    def test_nothing_changes_while_nothing_is_due(self, s3: Any, identity: LinkIdentity, now: Now) -> None:
        first, stored = refreshed(identity), body(s3, WORKER)
        now.pass_days(4)
        assert refreshed(identity) is first
        assert body(s3, WORKER) == stored

    def test_certificates_are_renewed_before_they_end(self, s3: Any, identity: LinkIdentity, now: Now) -> None:
        first, stored = refreshed(identity), body(s3, WORKER)
        now.pass_days(5)
        second = refreshed(identity)
        assert second.certificate_pem != first.certificate_pem
        assert body(s3, WORKER) == stored
        now.pass_days(16)
        identity.refresh()
        assert body(s3, WORKER) != stored
        assert is_issued_by(body(s3, WORKER), body(s3, AUTHORITY))

    def test_an_authority_is_known_for_a_day_before_it_issues(
        self, s3: Any, identity: LinkIdentity, now: Now, caplog: pytest.LogCaptureFixture
    ) -> None:
        old = body_after(identity, s3, AUTHORITY)
        now.pass_days(500)
        identity.refresh()
        following = body(s3, NEXT_AUTHORITY)
        # Moto's clock did not move: what was written now counts as known for 500 days; so the next refresh takes it.
        assert body(s3, AUTHORITY) == old
        assert body(s3, TRUSTED).count(b"BEGIN CERTIFICATE") == 2
        assert is_issued_by(identity.link_tls().certificate_pem, old)

        shown = refreshed(identity)
        assert body(s3, AUTHORITY) == following
        assert is_issued_by(shown.certificate_pem, following)
        assert is_issued_by(body(s3, WORKER), following)
        assert shown.authorities_pem.count(b"BEGIN CERTIFICATE") == 2
        identity.refresh()
        assert Objects(lambda: s3, lambda: BUCKET).get(NEXT_AUTHORITY) is None

        now.pass_days(231)  # the old one's time is over
        assert refreshed(identity).authorities_pem.count(b"BEGIN CERTIFICATE") == 1
        assert "PRIVATE" not in caplog.text

    def test_an_authority_that_is_not_yet_trusted_everywhere_does_not_issue(
        self, s3: Any, identity: LinkIdentity, now: Now, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = body_after(identity, s3, AUTHORITY)
        now.pass_days(500)
        with monkeypatch.context() as broken:
            broken.setattr(LinkIdentity, "_trusted", crash)
            with pytest.raises(CloudError, match="crash"):
                identity.refresh()
        assert body(s3, NEXT_AUTHORITY)
        identity.refresh()  # makes it known, and does not use it
        assert body(s3, AUTHORITY) == old

    def test_what_is_no_certificate_is_said_without_showing_it(self, s3: Any, identity: LinkIdentity) -> None:
        s3.put_object(Bucket=BUCKET, Key=AUTHORITY, Body=b"-----BEGIN PRIVATE KEY-----\nsecret")
        with pytest.raises(CloudError, match="no certificate with its key") as refused:
            identity.refresh()
        assert "secret" not in str(refused.value)

    def test_without_a_bucket_it_says_what_makes_one(self, s3: Any, now: Now) -> None:
        with pytest.raises(CloudError, match="no bucket elsewhere: `mark aws bootstrap` makes it"):
            LinkIdentity(lambda: s3, lambda: "elsewhere", "demo", now).link_tls()


def crash(*_: object) -> bytes:
    raise CloudError("crash")


def body_after(identity: LinkIdentity, s3: Any, key: str) -> bytes:
    identity.refresh()
    return body(s3, key)


class TestWorkerCertificates:
    def test_they_are_written_as_a_worker_reads_them_and_again_when_they_change(
        self, s3: Any, identity: LinkIdentity, now: Now, tmp_path: Path
    ) -> None:
        identity.refresh()
        certificates = WorkerCertificates(lambda: s3, lambda: BUCKET, tmp_path)
        assert certificates.refresh()
        TlsFolder(tmp_path).server_credentials()
        first = (tmp_path / CERTIFICATE).read_bytes()
        assert (tmp_path / AUTHORITIES).read_bytes() == body(s3, TRUSTED)
        assert b"PRIVATE" not in first
        assert b"BEGIN CERT" not in (tmp_path / KEY).read_bytes()
        assert not certificates.refresh()

        now.pass_days(21)
        identity.refresh()
        assert certificates.refresh()
        assert (tmp_path / CERTIFICATE).read_bytes() != first

    def test_before_a_router_was_there_it_says_so(self, s3: Any, tmp_path: Path) -> None:
        with pytest.raises(CloudError, match=r"no s3://mark-demo/tls/worker-key\.pem: a router of this cluster"):
            WorkerCertificates(lambda: s3, lambda: BUCKET, tmp_path).refresh()

    def test_a_folder_that_cannot_be_written_is_said(self, s3: Any, identity: LinkIdentity, tmp_path: Path) -> None:
        identity.refresh()
        with pytest.raises(CloudError, match="cannot write certificates"):
            WorkerCertificates(lambda: s3, lambda: BUCKET, tmp_path / "absent").refresh()


def artifact(path: Path) -> ModelArtifact:
    return ModelArtifact(SIGNATURE, "onnx", str(path))


class TestModels:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        path = tmp_path / "digits.onnx"
        path.write_bytes(b"weights" * 1000)
        return path

    def test_a_model_goes_up_once_and_comes_down_as_it_was(
        self, s3: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploaded = ModelStore(lambda: s3, lambda: BUCKET).upload(artifact(model))
        head, sha256, name = uploaded.source.rsplit("/", 2)
        assert (head, len(sha256), name) == ("models/digits", 64, "digits.onnx")

        with monkeypatch.context() as counted:
            counted.setattr(s3, "upload_fileobj", crash)  # another router, the same content: nothing is sent
            assert ModelStore(lambda: s3, lambda: BUCKET).upload(artifact(model)) == uploaded

        fetched = ModelStore(lambda: s3, lambda: BUCKET).download(uploaded, tmp_path / "cache")
        assert Path(fetched.source).read_bytes() == model.read_bytes()
        with monkeypatch.context() as counted:
            counted.setattr(s3, "download_file", crash)  # a standby that starts again has it
            assert ModelStore(lambda: s3, lambda: BUCKET).download(uploaded, tmp_path / "cache") == fetched

    def test_another_content_is_another_object(self, s3: Any, model: Path) -> None:
        store = ModelStore(lambda: s3, lambda: BUCKET)
        first = store.upload(artifact(model))
        model.write_bytes(b"other weights")
        assert store.upload(artifact(model)) != first

    def test_code_passes_through(self, s3: Any, tmp_path: Path) -> None:
        code = ModelArtifact(SIGNATURE, "python", "package.module:factory")
        assert ModelStore(lambda: s3, lambda: BUCKET).upload(code) is code
        assert ModelStore(lambda: s3, lambda: BUCKET).download(code, tmp_path) is code

    def test_what_was_changed_on_the_way_is_refused_and_not_kept(self, s3: Any, model: Path, tmp_path: Path) -> None:
        uploaded = ModelStore(lambda: s3, lambda: BUCKET).upload(artifact(model))
        s3.put_object(Bucket=BUCKET, Key=uploaded.source, Body=b"evil")
        with pytest.raises(CloudError, match="is not what its key says"):
            ModelStore(lambda: s3, lambda: BUCKET).download(uploaded, tmp_path / "cache")
        assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []

    def test_a_kept_file_that_was_damaged_is_fetched_again(self, s3: Any, model: Path, tmp_path: Path) -> None:
        uploaded = ModelStore(lambda: s3, lambda: BUCKET).upload(artifact(model))
        fetched = Path(ModelStore(lambda: s3, lambda: BUCKET).download(uploaded, tmp_path / "cache").source)
        fetched.write_bytes(b"half")
        ModelStore(lambda: s3, lambda: BUCKET).download(uploaded, tmp_path / "cache")
        assert fetched.read_bytes() == model.read_bytes()

    def test_what_is_missing_is_one_line_that_says_what_to_do(self, s3: Any, model: Path, tmp_path: Path) -> None:
        store = ModelStore(lambda: s3, lambda: BUCKET)
        with pytest.raises(CloudError, match=r"model digits: cannot read .*absent.onnx: No such file"):
            store.upload(artifact(tmp_path / "absent.onnx"))
        with pytest.raises(CloudError, match=r"there is no s3://mark-demo/models/digits/ab/x\.onnx: routers upload"):
            store.download(ModelArtifact(SIGNATURE, "onnx", "models/digits/ab/x.onnx"), tmp_path)
        with pytest.raises(CloudError, match="is no model of the bucket"):
            store.download(ModelArtifact(SIGNATURE, "onnx", "/etc/passwd"), tmp_path)
        with pytest.raises(CloudError, match="no bucket elsewhere"):
            ModelStore(lambda: s3, lambda: "elsewhere").upload(artifact(model))

    def test_a_download_that_breaks_off_every_time_is_said(
        self, s3: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_off(*_: object) -> None:
            raise RetriesExceededError(OSError("connection reset"))

        store = ModelStore(lambda: s3, lambda: BUCKET)
        uploaded = store.upload(artifact(model))
        monkeypatch.setattr(s3, "download_file", break_off)
        with pytest.raises(CloudError, match="broke off again and again"):
            store.download(uploaded, tmp_path / "cache")


class TestWorkerBoot:
    """What the driver tells an instance."""

    OFFERING = AwsOffering(
        Offering("cpu", Market.SPOT, 0.1, 1.0, 4, threads=3, cpu_share=0.5, device="cuda"), ("c5.large",)
    )

    @pytest.fixture
    def boot(self, s3: Any) -> WorkerBoot:
        settings = AwsSettings("demo", "us-east-1", worker_port=9000, install="")
        session = AwsSession(settings)
        s3.create_bucket(Bucket=settings.bucket(session.account))
        return WorkerBoot(settings, session)

    def test_it_names_the_model_by_its_key_and_the_worker_as_the_offering_says(
        self, boot: WorkerBoot, tmp_path: Path
    ) -> None:
        path = tmp_path / "digits.onnx"
        path.write_bytes(b"weights")

        text = boot(self.OFFERING, artifact(path))

        assert text == boot(self.OFFERING, artifact(path))
        told = AgentSettings.from_json(yaml.safe_load(text)["write_files"][0]["content"], "agent.json")
        assert (told.threads, told.cpu_share, told.device, told.port) == (3, 0.5, "cuda", 9000)
        assert told.bucket == "mark-demo-123456789012-us-east-1"
        assert told.artifact.source.startswith("models/digits/")
        assert str(tmp_path) not in text

    def test_what_cannot_be_told_is_an_error_of_the_cloud(self, boot: WorkerBoot, tmp_path: Path) -> None:
        with pytest.raises(CloudError, match="cannot read"):
            boot(self.OFFERING, artifact(tmp_path / "absent.onnx"))
        many = tuple(TensorSpec(f"input_{n}", "FP32", (-1, 64)) for n in range(400))
        with pytest.raises(CloudError, match="EC2 takes 16384"):
            boot(self.OFFERING, ModelArtifact(replace(SIGNATURE, inputs=many), "python", "package.module:factory"))
