"""Launches of one decision, carried out on clouds that sell one by one and on one that sells many at once."""

from __future__ import annotations

from collections.abc import Sequence

from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance
from mark.domain.offering import Market, Offering
from mark.domain.plan import Launch
from mark.domain.signature import ModelSignature, TensorSpec
from mark.errors import CloudError, InsufficientCapacity, Throttled
from mark.live.launching import launch_all
from mark.testing import FakeCloud, ManualClock

OFFERINGS = [
    Offering(name, Market.ON_DEMAND, price_usd_per_hour=0.1, boot_s=1.0, max_count=4) for name in ("small", "large")
]
ARTIFACT = ModelArtifact(
    ModelSignature("m", "1", (TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),), 8), "python", "a:b"
)


class WholesaleCloud(FakeCloud):
    """Sells many at once, as long as stocks last."""

    def __init__(self) -> None:
        super().__init__(OFFERINGS, ManualClock())
        self.calls: list[tuple[str, int]] = []
        self.fault: CloudError | None = None

    def launch_many(
        self, offering: str, artifact: ModelArtifact, tokens: Sequence[str]
    ) -> Sequence[Instance | CloudError]:
        self.calls.append((offering, len(tokens)))
        if self.fault is not None:
            raise self.fault
        outcomes: list[Instance | CloudError] = []
        for token in tokens:
            try:
                outcomes.append(self.launch(offering, artifact, token))
            except CloudError as error:
                outcomes.append(error)
        return outcomes


def launches(*offerings: str) -> list[Launch]:
    return [Launch(offering, f"t{index}", "because") for index, offering in enumerate(offerings)]


def test_one_by_one_each_has_its_outcome() -> None:
    cloud = FakeCloud(OFFERINGS, ManualClock())
    cloud.fail_next_launch("small")

    outcomes = launch_all(cloud, ARTIFACT, launches("small", "small", "large"))

    assert [(launch.token, type(outcome)) for launch, outcome in outcomes] == [
        ("t0", InsufficientCapacity), ("t1", Instance), ("t2", Instance),
    ]  # fmt: skip


def test_what_is_sold_together_is_one_call_for_each_offering_and_a_single_one_a_plain_launch() -> None:
    cloud = WholesaleCloud()
    cloud.fail_next_launch("small")

    outcomes = launch_all(cloud, ARTIFACT, launches("small", "large", "small", "small"))

    assert cloud.calls == [("small", 3)]
    assert [(launch.token, type(outcome)) for launch, outcome in outcomes] == [
        ("t0", InsufficientCapacity), ("t2", Instance), ("t3", Instance), ("t1", Instance),
    ]  # fmt: skip


def test_a_call_that_fails_is_the_outcome_of_each() -> None:
    cloud = WholesaleCloud()
    cloud.fault = Throttled("slower")

    assert [outcome for _, outcome in launch_all(cloud, ARTIFACT, launches("small", "small"))] == [cloud.fault] * 2
