"""What a cluster has cost by EC2's rules, and how `mark aws` says that boto3 is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("boto3")
pytest.importorskip("moto")

from unit.aws_cluster import CONFIG, SETTINGS, mark_aws, run_instance
from unit.test_aws_policy import run_without_boto3

from mark.cloud.aws import tags
from mark.cloud.aws.cost import cost_lines, machine_usd, volumes_usd_per_hour
from mark.cloud.aws.machines import Machine
from mark.cloud.aws.pools import Pool
from mark.cloud.aws.session import AwsSession
from mark.domain.fleet import TAKEN_AWAY
from mark.domain.offering import Market
from mark.testing.aws import FakeAws

CPU = Machine("i-1", "running", Pool("c5.large", "a", Market.ON_DEMAND), {tags.OFFERING: "cpu"}, launched_at_s=1000.0)
SPOT = replace(CPU, id="i-2", pool=Pool("c5.large", "a", Market.SPOT), tags={tags.OFFERING: "spot"})


def ended(machine: Machine, at_s: float, detail: str = "") -> Machine:
    return replace(machine, state="terminated", changed_at_s=at_s, detail=detail)


@pytest.mark.parametrize(
    ("machine", "billed_s"),
    [
        (CPU, 7200),
        (replace(CPU, launched_at_s=8195.0), 60),  # a minute at least
        (ended(CPU, 1030.0), 60),
        (ended(CPU, 1090.0), 90),
        (ended(SPOT, 1090.0), 90),  # ended by us
        (ended(SPOT, 4599.0, TAKEN_AWAY), 0),
        (ended(SPOT, 4600.0, TAKEN_AWAY), 3600),
        (replace(CPU, state="stopped", changed_at_s=1300.0), 300),
    ],
)
def test_seconds_are_billed_a_minute_at_least_and_nothing_of_what_ec2_took_in_its_first_hour(
    machine: Machine, billed_s: float
) -> None:
    assert machine_usd(machine, 3600.0, now_s=8200.0) == pytest.approx(billed_s)


class Prices:
    """A book with one price for each market, and one that spot had on average."""

    def __init__(self, on_demand: float, spot: float | None, mean: float | None = None) -> None:
        self._now = {Market.ON_DEMAND: on_demand, Market.SPOT: spot}
        self._mean = mean
        self.asked: list[tuple[float, float]] = []

    def pool_price(self, pool: Pool) -> float | None:
        return self._now[pool.market]

    def mean_price(self, _: Pool, began_s: float, ended_s: float) -> float | None:
        self.asked.append((began_s, ended_s))
        return self._mean


def test_spot_has_cost_what_it_was_billed_and_not_what_it_costs_now() -> None:
    prices = Prices(0.36, 0.36, mean=0.1)
    (line,) = cost_lines([SPOT, ended(SPOT, 4600.0)], prices, now_s=8200.0)

    assert line.usd_per_hour == 0.36
    assert line.usd == pytest.approx(0.1 * 2 + 0.1 * 1)
    assert prices.asked == [(1000.0, 8200.0), (1000.0, 4600.0)]


def test_a_line_for_each_offering_and_market() -> None:
    machines = [CPU, replace(CPU, id="i-3", state="stopped", changed_at_s=1060.0), ended(SPOT, 1060.0)]
    cpu, spot = cost_lines(machines, Prices(0.36, None), now_s=4600.0)

    assert (cpu.offering, cpu.market, cpu.running, cpu.stopped, cpu.ended) == ("cpu", "on demand", 1, 1, 0)
    assert cpu.usd_per_hour == 0.36
    assert cpu.usd == pytest.approx(0.366)
    assert (spot.offering, spot.ended, spot.usd, spot.unpriced) == ("spot", 1, 0.0, 1)


def test_volumes_cost_as_long_as_they_are_there() -> None:
    assert volumes_usd_per_hour([{"Size": 73}, {"Size": 0}]) == pytest.approx(0.008)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    with FakeAws() as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


def test_the_command_says_what_runs_and_what_it_costs(aws: FakeAws, tmp_path: Path) -> None:
    session = AwsSession(SETTINGS)
    run_instance(session, "cpu", "c5.xlarge")
    run_instance(session, "spot", "c5.large", spot=True)
    code, said = mark_aws(tmp_path, "cost", "--json")
    report = json.loads(said)

    assert code == 0
    assert [(line["offering"], line["running"]) for line in report["lines"]] == [("cpu", 1), ("spot", 1)]
    assert report["lines"][0]["usd_per_hour"] == 0.17
    assert report["lines"][0]["usd"] == pytest.approx(0.17 / 60)
    assert report["usd_per_hour"] > 0.17 + 0.03
    assert report["prices_age_s"] < 60

    code, said = mark_aws(tmp_path, "cost")
    assert (code, "prices are 0.0 h old" in said) == (0, True)


def test_nothing_costs_nothing(aws: FakeAws, tmp_path: Path) -> None:
    code, said = mark_aws(tmp_path, "cost", "--json")

    assert (code, json.loads(said)["usd_per_hour"]) == (0, 0)


@pytest.mark.parametrize("command", ["check", "bootstrap", "teardown", "cost"])
def test_without_boto3_every_command_says_what_to_install(command: str, tmp_path: Path) -> None:
    path = tmp_path / "mark.yaml"
    path.write_text(CONFIG)
    done = run_without_boto3("aws", command, str(path))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mark: AWS needs boto")
    assert "pip install 'mark-serve[aws]'" in done.stderr
