"""The cloud of a configuration with `provider: aws`, put together. Imports boto3."""

from __future__ import annotations

from mark.app.aws import aws_settings
from mark.cloud.aws.certificates import LinkIdentity
from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.worker_boot import WorkerBoot
from mark.config import Config
from mark.ports import Clock

__all__ = ["make_aws_cloud"]


def make_aws_cloud(config: Config, clock: Clock) -> AwsCloud:
    """The cluster in AWS that the configuration is of; asks AWS for nothing yet."""
    settings = aws_settings(config)
    session = AwsSession(settings)
    models = [model.name for model in config.models if model.artifact() is not None]
    link = LinkIdentity(lambda: session.client("s3"), lambda: settings.bucket(session.account), settings.cluster)
    parts = AwsParts(session, WorkerBoot(settings, session), link, PresentPrices(settings, session), models)
    return AwsCloud(settings, clock, parts)
