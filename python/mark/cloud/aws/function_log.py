"""The log group of a Lambda function: the cluster's by its tag, and forgotten in time."""

from __future__ import annotations

from collections.abc import Mapping

from mark.cloud.aws.errors import AWS_ERRORS, code_of, translated
from mark.cloud.aws.permissions import Names
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsSettings

__all__ = ["keep_log"]

_DAYS = 30


def keep_log(session: AwsSession, settings: AwsSettings, function: str, tags: Mapping[str, str]) -> None:
    """Make it, or mark the one that is there. Lambda itself makes one without tags, which never ends.

    Raises:
        CloudError: AWS does not do it.
    """
    logs, group = session.client("logs"), f"/aws/lambda/{function}"
    try:
        try:
            logs.create_log_group(logGroupName=group, tags=dict(tags))
        except AWS_ERRORS as error:
            if code_of(error) != "ResourceAlreadyExistsException":
                raise
            arn = Names(settings, session.account).arn("logs", f"log-group:{group}")
            logs.tag_resource(resourceArn=arn, tags=dict(tags))
        logs.put_retention_policy(logGroupName=group, retentionInDays=_DAYS)
    except AWS_ERRORS as error:
        raise translated(error, f"function {function}: keeping its log group") from error
