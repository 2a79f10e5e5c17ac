"""How much the benches of the paper simulate: all of it, or a little when they only run among the tests."""

from __future__ import annotations

import pytest
from bench.paper.runs import FULL, QUICK, Extent
from bench.paper.table import Show, Table


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("benchmark_disable"))


@pytest.fixture
def extent(quick: bool) -> Extent:
    return QUICK if quick else FULL


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """Prints a table past pytest's capture."""

    def print_it(table: Table) -> None:
        with capsys.disabled():
            print(table.as_text())

    return print_it
