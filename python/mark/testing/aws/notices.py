"""What EC2 tells the world of its own: events, as EventBridge delivers them to the queues of matching rules."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime, timezone
from typing import Any

from moto.backends import get_backend

from mark.testing.aws.ec2_state import ACCOUNT
from mark.testing.aws.machine import Machine

__all__ = ["Notices"]


class Notices:
    """Sends events. Moto's rules are matched as EventBridge does; moto itself never says anything about instances.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, region: str) -> None:
        self._region = region

    def interruption(self, machine: Machine, action: str) -> None:
        """A spot instance will be taken away."""
        self._send("EC2 Spot Instance Interruption Warning", machine.id, {"instance-action": action})

    def rebalance(self, machine: Machine) -> None:
        """A spot instance is more likely than others to be taken away."""
        self._send("EC2 Instance Rebalance Recommendation", machine.id, {})

    def state(self, machine_id: str, state: str) -> None:
        """An instance has moved to another state."""
        self._send("EC2 Instance State-change Notification", machine_id, {"state": state})

    def _send(self, kind: str, machine_id: str, detail: dict[str, Any]) -> None:
        arn = f"arn:aws:ec2:{self._region}:{ACCOUNT}:instance/{machine_id}"
        message = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": "aws.ec2",
            "account": ACCOUNT,
            "time": f"{datetime.fromtimestamp(time.time(), timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
            "region": self._region,
            "resources": [arn],
            "detail": {"instance-id": machine_id, **detail},
        }
        events = get_backend("events")[ACCOUNT][self._region]
        for rule in list(events.event_buses["default"].rules.values()):
            if rule.state == "ENABLED" and rule.event_pattern.matches_event(message):
                for target in rule.targets:
                    self._deliver(target["Arn"], json.dumps(message))

    def _deliver(self, arn: str, body: str) -> None:
        queues = get_backend("sqs")[ACCOUNT][self._region]
        name = arn.rpartition(":")[2]
        if ":sqs:" in arn and name in queues.queues:
            queues.send_message(name, body)
