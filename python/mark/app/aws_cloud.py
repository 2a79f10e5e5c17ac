"""The cloud of a configuration with `provider: aws`, put together. Imports boto3."""

from __future__ import annotations

from mark.app.aws import aws_settings
from mark.cloud.aws.agent_settings import AgentSettings
from mark.cloud.aws.certificates import LinkIdentity
from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.launch_template import UserData
from mark.cloud.aws.models import ModelStore
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.cloud.aws.user_data import user_data
from mark.config import Config
from mark.domain.artifact import ModelArtifact
from mark.ports import Clock

__all__ = ["make_aws_cloud"]


def make_aws_cloud(config: Config, clock: Clock) -> AwsCloud:
    """The cluster in AWS that the configuration is of; asks AWS for nothing yet."""
    settings = aws_settings(config)
    session = AwsSession(settings)
    models = [model.name for model in config.models if model.artifact() is not None]
    link = LinkIdentity(lambda: session.client("s3"), lambda: settings.bucket(session.account), settings.cluster)
    parts = AwsParts(session, _user_data(settings, session), link, PresentPrices(settings, session), models)
    return AwsCloud(settings, clock, parts)


def _user_data(settings: AwsSettings, session: AwsSession) -> UserData:
    """Puts the model into the bucket when it is not there, and tells instances where it is."""

    def bucket() -> str:
        return settings.bucket(session.account)

    store = ModelStore(lambda: session.client("s3"), bucket)

    def made(offering: AwsOffering, artifact: ModelArtifact) -> str:
        kind = offering.offering
        return user_data(
            AgentSettings(
                cluster=settings.cluster,
                region=settings.region,
                bucket=bucket(),
                artifact=store.upload(artifact),
                threads=kind.threads,
                cpu_share=kind.cpu_share,
                device=kind.device,
                port=settings.worker_port,
                install=settings.install,
            )
        )

    return made
