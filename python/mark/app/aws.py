"""What a configuration says of a cluster on AWS. Imports no boto3: `mark aws policy` goes without."""

from __future__ import annotations

from dataclasses import replace

from mark.cloud.aws.billing import billed_by_ec2
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.config import Config
from mark.errors import ConfigError

__all__ = ["aws_settings"]

_WITH_TRACING = "mark-serve[aws,torch,tracing]"


def aws_settings(config: Config) -> AwsSettings:
    """The cluster in AWS that the configuration is of.

    Raises:
        ConfigError: it has no section aws.
    """
    section = config.aws
    if section is None:
        raise ConfigError("the configuration has no section aws: it needs at least aws: {region: us-east-1}")
    settings = AwsSettings(
        cluster=config.cluster,
        region=section.region,
        offerings=tuple(
            AwsOffering(billed_by_ec2(each.as_offering()), tuple(each.types), tuple(each.zones))
            for each in config.offerings
        ),
        subnets=dict(section.subnets),
        endpoint_url=section.endpoint_url,
        keep_on_stop=section.keep_on_stop,
        rebalances_per_hour=section.rebalances_per_hour,
        traces=config.tracing.as_worker_params(),
    )
    settings = settings if section.image is None else replace(settings, image=section.image)
    if section.install is None and settings.traces is not None:
        settings = replace(settings, install=_WITH_TRACING)
    return settings if section.install is None else replace(settings, install=section.install)
