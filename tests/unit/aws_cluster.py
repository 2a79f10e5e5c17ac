"""A small cluster on a fake AWS, for tests of what `mark aws` does to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typer.testing import CliRunner

from mark.cloud.aws import tags
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings, Rhythm
from mark.domain.offering import Market, Offering

CONFIG = """
cluster: shop
provider: aws
aws: {region: us-east-1, image: ami-12c6146b}
offerings:
  - {name: cpu, types: [c5.large, c5.xlarge], max_count: 4}
  - {name: spot, market: spot, types: [c5.large], max_count: 2}
  - {name: standby, market: burstable, types: [t3.medium], standby: true, max_count: 2, stopped: 1}
models:
  - name: digits
    runtime: torchscript
    source: digits.pt
    inputs: [{name: image, datatype: FP32, shape: [-1, 64]}]
    outputs: [{name: logits, datatype: FP32, shape: [-1, 10]}]
    slo: {rt_max_ms: 100}
"""


def offering(name: str, market: Market, *types: str, max_count: int = 2, stopped: int = 0) -> AwsOffering:
    return AwsOffering(Offering(name, market, 0.17, boot_s=60, max_count=max_count, stopped=stopped), types)


OFFERINGS = (
    offering("cpu", Market.ON_DEMAND, "c5.large", "c5.xlarge", max_count=4),
    offering("spot", Market.SPOT, "c5.large"),
    offering("standby", Market.BURSTABLE, "t3.medium", stopped=1),
)
SETTINGS = AwsSettings("shop", "us-east-1", OFFERINGS, image="ami-12c6146b", rhythm=Rhythm())


def run_instance(session: AwsSession, name: str, kind: str, role: str = tags.WORKER, *, spot: bool = False) -> str:
    """Start one that carries the cluster's tags, as the driver does."""
    carried = {tags.CLUSTER: "shop", tags.OFFERING: name, tags.MODEL: "digits", tags.ROLE: role}
    more = {"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}
    answer = session.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        InstanceType=kind,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": each, "Tags": tags.tag_list(carried)} for each in ("instance", "volume")],
        **more,
    )
    return str(answer["Instances"][0]["InstanceId"])


def mark_aws(folder: Path, command: str, *options: str, config: str = CONFIG) -> tuple[int, str]:
    """Run a command of `mark aws`: its exit code, and all that it said."""
    from mark.cli.commands import app

    path = folder / "mark.yaml"
    path.write_text(config)
    arguments: Sequence[str] = ("aws", command, str(path), *options)
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output
