"""Where in AWS a cluster lives, and what its parts are called there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mark.domain.offering import Offering
from mark.tracing.params import TracingParams

__all__ = ["WORKER_PORT", "AwsOffering", "AwsSettings", "Rhythm"]

WORKER_PORT = 8002


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often AWS is asked, in seconds. The defaults keep a fleet of 1,000 below 30 calls a minute.

    Attributes:
        describe_s: what runs is read once in this time while nothing changes.
        describe_soon_s: and once in this time while instances boot, stop or end.
        probe_s: a worker that boots is asked this often whether it answers.
        lease_s: the lease of the one leader is for so long; it is renewed three times in it.
        orphan_after_s: what carries the cluster's tags and is unknown for so long is ended.
        unavailable_s: a pool without capacity is left alone for so long; twice as long after each further refusal.
        unavailable_max_s: at most.
        prices_s: spot prices are read once in this time.
        boot_max_s: an instance that does not answer so long after its offering's `boot_s` is ended.
    """

    describe_s: float = 10.0
    describe_soon_s: float = 5.0
    probe_s: float = 0.5
    lease_s: float = 30.0
    orphan_after_s: float = 60.0
    unavailable_s: float = 180.0
    unavailable_max_s: float = 1800.0
    prices_s: float = 300.0
    boot_max_s: float = 300.0


@dataclass(frozen=True, slots=True)
class AwsOffering:
    """An offering, and the types and zones that it may be bought as.

    Attributes:
        offering: what the planner knows.
        types: EC2's names of interchangeable types; the profile is of the slowest of them.
        zones: availability zones; empty for every zone that the cluster has a subnet in.
    """

    offering: Offering
    types: tuple[str, ...]
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """One cluster in one region.

    Attributes:
        cluster: its name: part of every name and tag.
        region: such as "us-east-1".
        offerings: what may be rented.
        subnets: zone -> subnet id; empty for the default subnet of every zone.
        image: AMI id, or "ssm:" and the name of a public parameter that holds one.
        install: what pip installs on an image that has no mark; empty for an image that has.
        endpoint_url: of a server that speaks AWS's API, instead of AWS itself.
        worker_port: where workers listen.
        keep_on_stop: leave the fleet running when the router stops in order, for the next one to adopt.
        rebalances_per_hour: instances replaced because EC2 recommends it, at most; 0 to ignore recommendations.
        rhythm: how often AWS is asked.
        traces: of the workers; None: they trace nothing.
    """

    cluster: str
    region: str
    offerings: tuple[AwsOffering, ...] = ()
    subnets: Mapping[str, str] = field(default_factory=dict)
    image: str = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    install: str = "mark-serve[aws,torch]"
    endpoint_url: str | None = None
    worker_port: int = WORKER_PORT
    keep_on_stop: bool = False
    rebalances_per_hour: int = 0
    rhythm: Rhythm = Rhythm()
    traces: TracingParams | None = None

    @property
    def stem(self) -> str:
        """What the names of all of the cluster's resources begin with."""
        return f"mark-{self.cluster}"

    def bucket(self, account: str) -> str:
        """Name of the bucket of models, certificates, intents and the lease. Names of buckets are global."""
        return f"{self.stem}-{account}-{self.region}".lower().replace("_", "-").replace(".", "-")

    @property
    def queue(self) -> str:
        """Name of the SQS queue that EventBridge sends notices to."""
        return f"{self.stem}-notices"

    @property
    def rule(self) -> str:
        """Name of the EventBridge rule of notices."""
        return f"{self.stem}-notices"

    @property
    def template(self) -> str:
        """What the names of the launch templates begin with; one for each model and offering."""
        return f"{self.stem}-worker"

    @property
    def worker_role(self) -> str:
        """Name of the role, and of the instance profile, of the workers."""
        return f"{self.stem}-worker"

    @property
    def function_role(self) -> str:
        """Name of the role of the functions."""
        return f"{self.stem}-function"

    @property
    def security_group(self) -> str:
        """Name of the security group of routers and workers: its members reach each other on the worker port."""
        return f"{self.stem}-members"

    def function(self, model: str) -> str:
        """Name of the Lambda function of a model."""
        return f"{self.stem}-{model}".replace(".", "-")
