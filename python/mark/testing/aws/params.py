"""What a fake AWS is like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["DwellTimes", "FakeAwsParams"]

_PRICES: Mapping[str, float] = MappingProxyType({
    "c5.large": 0.085, "c5.xlarge": 0.17, "c5.2xlarge": 0.34, "c5.4xlarge": 0.68, "c5.9xlarge": 1.53,
    "c5a.large": 0.077, "c5a.xlarge": 0.154, "c5a.2xlarge": 0.308, "c6i.large": 0.085, "c6i.xlarge": 0.17,
    "m5.large": 0.096, "m5.xlarge": 0.192, "m5a.large": 0.086, "m5n.large": 0.119, "r5.large": 0.126,
    "t2.medium": 0.0464, "t2.large": 0.0928, "t2.xlarge": 0.1856,
    "t3.medium": 0.0416, "t3.large": 0.0832, "t3.xlarge": 0.1664,
    "g4dn.xlarge": 0.526, "g5.xlarge": 1.006, "p3.2xlarge": 3.06, "inf1.xlarge": 0.228,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class DwellTimes:
    """How long an instance stays between two states, in seconds."""

    pending_s: float = 0.05
    stopping_s: float = 0.05
    shutting_down_s: float = 0.05


@dataclass(frozen=True, slots=True)
class FakeAwsParams:
    """Everything that a test may want different.

    Attributes:
        region: the only region whose instances the fake knows; other services answer in any.
        port: where to listen on 127.0.0.1; 0 for a free one.
        dwell: times between states.
        prices_usd_per_hour: type -> on-demand price.
        spot_share: a spot price that was never set is this share of the on-demand price.
        vcpu_quotas: AWS's quota code -> vCPUs, in place of the default of `vcpu_quota`.
        vcpu_quota: vCPUs for each family of types and market.
        burstable_credit_mode: "standard" or "unlimited", for burstable instances whose launch does not say.
        kill_after_s: a process that does not end so long after SIGTERM is killed.
        boots: start what user data say; without, instances run and do nothing.
        program: what starts instead of the program of a unit's ExecStart; empty for this interpreter's `mark`.
        environment: more variables for the processes of instances and functions.
        cold_start_s: what a function's new environment takes besides its own imports.
        function_idle_s: an environment that was not called for so long ends.
        account_concurrency: environments of all functions together that may run at once.
        lambda_usd_per_gb_s: price of a function's time.
        lambda_usd_per_request: price of a call.
    """

    region: str = "us-east-1"
    port: int = 0
    dwell: DwellTimes = DwellTimes()
    prices_usd_per_hour: Mapping[str, float] = field(default_factory=lambda: dict(_PRICES))
    spot_share: float = 0.4
    vcpu_quotas: Mapping[str, float] = field(default_factory=dict)
    vcpu_quota: float = 5000.0
    burstable_credit_mode: str = ""
    kill_after_s: float = 10.0
    boots: bool = True
    program: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cold_start_s: float = 0.0
    function_idle_s: float = 300.0
    account_concurrency: int = 1000
    lambda_usd_per_gb_s: float = 0.0000166667
    lambda_usd_per_request: float = 0.0000002
