"""What the reference is made of: every key is explained, and pictures are whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from codebase.source_tree import ROOT

EXAMPLE = ROOT / "examples" / "digits.yaml"


@pytest.fixture(autouse=True)
def scripts_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """As MkDocs does for its hooks."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "site"))
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def site_module(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def test_every_key_of_the_configuration_is_explained() -> None:
    assert site_module("configuration_page").unexplained_keys(EXAMPLE) == []


def test_a_comment_explains_the_key_of_its_line_wherever_it_stands() -> None:
    explained = site_module("explained_keys").explained_keys(
        "server:              # who listens\n"
        "  port: 8001         # 0 takes a free one,\n"
        "                     # and says which\n"
        "# aws:               # with provider: aws\n"
        "#   region: x        # whose machines\n"
        "models:\n"
        "  - name: a          # what clients call it\n"
        "    breaker: {failures_max: 5, open_s: 5} # so many failures\n"
        "    # workers:\n"
        "    #   - address: h # where\n"
        "    #     profile: [[1, 9.0]] # how fast\n"
        "    #                # it is\n"
        "  - name: b\n"
    )

    assert explained == {
        "server": "who listens",
        "server.port": "0 takes a free one, and says which",
        "aws": "with provider: aws",
        "aws.region": "whose machines",
        "models.name": "what clients call it",
        "models.breaker": "so many failures",
        "models.breaker.failures_max": "so many failures",
        "models.breaker.open_s": "so many failures",
        "models.workers.address": "where",
        "models.workers.profile": "how fast it is",
    }


def test_values_are_told_with_their_bounds_and_defaults() -> None:
    page = site_module("configuration_page").configuration_page(EXAMPLE)

    assert (
        "| `rows_max` | rows in one batch, and in one request | a whole number, 1 or more, up to 65,536 | `32` |"
        in page
    )
    assert "| `sl_min` |" in page
    assert "`adaptive`, `fixed`, `none` | `adaptive` |" in page
    assert "## models[].serverless.breaker" in page


def test_a_picture_is_a_file_of_its_own_with_its_legend(tmp_path: Path) -> None:
    picture = site_module("picture")
    from mark.report.palette import Style
    from mark.report.plots import LegendEntry, Picture

    plot = '<svg class="plot" role="img" aria-label="a" viewBox="0 0 374 100"><path stroke="var(--blue)"/></svg>'
    legend = (LegendEntry("load & more", Style("blue")), LegendEntry("spot", Style("orange", (4, 2)), area=True))
    svg = picture.standalone(Picture("Load", plot, legend))
    (tmp_path / "load.svg").write_text(svg, encoding="utf-8")

    assert 'viewBox="0 0 374 114"' in svg
    assert "prefers-color-scheme: dark" in svg
    assert "load &amp; more" in svg
    put_in = picture.inlined('<p><img alt="a" src="../pictures/load.svg" /></p>', tmp_path)
    assert put_in.startswith('<p><svg class="plot"')
    assert "<style>" not in put_in
    assert picture.inlined('<img alt="a" src="b.svg" />', tmp_path) == '<img alt="a" src="b.svg" />'


@pytest.mark.slow
def test_every_picture_of_the_explanations_can_be_drawn_anew() -> None:
    drawn = site_module("draw_explanations").draw_all(hours=0.2)

    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "explanation").glob("*.md"))
    assert all(f"../pictures/{name}.svg" in pages for name in drawn)
    assert all((ROOT / "docs" / "pictures" / f"{name}.svg").is_file() for name in drawn)
