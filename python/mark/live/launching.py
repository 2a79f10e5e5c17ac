"""Carries launches out: all of an offering at once where the cloud sells so, one after the other where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mark.domain.artifact import ModelArtifact
from mark.domain.fleet import Instance
from mark.domain.plan import Launch
from mark.errors import CloudError
from mark.ports import Cloud, Wholesale

__all__ = ["launch_all"]

_Outcome = tuple[Launch, Instance | CloudError]


def launch_all(cloud: Cloud, artifact: ModelArtifact, launches: Sequence[Launch]) -> list[_Outcome]:
    """Launch, and say for each launch which instance it is, or why there is none. Takes as long as the cloud does.

    The order is kept among launches of an offering, and among the first ones of each.
    """
    by_offering: dict[str, list[Launch]] = {}
    for launch in launches:
        by_offering.setdefault(launch.offering, []).append(launch)
    return [outcome for same in by_offering.values() for outcome in _launch_same(cloud, artifact, same)]


def _launch_same(cloud: Cloud, artifact: ModelArtifact, launches: Sequence[Launch]) -> Iterator[_Outcome]:
    if len(launches) > 1 and isinstance(cloud, Wholesale):
        try:
            found = cloud.launch_many(launches[0].offering, artifact, [launch.token for launch in launches])
        except CloudError as error:
            found = [error] * len(launches)
        yield from zip(launches, found, strict=True)
        return
    for launch in launches:
        try:
            yield launch, cloud.launch(launch.offering, artifact, launch.token)
        except CloudError as error:
            yield launch, error
