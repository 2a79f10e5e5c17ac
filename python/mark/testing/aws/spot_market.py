"""Spot: prices that can be asked for, and instances that are taken away with notice."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from mark.testing.aws.ec2_state import Ec2State
from mark.testing.aws.machine import Machine, State, aws_time
from mark.testing.aws.notices import Notices
from mark.testing.aws.pools import SpotPrices
from mark.testing.aws.timers import Timers
from mark.testing.aws.wire import AwsError, Call

__all__ = ["SpotMarket"]

_PRODUCT = "Linux/UNIX"
_PAGE_MAX = 1000


class SpotMarket:
    """Thread safety: every method may be called from any thread."""

    def __init__(self, state: Ec2State, prices: SpotPrices, timers: Timers, notices: Notices) -> None:
        self._state = state
        self._prices = prices
        self._timers = timers
        self._notices = notices

    def interrupt(self, machine_ids: Iterable[str], notice_s: float) -> None:
        """Give notice, and take the instances away when it is over.

        Raises:
            AwsError: there is no such instance, or it is not a spot instance.
        """
        for machine in self._spot(machine_ids):
            with self._state.machines.lock:
                if machine.taken_at_s is not None or machine.state is State.TERMINATED:
                    continue
                machine.taken_at_s = time.time() + notice_s
            self._notices.interruption(machine, "terminate")
            self._timers.after(notice_s, partial(self._state.machines.take, machine.id))

    def recommend_rebalance(self, machine_ids: Iterable[str]) -> None:
        """Say that the instances are likely to be taken away.

        Raises:
            AwsError: there is no such instance, or it is not a spot instance.
        """
        for machine in self._spot(machine_ids):
            with self._state.machines.lock:
                machine.rebalance_at_s = time.time()
            self._notices.rebalance(machine)

    def describe_prices(self, call: Call) -> dict[str, Any]:
        """DescribeSpotPriceHistory: newest first, with the price that held at the start of the time asked for."""
        params = call.params
        if _PRODUCT not in (params.get("ProductDescriptions") or [_PRODUCT]):
            return {"SpotPriceHistory": [], "NextToken": ""}
        wanted = _Wanted(params)
        zones = sorted(self._state.moto.get_default_subnets())
        now_s = time.time()
        from_s = _epoch(params.get("StartTime"), now_s)
        to_s = max(_epoch(params.get("EndTime"), now_s), from_s)
        found = [
            {
                "AvailabilityZone": zone,
                "InstanceType": kind,
                "ProductDescription": _PRODUCT,
                "SpotPrice": f"{point.usd_per_hour:.6f}",
                "Timestamp": aws_time(point.at_s),
            }
            for kind in self._state.params.prices_usd_per_hour
            if wanted.kind(kind)
            for zone in zones
            if wanted.zone(zone)
            for point in reversed(self._prices.history(kind, zone, from_s, to_s))
        ]
        at, size = int(params.get("NextToken") or 0), int(params.get("MaxResults") or _PAGE_MAX)
        following = str(at + size) if at + size < len(found) else ""
        return {"SpotPriceHistory": found[at : at + size], "NextToken": following}

    def _spot(self, machine_ids: Iterable[str]) -> list[Machine]:
        machines = self._state.machines.named(machine_ids)
        for machine in machines:
            if machine.spec.market != "spot":
                raise AwsError("InvalidParameterValue", f"{machine.id} is not a spot instance")
        return machines


class _Wanted:
    """Which types and zones a request for prices asks for."""

    def __init__(self, params: dict[str, Any]) -> None:
        kinds = params.get("InstanceTypes") or []
        zone = params.get("AvailabilityZone")
        self._kinds: list[set[str]] = [set(kinds)] if kinds else []
        self._zones: list[set[str]] = [{zone}] if zone else []
        for wanted in params.get("Filters") or []:
            chosen = {"instance-type": self._kinds, "availability-zone": self._zones}.get(wanted["Name"])
            if chosen is not None:
                chosen.append(set(wanted["Values"]))
            elif wanted["Name"] != "product-description":
                raise AwsError("InvalidParameterValue", f"The filter '{wanted['Name']}' is invalid")

    def kind(self, name: str) -> bool:
        return all(name in allowed for allowed in self._kinds)

    def zone(self, name: str) -> bool:
        return all(name in allowed for allowed in self._zones)


def _epoch(value: Any, default_s: float) -> float:
    if value is None:
        return default_s
    return value.timestamp() if isinstance(value, datetime) else datetime.fromisoformat(str(value)).timestamp()
