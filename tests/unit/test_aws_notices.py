"""Notices: what messages say, and which of them are news."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mark.cloud.aws.notices import News, Notice, NoticeKind, read_notice

INTERRUPTION = NoticeKind.INTERRUPTION


def event(kind: str, detail: object, time: str = "2026-01-01T00:00:00Z") -> str:
    return json.dumps({"source": "aws.ec2", "detail-type": kind, "time": time, "detail": detail})


def test_an_interruption_comes_two_minutes_after_its_notice() -> None:
    notice = read_notice(event(INTERRUPTION.value, {"instance-id": "i-1", "instance-action": "terminate"}))

    assert notice == Notice(INTERRUPTION, "i-1", 1767225600 + 120)


def test_an_agent_knows_the_very_time() -> None:
    detail = {"instance-id": "i-1", "instance-action": "terminate", "time": "2026-01-01T00:01:00Z"}

    assert read_notice(event(INTERRUPTION.value, detail)).at_s == 1767225600 + 60


def test_other_notices_are_read() -> None:
    assert read_notice(event(NoticeKind.REBALANCE.value, {"instance-id": "i-1"})).kind is NoticeKind.REBALANCE
    changed = read_notice(event(NoticeKind.STATE_CHANGE.value, {"instance-id": "i-1", "state": "terminated"}))
    assert (changed.kind, changed.state) == (NoticeKind.STATE_CHANGE, "terminated")


@pytest.mark.parametrize(
    "body",
    [
        "", "nonsense", "[]", "7", '{"detail": 7}', event("Something Else", {"instance-id": "i"}),
        event(INTERRUPTION.value, {}), event(INTERRUPTION.value, {"instance-id": 7}),
        event(INTERRUPTION.value, {"instance-id": "i"}, time="yesterday"),
        json.dumps({"detail-type": INTERRUPTION.value, "detail": {"instance-id": "i"}}),
        json.dumps({"detail-type": INTERRUPTION.value, "time": 7, "detail": {"instance-id": "i"}}),
        json.dumps({"detail-type": [], "time": "x", "detail": {}}),
    ],
)  # fmt: skip
def test_what_is_no_notice_says_so(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_notice(body)


def test_a_notice_is_news_once() -> None:
    news, first = News(0), Notice(INTERRUPTION, "i-1", 5.0)

    assert news.is_news(first)
    assert not news.is_news(Notice(INTERRUPTION, "i-1", 6.0))
    assert news.is_news(Notice(INTERRUPTION, "i-2", 5.0))
    assert news.is_news(Notice(NoticeKind.REBALANCE, "i-1", 5.0))
    assert news.is_news(Notice(NoticeKind.STATE_CHANGE, "i-1", 5.0, "running"))
    assert news.is_news(Notice(NoticeKind.STATE_CHANGE, "i-1", 5.0, "terminated"))


def test_recommendations_are_followed_so_often_in_an_hour() -> None:
    news, minute = News(2), 60 * 10**9

    assert [news.may_rebalance(at * minute) for at in (0, 1, 2, 59, 60, 60)] == [True, True, False, False, True, False]
    assert not News(0).may_rebalance(0)


def test_what_was_told_is_forgotten_in_the_end() -> None:
    news: Any = News(0)
    for number in range(10_001):
        news.is_news(Notice(INTERRUPTION, f"i-{number}", 0.0))

    assert len(news._known) == 10_000
