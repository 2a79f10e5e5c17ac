"""Calls whose refusals mean something: that a thing is not there, or is there already."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from mark.cloud.aws.errors import code_of, translated

__all__ = ["GONE", "THERE", "called", "called_unless"]

GONE = frozenset({
    "404", "NoSuchBucket", "NotFound", "NoSuchEntity", "NoSuchEntityException", "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidGroup.NotFound",
    "InvalidInstanceID.NotFound", "InvalidVolume.NotFound", "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateName.NotFoundException",
})  # fmt: skip
"""Codes that say: it is not there."""

THERE = frozenset({
    "BucketAlreadyOwnedByYou", "EntityAlreadyExists", "EntityAlreadyExistsException", "InvalidGroup.Duplicate",
    "InvalidPermission.Duplicate", "LimitExceeded", "LimitExceededException",
})  # fmt: skip
"""Codes that say: it is there already. A limit counts, for an instance profile has room for one role."""

_Answer = TypeVar("_Answer")


def called(what: str, call: Callable[[], _Answer]) -> _Answer:
    """What AWS answers.

    Raises:
        CloudError: it refuses; the message begins with `what` was being done.
    """
    try:
        return call()
    except Exception as error:
        raise translated(error, what) from error


def called_unless(codes: Collection[str], what: str, call: Callable[[], _Answer]) -> _Answer | None:
    """What AWS answers; None where it answers one of these codes.

    Raises:
        CloudError: it refuses otherwise.
    """
    try:
        return call()
    except Exception as error:
        if code_of(error) in codes:
            return None
        raise translated(error, what) from error
