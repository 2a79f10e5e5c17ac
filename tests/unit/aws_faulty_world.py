"""A driver of AWS without threads, in virtual time, over a fake AWS whose every call can be made to fail."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from contract.aws_world import aws_settings, lay_ground, running_aws, tiny_user_data
from contract.cloud_world import ARTIFACT

from mark.cloud.aws import lease as lease_module
from mark.cloud.aws.cloud import AwsCloud, AwsParts
from mark.cloud.aws.lease import LEASE_KEY
from mark.cloud.aws.models import ModelStore
from mark.cloud.aws.prices import PresentPrices
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings, Rhythm
from mark.cloud.aws.standby import Phase, Standby
from mark.domain.artifact import ModelArtifact
from mark.domain.offering import Market, Offering
from mark.errors import CloudError
from mark.testing import ManualClock
from mark.testing.aws import FakeAws

__all__ = ["Aws", "World", "faulty_aws"]

MANY = AwsOffering(Offering("many", Market.SPOT, 0.04, 10.0, 2000), ("c5.large", "c5a.large"))
ONE = AwsOffering(Offering("one", Market.ON_DEMAND, 0.1, 10.0, 8), ("m5.large",), ("us-east-1a",))
KEPT = AwsOffering(Offering("kept", Market.BURSTABLE, 0.05, 10.0, 2, stopped=1), ("t3.medium",))
_ON_ITS_WAY = {"no connection", "no answer", "nonsense"}
_PAGE = b"<html>Sign in to this network<br></html>"
_SERVICES = {"resource-groups-tagging-api": "resourcegroupstaggingapi"}


class Aws:
    """The fake, what lies between it and boto3, and virtual time, in which boto3's own pauses pass, too."""

    def __init__(self, fake: FakeAws, folder: Path) -> None:
        self.fake = fake
        self.folder = folder
        self.clock = ManualClock(now_ns=time.time_ns())
        self.calls: Counter[str] = Counter()
        self.failing: tuple[str, str] | None = None
        self.session = AwsSession(aws_settings(fake))
        self.session._session._session.register("before-send", self._between)
        self._clusters = itertools.count()

    def fail(self, operation: str, how: str, types: Iterable[str] = (), after: bool = False) -> None:
        """Let every call of an operation fail.

        Args:
            operation: such as "ec2:RunInstances".
            how: AWS's code, or "no connection", "no answer" or "nonsense" for what happens to it on its way.
            types: only launches of these types.
            after: it is done, and the answer is an error.
        """
        self.failing = (operation, how)
        if how not in _ON_ITS_WAY:
            for kind in (*types,) or (None,):
                self.fake.fail(operation, how, times=None, instance_type=kind, after=after)

    def mend(self) -> None:
        self.failing = None
        self.fake.clear_faults()

    def world(self) -> World:
        return World(self, f"faulty{next(self._clusters)}")

    def _between(self, event_name: str, request: Any, **_: object) -> AWSResponse | None:
        service, operation = event_name.split(".")[1:]
        name = f"{_SERVICES.get(service, service)}:{operation}"
        self.calls[name] += 1
        if self.failing is None and name == "lambda:Invoke":  # there is no function: a call is answered here
            return AWSResponse(
                request.url, 200, {}, _Body(b'{"response": "", "cold": false, "instance": "f", "ran_ms": 1}')
            )
        if self.failing is None or self.failing[0] != name:
            return None
        how = self.failing[1]
        if how == "no connection":
            raise EndpointConnectionError(endpoint_url=request.url)
        if how == "no answer":
            raise ReadTimeoutError(endpoint_url=request.url)
        return AWSResponse(request.url, 200, {"content-type": "text/html"}, _Body(_PAGE)) if how == "nonsense" else None


