"""Small objects of the cluster's bucket: read whole, written whole, and only over what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from mark.cloud.aws.errors import AWS_ERRORS, code_of, translated
from mark.cloud.aws.session import Client
from mark.errors import CloudError

__all__ = ["Objects", "StoredObject", "storage_error"]

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
_ENCRYPTION = "AES256"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What an object held when it was read.

    Attributes:
        body: its bytes; never shown, they may be a private key.
        etag: S3's name of this version.
        written_at: when it was written, by S3's clock.
    """

    body: bytes = field(repr=False)
    etag: str
    written_at: datetime


class Objects:
    """Objects of one bucket.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, s3: Callable[[], Client], bucket: Callable[[], str]) -> None:
        """Ask AWS for nothing yet, not even which account this is."""
        self._s3 = s3
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """Name of the bucket.

        Raises:
            CloudError: AWS does not say who is asking.
        """
        return self._bucket()

    def get(self, key: str) -> StoredObject | None:
        """Read an object; None when there is none.

        Raises:
            CloudError: it cannot be told.
        """
        try:
            answer = self._s3().get_object(Bucket=self.bucket, Key=key)
            return StoredObject(answer["Body"].read(), answer["ETag"], answer["LastModified"])
        except AWS_ERRORS as error:
            if code_of(error) in _MISSING:
                return None
            raise storage_error(error, self.bucket, key) from error

    def put(self, key: str, body: bytes, over: StoredObject | None) -> bool:
        """Write an object over what was read, encrypted at rest; False when somebody else wrote it since.

        Args:
            key: of the object.
            body: its bytes.
            over: what was read; None when nothing was there.

        Raises:
            CloudError: it was not written, or it is unknown whether it was.
        """
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over.etag}
        try:
            self._s3().put_object(Bucket=self.bucket, Key=key, Body=body, ServerSideEncryption=_ENCRYPTION, **condition)
        except AWS_ERRORS as error:
            # A conditional write of what was deleted since is refused as missing.
            if code_of(error) in _CHANGED | _MISSING:
                return False
            raise storage_error(error, self.bucket, key) from error
        return True

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is not an error.

        Raises:
            CloudError: it was not deleted, or it is unknown whether it was.
        """
        try:
            self._s3().delete_object(Bucket=self.bucket, Key=key)
        except AWS_ERRORS as error:
            raise storage_error(error, self.bucket, key) from error


def storage_error(error: Exception, bucket: str, key: str) -> CloudError:
    """An error of S3 as one line that says what to mend."""
    if code_of(error) == "NoSuchBucket":
        return CloudError(f"there is no bucket {bucket}: `mark aws bootstrap` makes it")
    return translated(error, f"s3://{bucket}/{key}")
