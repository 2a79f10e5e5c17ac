"""Prices of 44 types of instance: AWS us-east-1, Linux, in dollars per hour.

On-demand prices: as generated on 2026-07-20 from AWS's price list by aws/karpenter-provider-aws (Apache-2.0), in
pkg/providers/pricing/zz_generated.pricing_aws.go.

Spot prices: the lowest and the highest of the availability zones, from skypilot-org/skypilot-catalog,
catalogs/v8/aws/vms.csv, for the types where a range was found. They move by the hour; of which day these are is not on
record.
"""

from __future__ import annotations

from mark.cloud.catalog.burstables import burstable_of
from mark.cloud.catalog.entry import Catalog, CatalogEntry

__all__ = ["AWS_US_EAST_1"]

_ON_DEMAND = {
    "t2.small": 0.023,
    "t2.medium": 0.0464,
    "t2.xlarge": 0.1856,
    "t3.micro": 0.0104,
    "t3.small": 0.0208,
    "t3.medium": 0.0416,
    "t3.large": 0.0832,
    "t3.xlarge": 0.1664,
    "t3.2xlarge": 0.3328,
    "t3a.medium": 0.0376,
    "t4g.medium": 0.0336,
    "m5.large": 0.096,
    "m5.xlarge": 0.192,
    "c5.large": 0.085,
    "c5.xlarge": 0.17,
    "c5.2xlarge": 0.34,
    "c5.4xlarge": 0.68,
    "c5.9xlarge": 1.53,
    "c5.18xlarge": 3.06,
    "c6i.large": 0.085,
    "c6i.xlarge": 0.17,
    "c6i.2xlarge": 0.34,
    "c7g.large": 0.0725,
    "c7g.xlarge": 0.145,
    "c7i.xlarge": 0.1785,
    "g4dn.xlarge": 0.526,
    "g4dn.2xlarge": 0.752,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g5.4xlarge": 1.624,
    "g5.12xlarge": 5.672,
    "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048,
    "g6e.xlarge": 1.861,
    "p2.xlarge": 0.9,
    "p3.2xlarge": 3.06,
    "p3.8xlarge": 12.24,
    "p4d.24xlarge": 21.957642,
    "p5.48xlarge": 55.04,
    "inf1.xlarge": 0.228,
    "inf1.2xlarge": 0.362,
    "inf2.xlarge": 0.7582,
    "inf2.8xlarge": 1.96786,
    "trn1.2xlarge": 1.34375,
}
_SPOT = {  # lowest and highest zone
    "t2.small": (0.0041, 0.0119),
    "t2.xlarge": (0.0559, 0.076),
    "t3.large": (0.0324, 0.0357),
    "t3.2xlarge": (0.0846, 0.1281),
    "c5.large": (0.0284, 0.0347),
    "c5.xlarge": (0.067, 0.0811),
    "g4dn.xlarge": (0.2069, 0.219),
    "g5.4xlarge": (0.6609, 0.7175),
    "g5.12xlarge": (1.9046, 2.4982),
    "g5.48xlarge": (4.3302, 5.8705),
}


def _entry(instance_type: str, usd_per_hour: float) -> CatalogEntry:
    low, high = _SPOT.get(instance_type, (None, None))
    return CatalogEntry(instance_type, usd_per_hour, low, high, burstable_of(instance_type))


AWS_US_EAST_1 = Catalog(
    name="aws-us-east-1",
    entries=tuple(_entry(instance_type, usd_per_hour) for instance_type, usd_per_hour in _ON_DEMAND.items()),
    price_note="prices are AWS us-east-1, 2026-07-20",
    spot_note="spot prices are those of the dearest zone of us-east-1; they move by the hour",
)
