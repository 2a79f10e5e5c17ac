"""CBOR, as the fake AWS reads and writes it: there and back, and against bytes of RFC 8949's appendix A."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mark.testing.aws import cbor

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_values_come_back(value: object) -> None:
    assert cbor.loads(cbor.dumps(value)) == value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("1903e8", 1000),
        ("3903e7", -1000),
        ("fb3ff199999999999a", 1.1),
        ("f93c00", 1.0),
        ("6449455446", "IETF"),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
        ("c11a514b67b0", datetime(2013, 3, 21, 20, 4, tzinfo=timezone.utc)),
    ],
)
def test_known_bytes_are_read(data: str, value: object) -> None:
    assert cbor.loads(bytes.fromhex(data)) == value


@pytest.mark.parametrize("data", ["", "19", "6449", "a161", "82", "0000", "9f01"])
def test_bytes_that_are_cut_short_are_refused(data: str) -> None:
    with pytest.raises(ValueError, match="CBOR"):
        cbor.loads(bytes.fromhex(data))


def test_a_time_is_written_as_seconds() -> None:
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    assert cbor.loads(cbor.dumps(at)) == at
    with pytest.raises(TypeError, match="object"):
        cbor.dumps(object())
