"""The instance metadata service (IMDS), one below /imds/<instance id> for each instance."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from datetime import datetime, timezone

from mark.testing.aws.computers import role_key
from mark.testing.aws.ec2_state import ACCOUNT
from mark.testing.aws.identities import role_of_profile
from mark.testing.aws.machine import Machine
from mark.testing.aws.machines import Machines
from mark.testing.aws.wire import Answer, AwsError, Environ

__all__ = ["Metadata"]

_TTL_MAX_S = 21600


class Metadata:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, machines: Machines, region: str) -> None:
        self._machines = machines
        self._region = region
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}

    def page(self, environ: Environ, _: bytes) -> Answer:
        """What an instance is answered."""
        name, _, path = environ["PATH_INFO"].removeprefix("/imds/").partition("/")
        try:
            machine = self._machines.get(name)
        except AwsError:
            return _text(404, "no such instance")
        if path == "latest/api/token":
            return self._token(environ, name)
        if not self._allowed(environ, machine):
            return _text(401, "Unauthorized")
        with self._machines.lock:
            found = self._found(machine, path.rstrip("/"))
        return _text(404, "Not Found") if found is None else _text(200, found)

    def _token(self, environ: Environ, name: str) -> Answer:
        if environ["REQUEST_METHOD"] != "PUT":
            return _text(405, "Method Not Allowed")
        asked = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", "")
        if not asked.isdigit() or not 1 <= int(asked) <= _TTL_MAX_S:
            return _text(400, "Bad Request")
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = name
        return Answer(
            200,
            (("Content-Type", "text/plain"), ("X-aws-ec2-metadata-token-ttl-seconds", asked)),
            token.encode(),
        )

    def _allowed(self, environ: Environ, machine: Machine) -> bool:
        token = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", "")
        if not token:
            return bool(machine.metadata_options["HttpTokens"] != "required")
        with self._lock:
            return self._tokens.get(token) == machine.id

    def _found(self, machine: Machine, path: str) -> str | None:
        if path == "latest/user-data":
            data = machine.spec.settings.get("UserData")
            return base64.b64decode(data).decode(errors="replace") if data else None
        if path == "latest/dynamic/instance-identity/document":
            return json.dumps(
                {
                    "instanceId": machine.id,
                    "instanceType": machine.spec.instance_type,
                    "region": self._region,
                    "availabilityZone": machine.spec.zone,
                    "accountId": ACCOUNT,
                    "privateIp": machine.address,
                }
            )
        if not path.startswith("latest/meta-data"):
            return None
        below = path.removeprefix("latest/meta-data").strip("/")
        known = self._meta_data(machine)
        if below in known:
            return known[below]
        prefix = f"{below}/" if below else ""
        names = sorted({key.removeprefix(prefix).split("/")[0] for key in known if key.startswith(prefix)})
        return "\n".join(names) or None

    def _meta_data(self, machine: Machine) -> dict[str, str]:
        known = {
            "ami-id": str(machine.spec.settings.get("ImageId", "")),
            "instance-id": machine.id,
            "instance-type": machine.spec.instance_type,
            "instance-life-cycle": machine.spec.market,
            "local-ipv4": machine.address,
            "placement/availability-zone": machine.spec.zone,
            "placement/region": self._region,
        }
        if machine.metadata_options["InstanceMetadataTags"] == "enabled":
            known |= {f"tags/instance/{key}": value for key, value in machine.tags.items()}
        if machine.taken_at_s is not None:
            action = {"action": "terminate", "time": _iso(machine.taken_at_s)}
            known["spot/instance-action"] = json.dumps(action)
            known["spot/termination-time"] = action["time"]
        if machine.rebalance_at_s is not None:
            known["events/recommendations/rebalance"] = json.dumps({"noticeTime": _iso(machine.rebalance_at_s)})
        profile = machine.spec.settings.get("IamInstanceProfile")
        if profile:
            role = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
            known[f"iam/security-credentials/{role}"] = json.dumps(
                {
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "AccessKeyId": role_key(role_of_profile(profile)),
                    "SecretAccessKey": "fake",
                    "Token": "fake",
                    "Expiration": "2099-01-01T00:00:00Z",
                }
            )
        return known


def _iso(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _text(status: int, text: str) -> Answer:
    return Answer(status, (("Content-Type", "text/plain"),), text.encode())