class _Body:
    """The body of an answer that did not come by HTTP."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()

    def read(self, *_: object) -> bytes:
        left, self._left = self._left, b""
        return left


class World:
    """One cluster and its driver, which leads it."""

    def __init__(self, aws: Aws, cluster: str) -> None:
        self.aws = aws
        self.clock = aws.clock
        settings = aws_settings(aws.fake, (MANY, ONE, KEPT), Rhythm())
        self.settings: AwsSettings = replace(settings, cluster=cluster)
        lay_ground(self.settings, aws.session)
        self.s3 = aws.session.client("s3")
        self.bucket = self.settings.bucket(aws.session.account)
        self.store = ModelStore(lambda: self.s3, lambda: self.bucket)
        self.artifact = ARTIFACT
        self.prices = PresentPrices(self.settings, aws.session, lambda: self.clock.now_ns() / 1e9)
        self.cloud = AwsCloud(self.settings, self.clock, AwsParts(aws.session, self._user_data, None, self.prices))
        self.cloud._lease.take()
        self._tokens = itertools.count()

    def has_a_model(self) -> None:
        """From now on instances need a file."""
        path = self.aws.folder / f"{self.settings.cluster}.onnx"
        path.write_bytes(self.settings.cluster.encode())
        self.artifact = replace(ARTIFACT, runtime="onnx", source=str(path))

    def token(self) -> str:
        return f"t/{next(self._tokens)}"

    def look(self) -> None:
        self.cloud._watching.look(leads=True)

    def renew(self) -> None:
        self.cloud._lease.renew()

    def lose_lease(self) -> None:
        """Another router writes the lease, and this one notices."""
        body = b'{"holder": "another", "fencing": 9, "expires_at_s": 9e9, "lease_s": 30}'
        self.s3.put_object(Bucket=self.bucket, Key=LEASE_KEY, Body=body)
        with pytest.raises(CloudError):
            self.renew()

    def machines(self, role: str) -> dict[str, str]:
        """Machine -> state, of those of a role that EC2 has sold to this cluster and that have not ended."""
        wanted = {("mark:cluster", self.settings.cluster), ("mark:role", role)}
        return {
            each["InstanceId"]: each["State"]["Name"]
            for each in self.aws.fake.instances()
            if wanted <= {(tag["Key"], tag["Value"]) for tag in each["Tags"]}
            and each["State"]["Name"] not in {"shutting-down", "terminated"}
        }

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for each in found.get("Contents", ())]

    def standby(self, phase: Phase) -> Standby:
        """A standby in a phase, seen to be in it by EC2 and by the driver."""
        self.cloud.prepare(self.artifact)
        self.look()
        (standby,) = self.cloud._state.standbys.all
        self._until(lambda: self.machines("standby").get(standby.machine) == "running")
        standby.loaded = phase is not Phase.PREPARING
        if phase is Phase.STOPPED:
            self._until(lambda: self._looked(standby) is Phase.STOPPED)
        return standby

    def _user_data(self, offering: AwsOffering, artifact: ModelArtifact) -> str:
        return tiny_user_data(offering, self.store.upload(artifact))

    def _looked(self, standby: Standby) -> Phase:
        self.look()
        return standby.phase

    @staticmethod
    def _until(holds: Any) -> None:
        for _ in range(1000):
            if holds():
                return
            time.sleep(0.005)  # the fake moves instances on by threads of its own, which tell nobody
        raise AssertionError("it does not come about")


@contextmanager
def faulty_aws(folder: Path) -> Iterator[Aws]:
    """A fake AWS for many worlds, one after the other."""
    with pytest.MonkeyPatch.context() as patch, running_aws(folder, patch, boots=False) as fake:
        aws = Aws(fake, folder)
        real = vars(time)
        patch.setattr(botocore.endpoint, "time", SimpleNamespace(**{**real, "sleep": aws.clock.advance_s}))
        steady = SimpleNamespace(**{**real, "monotonic": lambda: aws.clock.now_ns() / 1e9})
        patch.setattr(lease_module, "time", steady)
        yield aws
