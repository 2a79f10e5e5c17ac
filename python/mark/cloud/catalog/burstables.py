"""How the burstable types of EC2 run on credits.

Baselines and launch credits: Amazon EC2 User Guide, "Key concepts and definitions for burstable performance instances"
and "Standard mode concepts for burstable instances", read in awsdocs/amazon-ec2-user-guide at commit 0147f878.
A credit is one vCPU at full speed for a minute. In standard mode a new T2 has 30 launch credits for each vCPU, which is
the half hour that the MArk paper reports, and a new T3, T3a or T4g has none.

T3, T3a and T4g are launched as unlimited unless told otherwise, and then bill what they compute without credits: $0.05
for a vCPU-hour (T4g: $0.04). A simulation does so; plans reckon with standard mode, as if nobody wanted to pay for it,
and leave out what is earned while credits are spent: a T2 lasts somewhat longer than they say.
"""

from __future__ import annotations

from mark.cloud.catalog.entry import Burstable

__all__ = ["burstable_of"]

_T2_LAUNCH_CREDITS_S = 30 * 60.0

_VCPUS = {"xlarge": 4, "2xlarge": 8}  # all smaller sizes of T3, T3a and T4g have 2
_SURPLUS_USD_PER_VCPU_HOUR = {"t3": 0.05, "t3a": 0.05, "t4g": 0.04}

_BASELINE_SHARES = {
    "t2.small": 0.20,
    "t2.medium": 0.20,
    "t2.xlarge": 0.225,
    "t3.micro": 0.10,
    "t3.small": 0.20,
    "t3.medium": 0.20,
    "t3.large": 0.30,
    "t3.xlarge": 0.40,
    "t3.2xlarge": 0.40,
    "t3a.medium": 0.20,
    "t4g.medium": 0.20,
}


def burstable_of(instance_type: str) -> Burstable | None:
    """How a type runs on credits; None for one that does not."""
    share = _BASELINE_SHARES.get(instance_type)
    if share is None:
        return None
    family, _, size = instance_type.partition(".")
    if family == "t2":
        return Burstable(share, _T2_LAUNCH_CREDITS_S)
    return Burstable(share, 0.0, _SURPLUS_USD_PER_VCPU_HOUR[family] * _VCPUS.get(size, 2) / 3600)
