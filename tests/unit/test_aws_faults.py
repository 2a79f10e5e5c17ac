"""Every fault of AWS times every call of the driver: what it comes to, and how often AWS is asked.

The table is that of docs/aws.md. boto3's pauses and the driver's pass in virtual time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from unit.aws_faulty_calls import CALLS
from unit.aws_faulty_world import Aws, faulty_aws

from mark.domain.fleet import Instance
from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded, Throttled

DOCUMENT = Path(__file__).parents[2] / "docs" / "aws.md"
TRIES_MAX = 3  # boto3's own, within one call
TEN_MINUTES_S = 600.0
CALLS_MAX = 300  # in ten minutes: thirty a minute, as the whole driver may cost in peace
LOST = "lease lost"


def rows_after(first: str) -> Iterator[list[str]]:
    """The cells of the table that begins with a row whose first cell is this."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    for line in lines[start:]:
        if not line.startswith("|"):
            return
        if not line.startswith("|--"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def table() -> dict[tuple[str, str], str]:
    """(call, fault) -> the word for what it comes to."""
    (_, *faults), *rows = rows_after("Call")
    return {(row[0], fault): word for row in rows for fault, word in zip(faults, row[1:], strict=True)}


def answers() -> dict[str, list[str]]:
    """Fault -> what AWS answers."""
    return {fault: re.findall("`([^`]+)`", what) for fault, what in list(rows_after("Fault"))[1:]}


TABLE, ANSWERS = table(), answers()


def ways(call: str, fault: str) -> list[str]:
    """In which ways a call fails by a fault; "+" before a code: it is done, and its answer is an error."""
    if fault in {"no connection", "no answer", "nonsense", LOST, "some of it"}:
        return [fault]
    if fault == "not there":
        return [CALLS[call].missing]
    return [*ANSWERS[fault], *([f"+{ANSWERS[fault][0]}"] if "after" in dict(rows_after("Fault"))[fault] else [])]


CELLS = [
    pytest.param(call, fault, way, word, id=f"{call}-{way}")
    for (call, fault), word in TABLE.items()
    if word != "-"
    for way in ways(call, fault)
]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with faulty_aws(tmp_path_factory.mktemp("aws")) as faulty:
        yield faulty


class Trial:
    """One call, the way in which it fails, and what the driver did about it."""

    def __init__(self, aws: Aws, call: str, way: str) -> None:
        self.aws = aws
        self.world = aws.world()
        self.call = CALLS[call](self.world)
        self.way = way
        self.call.prepare()
        self.calls_before = self.calls

    @property
    def calls(self) -> int:
        return self.aws.calls[self.call.operation]

    @property
    def made(self) -> int:
        return self.calls - self.calls_before

    def begin(self) -> None:
        """From now on it fails."""
        if self.way == LOST:
            self.world.lose_lease()
        elif self.way == "some of it":
            self.aws.fake.sell_out("c5.large", available=1)
            self.aws.fake.sell_out("c5a.large", available=0)
        else:
            types = self.call.types if self.way in ANSWERS["no capacity"] + ANSWERS["quota"] else ()
            self.aws.fail(self.call.operation, self.way.lstrip("+"), types, after=self.way.startswith("+"))
        self.calls_before = self.calls

    def attempt(self) -> CloudError | None:
        """Let the driver do it; what it raised."""
        before = self.calls
        try:
            self.call.act()
        except CloudError as error:
            return error
        finally:
            assert self.calls - before <= TRIES_MAX * 2
        return None

    def mend(self) -> None:
        """From now on it works again."""
        self.aws.mend()
        for kind in ("c5.large", "c5a.large"):
            self.aws.fake.sell_out(kind, available=None)

    def later(self, seconds: float) -> None:
        """So much later, by a router that still leads."""
        self.world.clock.advance_s(seconds)
        self.world.renew()

    def close(self) -> None:
        self.mend()
        getattr(self.call, "close", lambda: None)()
        running = [*self.world.machines("worker"), *self.world.machines("standby")]
        if running:
            self.aws.session.client("ec2").terminate_instances(InstanceIds=running)


def told(trial: Trial) -> None:
    error = trial.attempt()
    assert error is not None
    if trial.way in ANSWERS["denied"]:
        assert "mark aws check" in str(error)
    elif trial.way in {"RequestLimitExceeded", "SlowDown"}:
        assert isinstance(error, Throttled)
    assert 1 <= trial.made <= TRIES_MAX
    assert not trial.call.done() or trial.way.startswith("+")
    trial.mend()
    trial.attempt()
    assert trial.call.done()


def left_alone(trial: Trial) -> None:
    unavailable_s = trial.world.settings.rhythm.unavailable_s
    for after_s in (unavailable_s, 2 * unavailable_s):
        before = trial.calls
        first = trial.attempt()
        assert trial.calls > before
        assert isinstance(first, InsufficientCapacity | QuotaExceeded) or not trial.call.tells
        asked = trial.calls
        trial.later(0.9 * after_s)
        again = trial.attempt()
        assert trial.calls == asked
        assert not trial.call.tells or type(again) is type(first)
        trial.later(0.2 * after_s)
    trial.mend()
    trial.attempt()
    assert trial.call.done()


def part(trial: Trial) -> None:
    world = trial.world
    found = world.cloud.launch_many("many", world.artifact, [world.token() for _ in range(3)])
    assert [type(each) for each in found] == [Instance, InsufficientCapacity, InsufficientCapacity]
    assert (trial.made, len(world.machines("worker"))) == (1, 1)
    asked = trial.calls
    assert isinstance(trial.attempt(), InsufficientCapacity)
    assert trial.calls <= asked + 1


def asked_again(trial: Trial) -> None:
    error = trial.attempt()
    assert error is not None or not trial.call.tells
    assert 1 <= trial.made <= TRIES_MAX
    assert trial.world.keys("intents/")
    trial.mend()
    trial.world.look()
    assert trial.call.done()
    trial.world.look()
    assert not trial.world.keys("intents/")


def again(trial: Trial) -> None:
    error = trial.attempt()
    assert error is None or trial.call.tells
    assert trial.made >= 1
    assert not trial.call.done() or trial.way.startswith("+")
    trial.mend()
    trial.later(2 * trial.world.settings.rhythm.unavailable_s)
    for _ in range(2):
        trial.attempt()
    assert trial.call.done()


def elsewhere(trial: Trial) -> None:
    trial.attempt()
    (rented,) = trial.world.cloud.list_instances()
    assert "@" not in str(rented.id)
    assert list(trial.world.machines("worker")) == [rented.id]
    assert len(trial.world.machines("standby")) == 1


def gone(trial: Trial) -> None:
    assert trial.attempt() is None
    assert trial.call.is_given_back  # type: ignore[attr-defined]
    trial.mend()
    assert trial.world.machines("worker")
    trial.later(61.0)
    trial.world.look()
    assert not trial.world.machines("worker")


def held(trial: Trial) -> None:
    lease = trial.world.cloud._lease
    assert trial.attempt() is not None
    lease.check()
    assert max(trial.call.pause_s(None) for _ in range(20)) <= trial.world.settings.rhythm.lease_s / 3
    trial.world.clock.advance_s(trial.world.settings.rhythm.lease_s)
    with pytest.raises(CloudError, match="run out"):
        lease.check()
    trial.mend()
    trial.call.act()
    lease.check()


def kept(trial: Trial) -> None:
    before = trial.call.known()
    error = trial.attempt()
    assert error is not None or not trial.call.tells
    assert trial.made >= 1
    assert trial.call.known() == before
    assert not trial.call.done()
    trial.mend()
    trial.later(trial.world.settings.rhythm.prices_s)
    trial.attempt()
    assert trial.call.done()


def paused(trial: Trial) -> None:
    for pause_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        made = trial.made
        assert isinstance(trial.attempt(), Throttled)
        assert trial.made == made + 1
        trial.world.clock.advance_s(0.9 * pause_s)
        assert isinstance(trial.attempt(), Throttled)
        assert trial.made == made + 1
        trial.world.clock.advance_s(0.2 * pause_s)
    trial.mend()
    assert trial.attempt() is None
    assert trial.call.done()


def billed(trial: Trial) -> None:
    assert trial.attempt() is not None
    assert (trial.made, trial.call.done()) == (1, True)


def not_sent(trial: Trial) -> None:
    error = trial.attempt()
    assert "leads the cluster" in str(error) or not trial.call.tells
    assert trial.made == 0


def goes_on(trial: Trial) -> None:
    trial.attempt()
    assert trial.call.done()


OUTCOMES: dict[str, Callable[[Trial], None]] = {
    "told": told, "left alone": left_alone, "part": part, "asked again": asked_again, "again": again,
    "elsewhere": elsewhere, "gone": gone, "held": held, "kept": kept, "paused": paused, "billed": billed,
    "not sent": not_sent, "goes on": goes_on,
}  # fmt: skip


def test_the_table_names_every_call_and_every_word_is_explained() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")

    assert {call for call, _ in TABLE} == set(CALLS)
    assert {fault for _, fault in TABLE} == set(ANSWERS)
    assert set(TABLE.values()) - {"-"} == set(OUTCOMES)
    assert [word for word in OUTCOMES if f"* *{word}*: " not in document] == []


@pytest.mark.parametrize(("call", "fault", "way", "word"), CELLS)
def test_a_call_that_fails(aws: Aws, call: str, fault: str, way: str, word: str) -> None:
    trial = Trial(aws, call, way)
    try:
        trial.begin()
        OUTCOMES[word](trial)
    finally:
        trial.close()


@pytest.mark.parametrize("way", ["RequestLimitExceeded", "UnauthorizedOperation", "no connection"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_for_ten_minutes_is_not_made_in_a_tight_loop(aws: Aws, call: str, way: str) -> None:
    trial = Trial(aws, call, way)
    try:
        trial.begin()
        until_ns = trial.world.clock.now_ns() + round(TEN_MINUTES_S * 1e9)
        while trial.world.clock.now_ns() < until_ns:
            error = trial.attempt()
            pause_s = trial.call.pause_s(error)
            assert pause_s > 0
            trial.world.clock.advance_s(pause_s)
            if trial.call.operation != "s3:PutObject":
                trial.world.renew()
        assert 1 <= trial.made <= CALLS_MAX
    finally:
        trial.close()


def test_a_template_that_somebody_deleted_is_made_again(aws: Aws) -> None:
    trial = Trial(aws, "RunInstances: one instance", "InvalidLaunchTemplateName.NotFoundException")
    try:
        trial.begin()
        trial.attempt()
        made = aws.calls["ec2:CreateLaunchTemplate"]
        trial.mend()
        trial.attempt()
        assert trial.call.done()
        assert aws.calls["ec2:CreateLaunchTemplate"] == made + 1
    finally:
        trial.close()


def test_a_launch_that_ec2_has_not_answered_for_half_a_day_is_not_made_again(aws: Aws) -> None:
    trial = Trial(aws, "CreateFleet: instances", "+InternalError")
    try:
        trial.begin()
        trial.attempt()
        buying = trial.world.cloud._buying
        (intent,) = buying._unanswered.values()
        buying._unanswered[intent.key] = replace(
            intent, began_at_s=intent.began_at_s - 13 * 3600
        )  # a token of yesterday
        trial.mend()
        asked = trial.calls

        trial.world.look()

        assert trial.calls == asked  # EC2 forgets tokens after a day, and would sell once more
        assert not trial.world.keys("intents/")
        assert len(trial.world.cloud.list_instances()) == 3  # by their tags
    finally:
        trial.close()
