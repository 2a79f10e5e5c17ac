"""`Control.Watch` of a router that serves: what was, then what comes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from integration.conftest import INGRESSES
from integration.router_process import CONFIG, RouterProcess

from mark.domain.record import Record
from mark.domain.sample import ModelSample
from mark.protocol import messages


def watch(channel: grpc.Channel, after: str = "") -> Iterator[Any]:
    call = channel.unary_stream(messages.WATCH, response_deserializer=messages.WatchEvent.FromString)
    events: Iterator[Any] = call(messages.WatchRequest(after=after).SerializeToString(), timeout=30)
    return events


def test_the_past_is_told_then_a_sample_a_second(router: RouterProcess) -> None:
    with grpc.insecure_channel(router.address) as channel:
        began, told = time.monotonic(), []
        for event in watch(channel):
            told.append(event)
            if [each.kind for each in told].count("sample") == 3:
                break
        took_s = time.monotonic() - began

    kinds = [event.kind for event in told]
    past = kinds[: kinds.index("now")]
    assert past[0] == "hello"
    assert set(past) <= {"hello", "history", "records"}
    assert [model["name"] for model in json.loads(told[0].json)["models"]] == ["doubler"]
    samples = [ModelSample.from_dict(json.loads(event.json)) for event in told if event.kind == "sample"]
    assert [sample.model for sample in samples] == ["doubler"] * 3
    assert samples[0].unix_s < samples[1].unix_s < samples[2].unix_s
    assert samples[-1].instances == {"on_demand": {"ready": 2}}
    assert took_s < 6
    records = [record for event in told if event.kind == "records" for record in json.loads(event.json)["records"]]
    assert {Record.from_dict(record).model for record in records} <= {"doubler"}


def test_who_comes_back_is_told_what_was_missed(router: RouterProcess) -> None:
    with grpc.insecure_channel(router.address) as channel:
        seen = next(event for event in watch(channel) if event.kind == "sample")
        missed = next(event for event in watch(channel) if event.kind == "sample" and event.id != seen.id)
        again = next(watch(channel, after=seen.id))
        stranger = next(watch(channel, after="another-1"))

    assert again.kind in {"sample", "record"}
    assert again.id != seen.id
    assert int(again.id.rpartition("-")[2]) == int(seen.id.rpartition("-")[2]) + 1 <= int(missed.id.rpartition("-")[2])
    assert stranger.kind == "hello"


@pytest.mark.parametrize("ingress", INGRESSES)
def test_who_looks_on_does_not_hold_the_stop_up(make_router: Callable[..., RouterProcess], ingress: str) -> None:
    # Much longer than a stop takes: whoever is waited for is waited for that long.
    router = make_router(CONFIG.replace("drain_s: 5", "drain_s: 90"), "--set", f"server.ingress={ingress}")
    with grpc.insecure_channel(router.address) as channel:
        events = watch(channel)
        next(events)
        began = time.monotonic()
        assert router.stop(timeout_s=100.0) == 0
        with contextlib.suppress(grpc.RpcError):  # the connection may be closed before the end of the stream is read
            list(events)
        assert time.monotonic() - began < 30
