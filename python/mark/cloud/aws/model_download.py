"""Brings one object of S3 onto this machine."""

from __future__ import annotations

from pathlib import Path

import boto3

from mark.cloud.aws.errors import translated

__all__ = ["SCHEME", "download"]

SCHEME = "s3://"


def download(location: str, folder: Path) -> Path:
    """Fetch `s3://bucket/key` into a folder, and return where it is.

    Region and credentials are those of the environment.

    Raises:
        ValueError: the location is none.
        CloudError: S3 does not give it.
    """
    bucket, _, key = location.removeprefix(SCHEME).partition("/")
    if not location.startswith(SCHEME) or not bucket or not key or key.endswith("/"):
        raise ValueError(f"{location!r} must have the form s3://bucket/key")
    path = folder / key.rpartition("/")[2]
    try:
        boto3.client("s3").download_file(bucket, key, str(path))
    except Exception as error:
        raise translated(error, f"fetching {location}") from error
    return path
