"""Models in the cluster's bucket, each content once: routers put them there, instances fetch them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from boto3.exceptions import RetriesExceededError
from botocore.exceptions import ClientError

from mark.cloud.aws.errors import AWS_ERRORS, code_of
from mark.cloud.aws.objects import storage_error
from mark.cloud.aws.session import Client
from mark.domain.artifact import ModelArtifact
from mark.errors import CloudError

__all__ = ["ModelStore"]

_CHUNK_BYTES = 1 << 20


class ModelStore:
    """The models of a bucket, under `models/<model>/<sha256>/<file name>`.

    An artifact of the `python` runtime is code that the image has: it passes through as it is.

    Thread safety: every method may be called from any thread; uploads of one store take turns.

    Invariants: `_keys` is touched only with `_lock` held.
    """

    def __init__(self, s3: Callable[[], Client], bucket: Callable[[], str]) -> None:
        """Ask AWS for nothing yet."""
        self._s3 = s3
        self._bucket = bucket
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str, int, int], str] = {}  # of a file as it was: what it is called in the bucket

    def upload(self, artifact: ModelArtifact) -> ModelArtifact:
        """Put a model's file into the bucket unless it is there, and return the artifact with its key as the source.

        Raises:
            CloudError: the file cannot be read, or is not in the bucket.
        """
        if artifact.runtime == "python":
            return artifact
        path, model = Path(artifact.source), artifact.signature.name
        try:
            stat = path.stat()
            seen = (model, artifact.source, stat.st_mtime_ns, stat.st_size)
            with self._lock:
                if seen not in self._keys:
                    key = f"models/{model}/{_sha256(path)}/{path.name}"
                    self._put(path, key, stat.st_size)
                    self._keys[seen] = key
                return replace(artifact, source=self._keys[seen])
        except OSError as error:
            raise CloudError(f"model {model}: cannot read {path}: {error.strerror or error}") from error

    def download(self, artifact: ModelArtifact, folder: Path) -> ModelArtifact:
        """Fetch a model's file unless the folder has it, and return the artifact with its path as the source.

        Args:
            artifact: as `upload` returned it.
            folder: where files are kept, by their content.

        Raises:
            CloudError: there is no such object, it is not what its key says, or the folder cannot be written.
        """
        if artifact.runtime == "python":
            return artifact
        key = artifact.source
        parts = key.split("/")
        if len(parts) < 4 or parts[0] != "models":
            raise CloudError(f"{key!r} is no model of the bucket; its key has the form models/name/sha256/file")
        sha256, name = parts[-2:]
        path = folder / sha256 / name
        try:
            if not path.exists() or _sha256(path) != sha256:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(key, path, sha256)
        except OSError as error:
            raise CloudError(f"cannot keep {key} at {path}: {error.strerror or error}") from error
        return replace(artifact, source=str(path))

    def _put(self, path: Path, key: str, size: int) -> None:
        try:
            try:
                if self._s3().head_object(Bucket=self._bucket(), Key=key)["ContentLength"] == size:
                    return
            except ClientError as error:
                if code_of(error) not in {"404", "NoSuchKey", "NotFound"}:
                    raise
            with path.open("rb") as file:
                self._s3().upload_fileobj(file, self._bucket(), key, ExtraArgs={"ServerSideEncryption": "AES256"})
        except AWS_ERRORS as error:
            raise storage_error(error, self._bucket(), key) from error

    def _fetch(self, key: str, path: Path, sha256: str) -> None:
        part = path.with_name(f"{path.name}.part")
        try:
            self._s3().download_file(self._bucket(), key, str(part))
            found = _sha256(part)
            if found != sha256:
                raise CloudError(f"s3://{self._bucket()}/{key} is not what its key says, but {found}: upload it again")
            part.replace(path)
        except AWS_ERRORS as error:
            if code_of(error) in {"404", "NoSuchKey"}:
                raise CloudError(
                    f"there is no s3://{self._bucket()}/{key}: routers upload the models that they serve"
                ) from error
            raise storage_error(error, self._bucket(), key) from error
        except RetriesExceededError as error:
            raise CloudError(f"s3://{self._bucket()}/{key} broke off again and again on its way: {error}") from error
        finally:
            part.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
