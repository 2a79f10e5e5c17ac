"""Every call that the driver of AWS makes, as something that a test can let it do, let fail, and look at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

from unit.aws_faulty_world import World

from mark._core import FunctionPrice
from mark.cloud.aws.functions import LambdaFunctions, LambdaFunctionsParams
from mark.cloud.aws.launching import Order
from mark.cloud.aws.pace import Pace
from mark.cloud.aws.pools import Pool
from mark.cloud.aws.standby import Phase
from mark.controlplane.fleet_view import FleetView
from mark.domain.fleet import InstanceState
from mark.domain.offering import Market
from mark.errors import CloudError
from mark.live.control_loop import _GIVE_BACK_AGAIN_MAX_S, _GIVE_BACK_AGAIN_S

__all__ = ["CALLS", "FaultyCall"]


class FaultyCall:
    """One call.

    Attributes:
        operation: of AWS.
        missing: what AWS answers when what the call names is not there.
        types: types of machines whose pools EC2 names where it has nothing left; empty where it fails the call itself.
        tells: the driver raises what failed; otherwise it says so in its log.
    """

    operation: ClassVar[str]
    missing: ClassVar[str] = "InvalidInstanceID.NotFound"
    types: ClassVar[tuple[str, ...]] = ()
    tells: ClassVar[bool] = True

    def __init__(self, world: World) -> None:
        self.world = world
        self.pace: Callable[[], float] = Pace(1.0, 60.0).failed

    def prepare(self) -> None:
        """Bring the cluster so far that the call comes next."""

    def act(self) -> None:
        """Let the driver make the call, as its caller or its round does."""
        raise NotImplementedError

    def done(self) -> bool:
        """Whether what the call is for has come about."""
        raise NotImplementedError

    def known(self) -> object:
        """What the driver goes by, for calls that only read."""
        raise NotImplementedError

    def pause_s(self, error: CloudError | None) -> float:
        """How long the caller waits after a failure before it comes back."""
        return self.pace()


class _Launch(FaultyCall):
    offering: ClassVar[str]
    count: ClassVar[int] = 1
    missing = "InvalidLaunchTemplateName.NotFoundException"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        view = FleetView("m")
        self.pace = lambda: view.refused(self.offering, 30.0)

    def act(self) -> None:
        world = self.world
        found = world.cloud.launch_many(self.offering, world.artifact, [world.token() for _ in range(self.count)])
        for each in found:
            if isinstance(each, CloudError):
                raise each

    def done(self) -> bool:
        machines = self.world.machines("worker")
        alive = {str(each.id) for each in self.world.cloud.list_instances() if each.state is not InstanceState.GONE}
        assert len(machines) <= self.count, "bought twice"
        return len(machines) == self.count and alive == machines.keys()


class _Fleet(_Launch):
    operation, offering, count, types = "ec2:CreateFleet", "many", 3, ("c5.large", "c5a.large")


class _One(_Launch):
    operation, offering = "ec2:RunInstances", "one"


class _Template(_One):
    operation, missing = "ec2:CreateLaunchTemplate", "InvalidGroup.NotFound"


class _Subnets(_One):
    operation, missing = "ec2:DescribeSubnets", "InvalidSubnetID.NotFound"


class _Intent(_One):
    operation, missing = "s3:PutObject", "NoSuchBucket"


class _Model(_Intent):
    def prepare(self) -> None:
        self.world.has_a_model()

    def done(self) -> bool:
        return super().done() and bool(self.world.keys("models/"))


class _LookForModel(_Model):
    operation, missing = "s3:HeadObject", "NoSuchKey"


class _BuyStandby(FaultyCall):
    operation, types, tells = "ec2:RunInstances", (), False
    missing = "InvalidLaunchTemplateName.NotFoundException"

    def prepare(self) -> None:
        self.world.cloud.prepare(self.world.artifact)

    def act(self) -> None:
        self.world.look()

    def done(self) -> bool:
        bought = self.world.machines("standby")
        assert len(bought) <= 1, "bought twice"
        return [each.machine for each in self.world.cloud._state.standbys.all] == list(bought) != []

    def pause_s(self, error: CloudError | None) -> float:
        return self.pace() if error else self.world.settings.rhythm.describe_s


class _DropIntent(FaultyCall):
    operation, missing, tells = "s3:DeleteObject", "NoSuchBucket", False
    pause_s = _BuyStandby.pause_s

    def prepare(self) -> None:
        _One(self.world).act()
        assert self.world.keys("intents/")

    def act(self) -> None:
        self.world.look()

    def done(self) -> bool:
        return not self.world.keys("intents/")


class _RenewLease(FaultyCall):
    operation, missing = "s3:PutObject", "NoSuchBucket"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.pace = world.cloud._renewals._pace.failed
        self.began_ns = 0

    def act(self) -> None:
        self.world.renew()


class _Terminate(FaultyCall):
    operation = "ec2:TerminateInstances"

    def prepare(self) -> None:
        self.pace = Pace(_GIVE_BACK_AGAIN_S, _GIVE_BACK_AGAIN_MAX_S).failed
        self.instance = self.world.cloud.launch("one", self.world.artifact, self.world.token())

    def act(self) -> None:
        self.world.cloud.terminate(self.instance.id)

    def done(self) -> bool:
        return self.is_given_back and not self.world.machines("worker")

    @property
    def is_given_back(self) -> bool:
        return self.world.cloud.list_instances()[0].state is InstanceState.GONE


class _StartStandby(_Launch):
    operation, missing, offering = "ec2:StartInstances", "InvalidInstanceID.NotFound", "kept"

    def prepare(self) -> None:
        self.standby = self.world.standby(Phase.STOPPED)

    def done(self) -> bool:
        return self.standby.phase is Phase.RENTED and bool(self.world.cloud.list_instances())


class _StopStandby(FaultyCall):
    operation, tells = "ec2:StopInstances", False
    pause_s = _BuyStandby.pause_s

    def prepare(self) -> None:
        self.standby = self.world.standby(Phase.PREPARING)
        self.standby.loaded = True

    def act(self) -> None:
        self.world.look()

    def done(self) -> bool:
        return self.world.machines("standby").get(self.standby.machine) in {"stopping", "stopped"}


class _Describe(FaultyCall):
    operation = "ec2:DescribeInstances"

    def prepare(self) -> None:
        self.world.cloud.launch("one", self.world.artifact, self.world.token())
        order = Order(
            self.world.settings.cluster,
            "many",
            "m",
            ("other",),
            "x",
            (Pool("c5.large", "us-east-1a", Market.SPOT),),
            {},
        )
        self.unknown = order.tags
        self.world.aws.session.client("ec2").run_instances(
            ImageId="ami-12c6146b", InstanceType="c5.large", MinCount=1, MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in order.tags.items()]}
            ],
        )  # fmt: skip

    def act(self) -> None:
        self.world.look()

    def known(self) -> object:
        return [(each.id, each.state) for each in self.world.cloud.list_instances()]

    def done(self) -> bool:
        return len(self.world.cloud.list_instances()) == 2


class _Receive(FaultyCall):
    operation, missing = "sqs:ReceiveMessage", "QueueDoesNotExist"

    def prepare(self) -> None:
        world = self.world
        self.acted = 0
        world.cloud._noticing._queue._wait_s = 0
        world.cloud._noticing.check()
        launched = world.cloud.launch("one", world.artifact, world.token())
        kind = "EC2 Instance State-change Notification"
        event = {"detail-type": kind, "time": "2026-01-01T00:00:00Z", "detail": {"instance-id": str(launched.id)}}
        sqs = world.aws.session.client("sqs")
        url = sqs.get_queue_url(QueueName=world.settings.queue)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})

    def act(self) -> None:
        self.world.cloud._noticing.receive(self._heard)

    def done(self) -> bool:
        return self.acted == 1 and self._waiting() == 0

    def _heard(self) -> None:
        self.acted += 1

    def _waiting(self) -> int:
        sqs = self.world.aws.session.client("sqs")
        url = sqs.get_queue_url(QueueName=self.world.settings.queue)["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


class _DeleteNotices(_Receive):
    operation = "sqs:DeleteMessageBatch"


class _Prices(FaultyCall):
    tells = False
    operation, missing = "pricing:GetProducts", "NotFoundException"
    market: ClassVar[Market] = Market.ON_DEMAND

    def act(self) -> None:
        self.world.prices.refresh()

    def known(self) -> object:
        return [each.price_usd_per_hour for each in self.world.cloud.offerings() if each.market is self.market]

    def done(self) -> bool:
        at_s = self.world.prices.dates_s()["on demand"]
        return self.world.clock.now_ns() / 1e9 - at_s < 60

    def pause_s(self, error: CloudError | None) -> float:
        return self.world.settings.rhythm.prices_s


class _SpotPrices(_Prices):
    operation, missing, market = "ec2:DescribeSpotPriceHistory", "InvalidParameterValue", Market.SPOT

    def done(self) -> bool:
        return self.world.clock.now_ns() / 1e9 - self.world.prices.dates_s()["spot"] < 60


class _VirtualLoop:
    """An event loop whose clock is the world's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, world: World) -> None:
        self._loop = loop
        self._world = world

    def time(self) -> float:
        return self._world.clock.now_ns() / 1e9

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class _Invoke(FaultyCall):
    operation, missing = "lambda:Invoke", "ResourceNotFoundException"

    def prepare(self) -> None:
        self.usd = 0.0
        self.loop = asyncio.new_event_loop()
        self.functions = self.loop.run_until_complete(self._functions())

    async def _functions(self) -> LambdaFunctions:
        price = FunctionPrice(usd_per_request=1.0, usd_per_s=0.0, quantum_ns=1)
        made = LambdaFunctions(self.world.aws.session, "f", price, LambdaFunctionsParams(2))
        made._loop = _VirtualLoop(asyncio.get_running_loop(), self.world)  # type: ignore[assignment]
        return made

    def act(self) -> None:
        self.loop.run_until_complete(self.functions.invoke(b"x", 5.0))

    def done(self) -> bool:
        return self.functions.use().usd > self.usd

    def close(self) -> None:
        self.loop.run_until_complete(self.functions.close())
        self.loop.close()


CALLS: dict[str, type[FaultyCall]] = {
    "CreateFleet: instances": _Fleet,
    "RunInstances: one instance": _One,
    "RunInstances: a standby": _BuyStandby,
    "DescribeSubnets": _Subnets,
    "CreateLaunchTemplate": _Template,
    "PutObject: intent": _Intent,
    "HeadObject: model": _LookForModel,
    "PutObject: model": _Model,
    "DeleteObject: intent": _DropIntent,
    "PutObject: lease": _RenewLease,
    "TerminateInstances": _Terminate,
    "StartInstances: a standby": _StartStandby,
    "StopInstances: a standby": _StopStandby,
    "DescribeInstances": _Describe,
    "ReceiveMessage: notices": _Receive,
    "DeleteMessageBatch: notices": _DeleteNotices,
    "Invoke: a function": _Invoke,
    "GetProducts: prices": _Prices,
    "DescribeSpotPriceHistory": _SpotPrices,
}
"""By the first column of the table in docs/aws.md."""
