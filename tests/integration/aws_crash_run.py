"""Kills the controller of a cluster again and again, and looks each time at what the cloud has."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from dataclasses import asdict, dataclass, field
from typing import Any

import boto3
import grpc
from integration.aws_controller import CLUSTER, PER_INSTANCE, STANDBYS, Order, settings_of

from mark.cloud.aws.policy import policy
from mark.cloud.aws.settings import AwsSettings
from mark.testing.aws import DwellTimes, FakeAws, FakeAwsParams

__all__ = ["CrashFigures", "Crashes", "crash_world"]

PORT = 18_002
ROUTER_KEY = "AKIAROUTER"
# What changes something, in the cloud or in the journal: a controller is killed at one of these.
MOMENTS = frozenset({
    "ec2:CreateFleet", "ec2:RunInstances", "ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances",
    "ec2:CreateLaunchTemplate", "s3:PutObject", "s3:DeleteObject", "sqs:DeleteMessage",
})  # fmt: skip
ALIVE = {"pending", "running"}
SETTLE_S = 30.0


@dataclass
class CrashFigures:
    """What a run of crashes showed."""

    killed_at: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    most_beyond_plan: int = 0
    most_standbys: int = 0
    bought: int = 0
    bought_twice: int = 0
    slowest_recovery_s: float = 0.0

    def __str__(self) -> str:
        places = ", ".join(f"{count} in {name}" for name, count in self.killed_at.most_common())
        orders = ", ".join(f"{count} while to {name}" for name, count in self.orders.most_common())
        return (
            f"{self.killed_at.total()} kills: {places}; {orders}; at most {self.most_beyond_plan} instances beyond the "
            f"plan, {self.bought_twice} of {self.bought} bought twice, at most {self.most_standbys} of {STANDBYS} "
            f"standbys; the slowest recovery took {self.slowest_recovery_s:.1f} s"
        )


class Controllers:
    """The process that forks controllers, and the one that it runs now."""

    def __init__(self, aws: FakeAws) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "integration.aws_controller", aws.endpoint_url, str(PORT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={
                **os.environ, **aws.environment, "AWS_ACCESS_KEY_ID": ROUTER_KEY,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )  # fmt: skip
        self._settled = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._started = threading.Event()
        self.pid = 0
        self.failures: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def start(self, order: Order) -> None:
        assert self._ended.wait(SETTLE_S)
        for event in (self._settled, self._ended, self._started):
            event.clear()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        assert self._started.wait(SETTLE_S)

    def kill(self) -> None:
        """SIGKILL, if it still runs; whoever waits for it hears of its end."""
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait_ended(self, timeout_s: float) -> bool:
        return self._ended.wait(timeout_s)

    def wait_settled(self, timeout_s: float = SETTLE_S) -> bool:
        return self._settled.wait(timeout_s)

    def close(self) -> None:
        self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(SETTLE_S) == 0
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            event = json.loads(line)
            if "started" in event:
                self.pid = event["started"]
                self._started.set()
            elif event.get("settled") == self.pid:
                self._settled.set()
            elif "ended" in event:
                self._ended.set()
            elif "failed" in event:
                self.failures.append(event["failed"])


class Crashes:
    """A fake AWS, a controller that is killed at its calls, and what is to be true after each kill."""

    def __init__(self, aws: FakeAws, s3: Any, bucket: str, seed: int) -> None:
        self._aws = aws
        self._s3 = s3
        self._bucket = bucket
        self._random = random.Random(seed)
        self._controllers = Controllers(aws)
        self._left: int | None = None  # calls until the kill
        self._performed = True
        self._killed_at = ""
        self._lock = threading.Lock()
        self._story: list[str] = []
        self._wanted: Counter[str] = Counter()  # by the decision that is in its tags
        self.figures = CrashFigures()
        self._denied = aws._front.permit
        aws._front.permit = self._permit  # told of each call before it is done

    def close(self) -> None:
        self._controllers.close()
        assert self._controllers.failures == [], self._controllers.failures

    def crash(self) -> None:
        """Let a controller do something, kill it on the way, and look."""
        before, begun = self._serving(), self._begun()
        name, order = self._order(len(before))
        planned = 0 if order.teardown else max(1, math.ceil(order.load_per_s / PER_INSTANCE))
        with self._lock:
            self._left = self._random.randint(1, 3)
            self._performed = self._random.random() < 0.5
            self._killed_at = ""
        self._controllers.start(order)
        leaving: list[str] = []
        if name == "interrupt":
            leaving = [each["InstanceId"] for each in before if each.get("InstanceLifecycle") == "spot"][:2]
            self._aws.interrupt(leaving, notice_s=0.5)
        self._until_killed()
        self.figures.killed_at[self._killed_at or "a quiet moment"] += 1
        self.figures.orders[name] += 1
        self._story.append(
            f"{name} {order.load_per_s:g}: {len(before)} there, {begun} begun before, {len(self._serving())} after, "
            f"killed at {self._killed_at or 'rest'} ({'done' if self._performed else 'refused'}), "
            f"{len(leaving)} taken away"
        )
        # What is about to be taken away is replaced before it goes.
        self._look(max(len(before) + begun, planned) + len(leaving))

    def recover(self, load_per_s: float) -> None:
        """Let a controller carry a load undisturbed until all is as planned."""
        began_s = time.monotonic()
        self._controllers.start(Order(load_per_s))
        assert self._controllers.wait_settled(), self._states()
        planned = max(1, math.ceil(load_per_s / PER_INSTANCE))
        self.wait_until(lambda: len(self._serving()) == planned and len(self._standbys({"stopped"})) == STANDBYS)
        self.figures.slowest_recovery_s = max(self.figures.slowest_recovery_s, time.monotonic() - began_s)
        self._controllers.kill()

    def teardown(self) -> None:
        """Give everything back undisturbed."""
        self._controllers.start(Order(0.0, teardown=True))
        assert self._controllers.wait_settled(), self._states()
        self.wait_until(lambda: {each["State"]["Name"] for each in self._aws.instances()} <= {"terminated"})
        self._controllers.kill()

    def wait_until(self, holds: Any) -> None:
        deadline_s = time.monotonic() + SETTLE_S
        while not holds():
            assert time.monotonic() < deadline_s, self._states()
            time.sleep(0.02)

    def _order(self, serving: int) -> tuple[str, Order]:
        kind = self._random.choice(["launch", "launch", "retire", "interrupt", "teardown"])
        load_per_s = PER_INSTANCE * self._random.randint(1, 8)
        if kind == "teardown":
            return kind, Order(0.0, teardown=True)
        if kind == "launch":
            load_per_s = PER_INSTANCE * (serving + self._random.randint(1, 3))
        elif kind == "retire":
            load_per_s = PER_INSTANCE * max(1, serving - self._random.randint(1, 3))
        elif kind == "interrupt":
            load_per_s = PER_INSTANCE * max(1, serving)
        return kind, Order(min(load_per_s, PER_INSTANCE * 10))

    def _until_killed(self) -> None:
        deadline_s = time.monotonic() + SETTLE_S
        while not self._controllers.wait_ended(0.02):
            if self._controllers.wait_settled(0.0) or time.monotonic() > deadline_s:
                assert time.monotonic() <= deadline_s, self._states()
                time.sleep(self._random.random() * 0.2)  # a little of what follows, standbys above all
                self._controllers.kill()
                assert self._controllers.wait_ended(SETTLE_S)
        with self._lock:
            self._left = None

    def _permit(self, call: Any) -> Any:
        denied = self._denied(call)
        if denied is not None:
            self._controllers.failures.append(str(denied))
            return denied
        with self._lock:
            self._note_purchase(call)
            if self._left is None or call.name not in MOMENTS or call.params.get("Key") == "lease.json":
                return None
            self._left -= 1
            if self._left > 0:
                return None
            self._left, self._killed_at, performed = None, call.name, self._performed
            self._controllers.kill()
        if performed:
            return None
        from mark.testing.aws.wire import AwsError

        return AwsError("RequestLimitExceeded", "the caller is gone")

    def _note_purchase(self, call: Any) -> None:
        if call.name not in {"ec2:CreateFleet", "ec2:RunInstances"}:
            return
        params = call.params
        wanted = params.get("MaxCount") or params["TargetCapacitySpecification"]["TotalTargetCapacity"]
        specifications = [each for each in params["TagSpecifications"] if each["ResourceType"] == "instance"]
        decision = _tag(specifications[0], "mark:decision")
        self._wanted[decision] = max(self._wanted[decision], int(wanted))

    def _look(self, planned: int) -> None:
        serving, figures = len(self._serving()), self.figures
        assert serving <= planned, "; then ".join(self._story[-4:]) + ": " + self._states()
        figures.most_beyond_plan = max(figures.most_beyond_plan, serving - planned)
        figures.most_standbys = max(figures.most_standbys, len(self._standbys(ALIVE | {"stopping", "stopped"})))
        bought = Counter(_tag(each, "mark:decision") for each in self._aws.instances())
        with self._lock:
            figures.bought_twice = sum(max(0, bought[each] - self._wanted[each]) for each in bought)
            figures.bought = bought.total()

    def _serving(self) -> list[dict[str, Any]]:
        """Instances that live and are neither standbys nor about to be taken away."""
        return [
            each for each in self._aws.instances()
            if each["State"]["Name"] in ALIVE and _tag(each, "mark:role") == "worker"
        ]  # fmt: skip

    def _begun(self) -> int:
        """Instances that a controller had planned and begun to buy when it was killed: the next one buys them."""
        bought = Counter(_tag(each, "mark:decision") for each in self._aws.instances())
        begun = 0
        for each in self._s3.list_objects_v2(Bucket=self._bucket, Prefix="intents/").get("Contents", []):
            intent = json.loads(self._s3.get_object(Bucket=self._bucket, Key=each["Key"])["Body"].read())
            if intent["offering"] != "burst":
                begun += len(intent["tokens"]) - bought[intent["tokens"][0]]
        return begun

    def _standbys(self, states: set[str]) -> list[dict[str, Any]]:
        return [
            each for each in self._aws.instances()
            if each["State"]["Name"] in states and _tag(each, "mark:role") == "standby"
        ]  # fmt: skip

    def _states(self) -> str:
        rows = [
            f"{each['InstanceId']} {_tag(each, 'mark:offering')} {_tag(each, 'mark:role')} {each['State']['Name']}"
            for each in self._aws.instances() if each["State"]["Name"] != "terminated"
        ]  # fmt: skip
        return "; ".join([*rows, *self._controllers.failures]) or "nothing runs"


def _tag(instance: dict[str, Any], key: str) -> str:
    return next((tag["Value"] for tag in instance.get("Tags", []) if tag["Key"] == key), "")


@contextlib.contextmanager
def crash_world(seed: int) -> Iterator[Crashes]:
    """A cluster's bucket and queue on a fake AWS whose instances boot nothing, and one worker that answers for all."""
    dwell = DwellTimes(pending_s=0.02, stopping_s=0.02, shutting_down_s=0.02)
    ready = grpc.unary_unary_rpc_method_handler(lambda request, context: bytes([8, 1]))
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ServerReady": ready})]
    )
    # Instances have loopback addresses of their own: this one stands behind all of them.
    assert server.add_insecure_port(f"0.0.0.0:{PORT}") == PORT
    server.start()
    try:
        with FakeAws(FakeAwsParams(dwell=dwell, boots=False)) as aws:
            settings = settings_of(aws.endpoint_url, PORT)
            keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": settings.region}
            session = boto3.session.Session(**keys)
            account = session.client("sts", endpoint_url=aws.endpoint_url).get_caller_identity()["Account"]
            s3, bucket = session.client("s3", endpoint_url=aws.endpoint_url), settings.bucket(account)
            s3.create_bucket(Bucket=bucket)
            session.client("sqs", endpoint_url=aws.endpoint_url).create_queue(QueueName=settings.queue)
            _prerequisites(session, settings, aws)
            aws.allow(policy("router", settings, account), ROUTER_KEY)
            crashes = Crashes(aws, s3, bucket, seed)
            try:
                yield crashes
            finally:
                crashes.close()
    finally:
        server.stop(None)


def _prerequisites(session: Any, settings: AwsSettings, aws: FakeAws) -> None:
    ec2 = session.client("ec2", endpoint_url=aws.endpoint_url)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    iam = session.client("iam", endpoint_url=aws.endpoint_url)
    iam.create_role(RoleName=settings.worker_role, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=settings.worker_role)
    iam.add_role_to_instance_profile(InstanceProfileName=settings.worker_role, RoleName=settings.worker_role)
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "mark:cluster", "Value": CLUSTER}]}]
    ec2.create_security_group(GroupName=settings.security_group, Description=CLUSTER, VpcId=vpc, TagSpecifications=tags)
