"""The prices of the MArk paper: AWS us-east-1, Linux, 2018, in dollars per hour.

On-demand prices: those of 2018, which the tables of Zhang, Yu, Wang, Yan: MArk, USENIX ATC 2019, follow.

Assumed: the spot prices, as 40 % of the on-demand price for c5 and 30 % for p2. The paper has no table of them.
"""

from __future__ import annotations

from mark.cloud.catalog.burstables import burstable_of
from mark.cloud.catalog.entry import Catalog, CatalogEntry

__all__ = ["AWS_2018"]

_ON_DEMAND = {
    "c5.large": 0.085,
    "c5.xlarge": 0.17,
    "c5.2xlarge": 0.34,
    "c5.4xlarge": 0.68,
    "m5.large": 0.096,
    "p2.xlarge": 0.90,
    "t2.medium": 0.0464,
}
_ASSUMED_SPOT_SHARES = {"c5": 0.40, "p2": 0.30}  # of the on-demand price, by family


def _entry(instance_type: str, usd_per_hour: float) -> CatalogEntry:
    share = _ASSUMED_SPOT_SHARES.get(instance_type.partition(".")[0])
    spot = None if share is None else round(usd_per_hour * share, 6)
    return CatalogEntry(instance_type, usd_per_hour, spot, spot, burstable_of(instance_type))


AWS_2018 = Catalog(
    name="aws-2018",
    entries=tuple(_entry(instance_type, usd_per_hour) for instance_type, usd_per_hour in _ON_DEMAND.items()),
    price_note="prices are AWS us-east-1, 2018, as in the MArk paper",
    spot_note="assumed: spot prices are 40 % (c5) and 30 % (p2) of on-demand ones; the paper gives none",
)
