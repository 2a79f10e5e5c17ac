"""What a router answers when it is asked to take spot instances away."""

from __future__ import annotations

from typing import Any

import pytest
from contract.cloud_world import ARTIFACT, OFFERINGS

from mark.errors import InvalidRequest, ModelNotFound
from mark.live.chaos import interrupt
from mark.protocol import messages
from mark.testing import FakeCloud, ManualClock

MODELS = {"m", "n"}


class Steadfast:
    """A cloud that takes nothing away: of the port, it has nothing that is asked for here."""


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cloud = FakeCloud(OFFERINGS, self.clock)
        self.spot = self.cloud.launch("slow", ARTIFACT, "a")

    async def interrupt(self, **fields: Any) -> Any:
        return await interrupt(messages.InterruptRequest(**fields), self.cloud, MODELS, self.clock)


async def test_those_that_are_hit_are_named_with_what_is_left_of_their_notice() -> None:
    world = World()

    (hit,) = (await world.interrupt(share=0.5, model="m", notice_s=4.0)).instances

    assert (hit.id, hit.offering, hit.model, hit.notice_s) == (world.spot.id, "slow", "m", 4.0)


async def test_without_a_notice_the_clouds_own_is_given() -> None:
    (hit,) = (await World().interrupt(share=1.0)).instances

    assert hit.notice_s == 120.0


async def test_another_models_are_left_alone() -> None:
    assert not (await World().interrupt(share=1.0, model="n")).instances


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"share": 0.0}, InvalidRequest, r"share: must lie in \(0, 1\], not 0"),
        ({"share": 1.5}, InvalidRequest, r"share: must lie in \(0, 1\], not 1.5"),
        ({"share": float("nan")}, InvalidRequest, "share"),
        ({"share": 1.0, "notice_s": -1.0}, InvalidRequest, "notice_s: must lie between 0 and 86400, not -1"),
        ({"share": 1.0, "notice_s": float("nan")}, InvalidRequest, "notice_s"),
        ({"share": 1.0, "model": "o"}, ModelNotFound, "unknown model 'o'; served are m, n"),
    ],
)
async def test_what_makes_no_sense_is_refused(fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await World().interrupt(**fields)


async def test_a_cloud_that_takes_nothing_away_on_command_says_so() -> None:
    request = messages.InterruptRequest(share=1.0)

    with pytest.raises(InvalidRequest, match="takes no instances away on command; only the local one does"):
        await interrupt(request, Steadfast(), MODELS, ManualClock())  # type: ignore[arg-type]
