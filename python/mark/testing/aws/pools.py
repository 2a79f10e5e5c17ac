"""What EC2 has left: capacity of each pool, quotas of each family, and the price of spot."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from moto.ec2.models.instance_types import INSTANCE_TYPES

from mark.testing.aws.machine import Machine
from mark.testing.aws.params import FakeAwsParams

__all__ = ["QUOTAS", "Pools", "PricePoint", "SpotPrices", "quota_code", "vcpus_of"]

# Retired types, which moto does not list.
_VCPUS = {"p2.xlarge": 4, "p2.8xlarge": 32, "p3.2xlarge": 8, "p3.8xlarge": 32}

QUOTAS: dict[str, tuple[str, str]] = {
    "L-1216C47A": ("standard on-demand", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
    "L-34B43A08": ("standard spot", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
    "L-DB2E81BA": ("g on-demand", "Running On-Demand G and VT instances"),
    "L-3819A6DF": ("g spot", "All G and VT Spot Instance Requests"),
    "L-417A185B": ("p on-demand", "Running On-Demand P instances"),
    "L-7212CCBC": ("p spot", "All P4, P3 and P2 Spot Instance Requests"),
    "L-1945791B": ("inf on-demand", "Running On-Demand Inf instances"),
    "L-B5D1601B": ("inf spot", "All Inf Spot Instance Requests"),
}
"""Quota code -> the family and market it is for, and AWS's name of it; all in vCPUs."""

_BY_FAMILY = {family: code for code, (family, _) in QUOTAS.items()}


def vcpus_of(instance_type: str) -> int:
    """How many vCPUs a type has; 0 for a type that there is not."""
    if instance_type in INSTANCE_TYPES:
        return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])
    return _VCPUS.get(instance_type, 0)


def quota_code(instance_type: str, market: str) -> str:
    """The quota that a type counts against."""
    if instance_type.startswith("inf"):
        family = "inf"
    elif instance_type.startswith(("g", "vt")):
        family = "g"
    else:
        family = "p" if instance_type.startswith("p") else "standard"
    return _BY_FAMILY[f"{family} {market}"]


class Pools:
    """Capacity and quotas. Used with the machines' lock held."""

    def __init__(self, params: FakeAwsParams) -> None:
        self._params = params
        self._left: dict[tuple[str, str], int] = {}

    def sell_out(self, instance_type: str, zone: str | None, available: int | None) -> None:
        """Leave so many instances of a type in a zone; None for as many as anyone wants, no zone for every one."""
        key = (instance_type, zone or "")
        if available is None:
            self._left.pop(key, None)
        else:
            self._left[key] = available

    def available(self, instance_type: str, zone: str, wanted: int) -> int:
        """How many of the wanted ones there are."""
        return min(self._left.get(key, wanted) for key in [(instance_type, zone), (instance_type, "")])

    def take(self, instance_type: str, zone: str, count: int) -> None:
        """They are sold."""
        for key in [(instance_type, zone), (instance_type, "")]:
            if key in self._left:
                self._left[key] -= min(count, self._left[key])

    def quota(self, code: str) -> float:
        """The vCPUs of a quota."""
        return self._params.vcpu_quotas.get(code, self._params.vcpu_quota)

    def allowed(self, instance_type: str, market: str, machines: Iterable[Machine]) -> int:
        """How many more of a type the quota allows beside what runs."""
        code = quota_code(instance_type, market)
        used = sum(
            vcpus_of(machine.spec.instance_type)
            for machine in machines
            if machine.counts and quota_code(machine.spec.instance_type, machine.spec.market) == code
        )
        return max(int((self.quota(code) - used) // max(vcpus_of(instance_type), 1)), 0)


@dataclass(frozen=True, order=True)
class PricePoint:
    """From when on a price holds. Seconds since the epoch."""

    at_s: float
    usd_per_hour: float


class SpotPrices:
    """Spot prices of each type and zone over time.

    Thread safety: every method may be called from any thread.
    """

    def __init__(self, params: FakeAwsParams) -> None:
        self._params = params
        self._lock = threading.Lock()
        self._points: dict[tuple[str, str], list[PricePoint]] = {}

    def set(self, instance_type: str, zone: str, usd_per_hour: float, at_s: float | None = None) -> None:
        """A price from now on, or from another time on."""
        with self._lock:
            point = PricePoint(time.time() if at_s is None else at_s, usd_per_hour)
            bisect.insort(self._points.setdefault((instance_type, zone), self._first(instance_type)), point)

    def at(self, instance_type: str, zone: str, at_s: float) -> float:
        """The price at a time."""
        return self.history(instance_type, zone, at_s, at_s)[0].usd_per_hour

    def history(self, instance_type: str, zone: str, from_s: float, to_s: float) -> Sequence[PricePoint]:
        """The price that held at `from_s`, and its changes up to `to_s`; oldest first."""
        with self._lock:
            points = self._points.get((instance_type, zone)) or self._first(instance_type)
        before = [point for point in points if point.at_s <= from_s]
        return [before[-1] if before else points[0], *(point for point in points if from_s < point.at_s <= to_s)]

    def _first(self, instance_type: str) -> list[PricePoint]:
        on_demand = self._params.prices_usd_per_hour.get(instance_type, 1.0)
        return [PricePoint(0.0, round(on_demand * self._params.spot_share, 6))]
