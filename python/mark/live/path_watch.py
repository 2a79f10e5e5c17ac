"""Writes down what happens on the request path of a model whose workers are all foreign: nothing controls its fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from mark.controlplane.chronicle import Chronicle, Entry, Scene
from mark.controlplane.snapshot import Snapshot
from mark.controlplane.tallies import Tallies
from mark.domain.record import RecordKind
from mark.live.request_path import RequestPath
from mark.live.tally import tally_of
from mark.ports import Clock

__all__ = ["watch_path"]

_LOOK_S = 1.0
_QUIET_S = 5.0


async def watch_path(path: RequestPath, chronicle: Chronicle, clock: Clock, served: Mapping[str, Any]) -> None:
    """Look once a second until cancelled; bursts of refusals become records.

    Args:
        path: of the model.
        chronicle: of the model.
        clock: the time.
        served: what the first record is to say of the model.
    """

    def scene() -> Scene:
        return Scene(Snapshot(clock.now_ns(), ()))

    tallies = Tallies(chronicle, _QUIET_S)
    chronicle.write(Entry(RecordKind.START, "the model is served by workers of others", details=served), scene())
    try:
        while True:
            tallies.look(tally_of(path, instances_usd=0.0), scene())
            await asyncio.sleep(_LOOK_S)
    finally:
        tallies.look(tally_of(path, instances_usd=0.0), scene())
        tallies.end(scene())
        entry = Entry(RecordKind.STOP, "the model is not served any more", details=tallies.details())
        chronicle.write(entry, scene())
