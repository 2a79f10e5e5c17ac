"""What an agent does again and again goes on, whatever it meets."""

from __future__ import annotations

import logging
import threading

import pytest

pytest.importorskip("boto3")

from mark.cloud.aws.agent import _repeatedly
from mark.errors import CloudError


def test_neither_what_aws_refuses_nor_a_fault_of_mark_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    ended, enough, calls = threading.Event(), threading.Event(), 0

    def act() -> None:
        nonlocal calls
        calls += 1
        if calls >= 6:
            enough.set()
        if calls % 3 == 1:
            raise KeyError("QueueUrl")
        if calls % 3 == 2:
            raise CloudError("denied")

    with caplog.at_level(logging.WARNING):
        _repeatedly(act, 0.001, ended)
        assert enough.wait(10.0)
        ended.set()

    assert {"denied", "a fault of mark; it goes on"} <= {record.message for record in caplog.records}
