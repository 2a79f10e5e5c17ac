"""How the local cloud takes spot instances away."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mark.cloud.spot_market import SpotMarketParams
from mark.config.values import INT32_MAX, NotBool, Seconds, Section, Share

__all__ = ["SpotConfig"]


class SpotConfig(Section):
    """Interruptions of spot offerings, and what follows them; how often they are is said by each offering."""

    notice_s: Seconds = 120.0
    taken_share: Share = 0.5
    sold_out_after_s: Seconds = 240.0
    seed: Annotated[int, Field(ge=0, le=INT32_MAX), NotBool] = 0

    def as_params(self) -> SpotMarketParams:
        """As the clouds take it."""
        return SpotMarketParams(self.notice_s, self.taken_share, self.sold_out_after_s)
