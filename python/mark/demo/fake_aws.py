"""A fake AWS of this machine, for the demo: started, set up, asked, taken down and ended."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.table import Table

from mark.app.extra import needs_extra
from mark.config import parse_config
from mark.errors import ConfigError, WorkerError

__all__ = ["AwsOutcome", "FakeAwsProcess", "fake_aws", "write_function"]

_DWELL = ("--pending-s", "1", "--stopping-s", "1", "--shutting-down-s", "1")
_NOTICE_S = 20.0
_TIMEOUT_S = 30.0
_COMMAND_S = 120.0
_CENT = 0.005
_ROUTER_KEY = "demo-router"


@dataclass(frozen=True, slots=True)
class AwsOutcome:
    """What the cloud says at the end.

    Attributes:
        bill_usd: what mark says that it has spent.
        record_usd: what the cloud says.
        launches: calls that launched instances.
        standby_starts: standbys that were started.
        standby_stops: standbys that were stopped.
        function_calls: requests and pings that functions got.
        left: resources that carry the cluster's tag after the teardown.
    """

    bill_usd: float
    record_usd: float
    launches: int
    standby_starts: int
    standby_stops: int
    function_calls: int
    left: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nothing is left, and the bills agree to the cent."""
        return not self.left and abs(self.bill_usd - self.record_usd) < _CENT

    def tell(self, table: Table) -> None:
        """Add it to a report."""
        table.add_row("calls that launched instances", str(self.launches))
        table.add_row("calls that started, and stopped, standbys", f"{self.standby_starts}, {self.standby_stops}")
        table.add_row("calls of functions, pings included", str(self.function_calls))
        table.add_row("the bill, as mark and as the cloud says it", f"${self.bill_usd:.6f}, ${self.record_usd:.6f}")
        table.add_row("resources left after the teardown", ", ".join(self.left) or "none")


class FakeAwsProcess:
    """The fake AWS of the demo.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        keys = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_REGION": "us-east-1"}
        self.environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": endpoint_url}

    async def mark(self, *arguments: str) -> str:
        """Run a command of mark against it, as a person would; what it said.

        Raises:
            WorkerError: it failed; its last words are in the message.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mark", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), _COMMAND_S)
        if process.returncode != 0:
            raise WorkerError(f"mark {' '.join(arguments)}: {said.decode(errors='replace').strip()}")
        return said.decode(errors="replace")

    async def allow_router(self, config_file: Path) -> dict[str, str]:
        """Give the router what `mark aws policy` prints, and no more; the environment with its keys."""
        document = json.loads(await self.mark("aws", "policy", str(config_file)))
        await self.ask("allow", policy_document=document, key=_ROUTER_KEY)
        return {**self.environment, "AWS_ACCESS_KEY_ID": _ROUTER_KEY}

    async def interrupt(self, share: float) -> Any:
        """Take a share of the spot instances away, as the router's own InterruptResponse says it."""
        spot = [
            each["InstanceId"]
            for each in await self.ask("instances")
            if each.get("InstanceLifecycle") == "spot" and each["State"]["Name"] == "running"
        ]
        hit = spot[: math.ceil(share * len(spot))]
        await self.ask("interrupt", instance_ids=hit, notice_s=_NOTICE_S)
        return SimpleNamespace(instances=[SimpleNamespace(id=each, notice_s=_NOTICE_S) for each in hit])

    async def outcome(self, config_file: Path, cluster: str, bill_usd: float) -> AwsOutcome:
        """Take the cluster down, and say what came of it."""
        await self.mark("aws", "teardown", str(config_file), "--yes")
        calls, record = await self.ask("calls"), await self.ask("record")
        left = await self.ask(f"tagged?cluster={cluster}")
        return AwsOutcome(
            bill_usd=bill_usd,
            record_usd=record["usd"],
            launches=calls.get("ec2:CreateFleet", 0) + calls.get("ec2:RunInstances", 0),
            standby_starts=calls.get("ec2:StartInstances", 0),
            standby_stops=calls.get("ec2:StopInstances", 0),
            function_calls=calls.get("lambda:Invoke", 0),
            left=tuple(left),
        )

    async def ask(self, what: str, **arguments: object) -> Any:
        """Read from its script, or with arguments write into it."""
        body = json.dumps(arguments).encode() if arguments else None
        request = urllib.request.Request(f"{self.endpoint_url}/fake/{what}", data=body)  # noqa: S310 - of this machine

        def answer() -> Any:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - likewise
                return json.loads(response.read() or b"null")

        return await asyncio.to_thread(answer)


@asynccontextmanager
async def fake_aws() -> AsyncIterator[FakeAwsProcess]:
    """A process that is AWS to whoever is told its address; it ends with this one.

    Raises:
        WorkerError: it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mark.testing.aws", "--port", "0", *_DWELL,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        line = b"" if process.stdout is None else await process.stdout.readline()
        if not line.startswith(b"http"):
            raise WorkerError("the fake AWS does not start: pip install 'mark-serve[testing]'")
        yield FakeAwsProcess(line.decode().strip())
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def write_function(folder: Path) -> None:
    """Write the code of the function that digits-aws.yaml names: of mark alone, for this machine has the rest.

    AWS's own functions would need torch in a container image: `mark aws package --image`.
    """
    with needs_extra():
        from mark.cloud.aws.function_package import build_zip
    text = resources.files("mark.demo").joinpath("digits-aws.yaml").read_text(encoding="utf-8")
    artifact = parse_config(text, name="digits-aws.yaml", folder=folder).models[0].artifact()
    if artifact is None:
        raise ConfigError("digits-aws.yaml: the model has no source")
    build_zip(artifact, folder / "digits-function.zip", alone=True, check_loadable=False)
