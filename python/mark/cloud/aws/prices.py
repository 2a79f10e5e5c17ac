"""What instances cost at the moment, as far as it is known."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from mark.cloud.aws.errors import translated
from mark.cloud.aws.pools import Pool
from mark.cloud.aws.price_lists import on_demand_prices, spot_changes
from mark.cloud.aws.session import AwsSession
from mark.cloud.aws.settings import AwsOffering, AwsSettings
from mark.cloud.aws.spot_history import SpotHistory
from mark.cloud.catalog.aws_us_east_1 import AWS_US_EAST_1
from mark.domain.offering import Market, Offering
from mark.errors import CloudError

__all__ = ["BUILT_IN_AT_S", "PresentPrices"]

_log = logging.getLogger(__name__)

BUILT_IN_AT_S = datetime(2026, 7, 20, tzinfo=timezone.utc).timestamp()  # of the table that mark comes with
_ON_DEMAND_S = 86_400.0  # AWS changes these a few times a year
_PAST_S = 86_400.0
_EARLY_SHARE = 0.05  # of the time between two calls: whoever calls at that pace must not come a moment too soon
_PRICING_REGION = "us-east-1"  # the Price List API answers in few regions, for all of them


class PresentPrices:
    """The prices of a cluster's offerings: first those of the configuration, then what AWS last said.

    An offering costs as much as the dearest pool, a type in a zone, that it may be bought from: EC2 chooses the
    pool, so a plan at that price never costs more than it said. For a cheaper plan, name fewer types or zones.

    What cannot be had is kept from the last time.
    It knows no clock but the one that it is given. Implements `PriceBook` and `PoolPrices`.

    Thread safety: every method may be called from any thread. Only `refresh` waits for AWS, and holds no lock then.

    Invariant: prices only ever get newer.
    """

    def __init__(self, settings: AwsSettings, session: AwsSession, now_s: Callable[[], float] = time.time) -> None:
        """Know what the configuration and the built-in table say.

        Args:
            settings: region, offerings and how often spot prices are read.
            session: to ask AWS with.
            now_s: seconds since 1970.
        """
        self._settings = settings
        self._session = session
        self._now_s = now_s
        self._lock = threading.Lock()
        self._on_demand: dict[str, float] = {}
        self._history = SpotHistory()
        self._spot: Mapping[tuple[str, str], float] = {}  # of now
        self._on_demand_at_s: float | None = None
        self._spot_at_s: float | None = None
        self._asked_s: dict[Market, float] = {}

    def price(self, offering: AwsOffering) -> float:
        """Dollars per hour that an instance of the offering costs now, at most."""
        with self._lock:
            known = self._known(offering)
        return offering.offering.price_usd_per_hour if known is None else known

    def priced(self, offering: AwsOffering) -> Offering:
        """What the planner is told of the offering."""
        return replace(offering.offering, price_usd_per_hour=self.price(offering))

    def pool_price(self, pool: Pool) -> float | None:
        """Dollars per hour of one type in one zone now; None when nobody said."""
        with self._lock:
            if pool.market is Market.SPOT:
                return self._spot.get((pool.instance_type, pool.zone))
            if pool.instance_type in self._on_demand:
                return self._on_demand[pool.instance_type]
        entry = AWS_US_EAST_1.entry(pool.instance_type)
        return None if entry is None else entry.on_demand_usd_per_hour

    def mean_price(self, pool: Pool, began_s: float, ended_s: float) -> float | None:
        """What a spot machine is billed on average, by the prices at the beginning of each of its hours."""
        with self._lock:
            return self._history.mean((pool.instance_type, pool.zone), began_s, ended_s)

    @property
    def age_s(self) -> float:
        """Seconds since the oldest price in use was true; of the built-in table where AWS said nothing yet."""
        return max((self._now_s() - at_s for at_s in self.dates_s().values()), default=0.0)

    def dates_s(self) -> Mapping[str, float]:
        """When the prices of each market that is rented from were true, in seconds since 1970."""
        with self._lock:
            known = {True: self._spot_at_s, False: self._on_demand_at_s}
        dates = {}
        for offering in self._settings.offerings:
            at_s = known[offering.offering.market is Market.SPOT]
            dates["spot" if offering.offering.market is Market.SPOT else "on demand"] = at_s or BUILT_IN_AT_S
        return dates

    def refresh(self) -> None:
        """Ask AWS for what is due: on-demand prices once a day, spot prices once in `rhythm.prices_s`.

        What fails is logged, and asked for again when spot prices are due. Never raises a `CloudError`.
        """
        for market, ask in ((Market.ON_DEMAND, self.refresh_on_demand), (Market.SPOT, self.refresh_spot)):
            if not self._due(market):
                continue
            try:
                ask()
            except CloudError as error:
                _log.warning("prices of %.0f h ago hold: %s", self.age_s / 3600, error)

    def refresh_on_demand(self) -> None:
        """Ask for the on-demand prices of the offerings' types now.

        Raises:
            CloudError: they cannot be had; those that were known hold.
        """
        types = {each for offering in self._offered(spot=False) for each in offering.types}
        if not types:
            return
        try:
            client = self._session.client("pricing", _PRICING_REGION)
            found = on_demand_prices(client, self._settings.region, sorted(types))
        except Exception as error:
            raise translated(error, "asking for on-demand prices") from error
        with self._lock:
            self._on_demand |= found
            if types <= found.keys():
                self._on_demand_at_s = self._now_s()
                return
        missing = ", ".join(sorted(types - found.keys()))
        raise CloudError(f"AWS has no on-demand price of {missing} in {self._settings.region}")

    def refresh_spot(self) -> None:
        """Ask for the spot prices of the offerings' types and zones now, and since they were last asked for.

        The first time those of a day are asked for: instances that run already are billed by them.

        Raises:
            CloudError: they cannot be had; those that were known hold.
        """
        offered = self._offered(spot=True)
        types = {each for offering in offered for each in offering.types}
        if not types:
            return
        zones = (
            set() if any(not self._zones(each) for each in offered) else {z for o in offered for z in self._zones(o)}
        )
        now_s = self._now_s()
        try:
            since_s = now_s - _PAST_S if self._spot_at_s is None else self._spot_at_s
            since = datetime.fromtimestamp(since_s, tz=timezone.utc)
            found = spot_changes(self._session.client("ec2"), types, zones, since)
        except Exception as error:
            raise translated(error, "asking for spot prices") from error
        if not found:
            raise CloudError(f"{self._settings.region} has no spot prices of {', '.join(sorted(types))}")
        with self._lock:
            self._history.add(found)
            self._spot = self._history.present()
            self._spot_at_s = now_s

    def _due(self, market: Market) -> bool:
        now_s, again_s = self._now_s(), self._settings.rhythm.prices_s
        early_s = _EARLY_SHARE * again_s
        with self._lock:
            known_at_s = self._spot_at_s if market is Market.SPOT else self._on_demand_at_s
            lasts_s = again_s if market is Market.SPOT else max(again_s, _ON_DEMAND_S)
            if known_at_s is not None and now_s - known_at_s < lasts_s - early_s:
                return False
            if market in self._asked_s and now_s - self._asked_s[market] < again_s - early_s:
                return False
            self._asked_s[market] = now_s
            return True

    def _offered(self, *, spot: bool) -> list[AwsOffering]:
        return [each for each in self._settings.offerings if (each.offering.market is Market.SPOT) == spot]

    def _zones(self, offering: AwsOffering) -> tuple[str, ...]:
        return offering.zones or tuple(self._settings.subnets)

    def _known(self, offering: AwsOffering) -> float | None:
        """The dearest price of its pools; None as long as a type has none."""
        if offering.offering.market is not Market.SPOT:
            prices = [self._on_demand.get(each) for each in offering.types]
        else:
            zones = self._zones(offering)
            prices = [
                max(
                    (
                        price
                        for (kind, zone), price in self._spot.items()
                        if kind == each and (not zones or zone in zones)
                    ),
                    default=None,
                )
                for each in offering.types
            ]
        known = [price for price in prices if price is not None]
        return max(known) if known and len(known) == len(prices) else None
