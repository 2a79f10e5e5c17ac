"""The bucket of models, certificates, intents and the lease."""

from __future__ import annotations

import json
from typing import Any

from mark.cloud.aws import tags
from mark.cloud.aws.permissions import Names
from mark.cloud.aws.resources.calls import GONE, THERE, called, called_unless
from mark.cloud.aws.session import AwsSession, Client
from mark.cloud.aws.settings import AwsSettings

__all__ = ["Bucket", "only_over_tls", "speaks_tls"]

_NO_CONSTRAINT = "us-east-1"  # the one region that must not be named
_GIVEN_UP_DAYS = 1  # after which parts of an upload that never ended are deleted


class Bucket:
    """Encrypted, private, reached over TLS alone. Implements `Resource`."""

    kind = "bucket"

    def __init__(self, settings: AwsSettings, session: AwsSession) -> None:
        self._settings = settings
        self._session = session
        self.name = settings.bucket(session.account)

    def exists(self) -> bool:
        """Whether it is there, and ours."""
        found = called_unless(
            GONE, f"looking for bucket {self.name}", lambda: self._session.client("s3").head_bucket(Bucket=self.name)
        )
        return found is not None

    def create(self) -> None:
        """Make it, and say what holds for everything in it."""
        s3, name, region = self._session.client("s3"), self.name, self._settings.region
        place = {} if region == _NO_CONSTRAINT else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        private = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        encrypted = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        given_up = {
            "ID": "uploads-given-up",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _GIVEN_UP_DAYS},
        }
        what = f"making bucket {name}"
        called_unless(THERE, what, lambda: s3.create_bucket(Bucket=name, **place))
        called(what, lambda: s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=private))
        called(
            what,
            lambda: s3.put_bucket_tagging(
                Bucket=name, Tagging={"TagSet": tags.tag_list({tags.CLUSTER: self._settings.cluster})}
            ),
        )
        called(
            what,
            lambda: s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [encrypted]}),
        )
        if speaks_tls(s3):
            document = json.dumps(only_over_tls(self._settings, self._session.account))
            called(what, lambda: s3.put_bucket_policy(Bucket=name, Policy=document))
        called(
            what,
            lambda: s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [given_up]}),
        )

    def delete(self) -> None:
        """Delete it with everything in it, old versions too."""
        s3, what = self._session.client("s3"), f"deleting bucket {self.name}"
        if not self.exists():
            return
        for page in called(what, lambda: list(s3.get_paginator("list_object_versions").paginate(Bucket=self.name))):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            keys = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            if keys:
                deletion = {"Objects": keys, "Quiet": True}
                called(what, lambda deletion=deletion: s3.delete_objects(Bucket=self.name, Delete=deletion))  # type: ignore[misc]
        called_unless(GONE, what, lambda: s3.delete_bucket(Bucket=self.name))


def only_over_tls(settings: AwsSettings, account: str) -> dict[str, Any]:
    """The bucket's policy: refuse what does not come over TLS."""
    names = Names(settings, account)
    statement = {
        "Sid": "OnlyOverTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [*names.bucket(), *names.bucket("*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def speaks_tls(client: Client) -> bool:
    """Whether a client does; one that does not (to a server that is not AWS) must not lock itself out."""
    return str(client.meta.endpoint_url).startswith("https://")
