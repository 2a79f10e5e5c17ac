"""CPU credits of burstable instances, and CloudWatch's metric of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from mark.testing.aws.ec2_state import Ec2State
from mark.testing.aws.machine import Machine, Span, State
from mark.testing.aws.pools import vcpus_of
from mark.testing.aws.wire import AwsError, Call

__all__ = ["Credits", "balance"]

_METRIC = ("AWS/EC2", "CPUCreditBalance")
_LAUNCH_CREDITS_PER_VCPU = 30.0
_KEPT_STOPPED_S = 7 * 24 * 3600.0
_EARNED_PER_HOUR: Mapping[str, Mapping[str, float]] = {
    "t2": {"nano": 3, "micro": 6, "small": 12, "medium": 24, "large": 36, "xlarge": 54, "2xlarge": 81},
    "t3": {"nano": 6, "micro": 12, "small": 24, "medium": 24, "large": 36, "xlarge": 96, "2xlarge": 192},
}


def balance(machine: Machine, at_s: float, cpu_share: float) -> float:
    """Credits of an instance at a time: earned while it runs, for a day at most, and spent on what it computes.

    T2 loses them when it stops, and has launch credits at each start; T3 keeps them for a week and starts with none.

    Args:
        machine: of a burstable type.
        at_s: seconds since the epoch.
        cpu_share: of all of its vCPUs that it uses while it runs.
    """
    family, size = machine.spec.instance_type.split(".")
    rate = _earned(family)[size]
    vcpus = vcpus_of(machine.spec.instance_type)
    left, ended_s = 0.0, 0.0
    for span in machine.spans:
        if span.begun_s > at_s:
            break
        if family == "t2":
            left = _LAUNCH_CREDITS_PER_VCPU * vcpus
        elif ended_s and span.begun_s - ended_s > _KEPT_STOPPED_S:
            left = 0.0
        ended_s = min(at_s, _end(span))
        hours = (ended_s - span.begun_s) / 3600
        most = max(24 * rate, left)
        left = min(max(left + hours * (rate - 60 * vcpus * cpu_share), 0.0), most)
    return left


def _end(span: Span) -> float:
    return float("inf") if span.ended_s is None else span.ended_s


def _earned(family: str) -> Mapping[str, float]:
    return _EARNED_PER_HOUR["t2" if family == "t2" else "t3"]


class Credits:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, state: Ec2State) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._cpu_shares: dict[str, float] = {}

    def set_cpu_share(self, machine_id: str, share: float) -> None:
        """What part of its vCPUs an instance uses: of its whole life, for the balance has no memory of this."""
        self._state.machines.get(machine_id)
        with self._lock:
            self._cpu_shares[machine_id] = share

    def metric_data(self, call: Call) -> dict[str, Any] | None:
        """GetMetricData of CPUCreditBalance; every other metric is moto's."""
        queries = call.params.get("MetricDataQueries") or []
        if not all(_is_balance(query) for query in queries):
            return None
        return {"MetricDataResults": [self._result(query, call.params) for query in queries], "Messages": []}

    def specifications(self, call: Call) -> dict[str, Any]:
        """DescribeInstanceCreditSpecifications."""
        with self._state.machines.lock:
            machines = self._state.machines.named(call.params.get("InstanceIds") or [])
            for machine in machines:
                if not _burstable(machine):
                    message = f"{machine.id} is not a burstable performance instance"
                    raise AwsError("InvalidParameterCombination", message)
            found = [{"InstanceId": machine.id, "CpuCredits": self._mode(machine)} for machine in machines]
        return {"InstanceCreditSpecifications": found}

    def _mode(self, machine: Machine) -> str:
        asked = (machine.spec.settings.get("CreditSpecification") or {}).get("CpuCredits")
        default = "standard" if machine.spec.instance_type.startswith("t2.") else "unlimited"
        return str(asked or self._state.params.burstable_credit_mode or default)

    def _result(self, query: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        stat = query["MetricStat"]
        dimensions = {each["Name"]: each["Value"] for each in stat["Metric"].get("Dimensions", [])}
        points: list[tuple[float, float]] = []
        with self._state.machines.lock:
            known = {machine.id: machine for machine in self._state.machines.all()}
            machine = known.get(dimensions.get("InstanceId", ""))
            if machine is not None and _burstable(machine):
                points = self._points(machine, params, float(stat["Period"]))
        if params.get("ScanBy") != "TimestampAscending":
            points.reverse()
        return {
            "Id": query["Id"],
            "Label": _METRIC[1],
            "Timestamps": [datetime.fromtimestamp(int(at_s), timezone.utc) for at_s, _ in points],
            "Values": [value for _, value in points],
            "StatusCode": "Complete",
        }

    def _points(self, machine: Machine, params: Mapping[str, Any], period_s: float) -> list[tuple[float, float]]:
        with self._lock:
            share = self._cpu_shares.get(machine.id, 0.0)
        from_s, to_s = params["StartTime"].timestamp(), min(params["EndTime"].timestamp(), time.time())
        times = []
        at_s = from_s - from_s % period_s + period_s
        while at_s <= to_s:
            times.append(at_s)
            at_s += period_s
        # A test cannot wait for the end of a period: what runs has a value now.
        if machine.state is State.RUNNING and to_s not in times:
            times.append(to_s)
        ran = [at_s for at_s in times if any(span.begun_s <= at_s <= _end(span) for span in machine.spans)]
        return [(at_s, balance(machine, at_s, share)) for at_s in ran]


def _burstable(machine: Machine) -> bool:
    family, _, size = machine.spec.instance_type.partition(".")
    return family in {"t2", "t3", "t3a", "t4g"} and size in _earned(family)


def _is_balance(query: Mapping[str, Any]) -> bool:
    metric = (query.get("MetricStat") or {}).get("Metric") or {}
    return (metric.get("Namespace"), metric.get("MetricName")) == _METRIC
