"""How the page looks: in light and dark, on a desk and on a telephone, with little to show and with a lot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser.conftest import OpenPage
from browser.page_world import PageWorld
from browser.story import Story
from playwright.sync_api import Page

from mark.domain.record import Record, RecordKind

MakeWorld = Callable[..., PageWorld]
Screenshot = Callable[[Page, str], None]

GEOMETRY = (Path(__file__).parent / "geometry.js").read_text(encoding="utf-8").partition("\n")[2].rstrip().rstrip(";")
DESK = {"width": 1360, "height": 900}
TABLET = {"width": 820, "height": 1180}
PHONE = {"width": 380, "height": 780}
TRIES = 3  # of what takes a certain time at most: what else a machine does, it does not do all the time
SOON_MS = 1000
CHARTS = ["load", "latency", "fleet", "attainment", "budget", "rate", "total"]


def problems(page: Page) -> Any:
    """What a person would call broken."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(GEOMETRY)


def soon_painted(open_one: Callable[[], Page]) -> Page:
    """The first page of some that was painted within a second."""
    paint = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    paints_ms = []
    for _ in range(TRIES):
        page = open_one()
        paints_ms.append(page.wait_for_function(paint).json_value())
        if paints_ms[-1] < SOON_MS:
            return page
    raise AssertionError(f"painted after {paints_ms} ms")


@pytest.fixture
def world(make_world: MakeWorld) -> PageWorld:
    story, world = Story(seconds=900), make_world()
    world.past(list(story.samples())[:-1], list(story.records()))
    return world


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])
def test_nothing_overlaps_and_nothing_is_cut_off(
    world: PageWorld, open_page: OpenPage, screenshot: Screenshot, size: dict[str, int], scheme: str,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    page = open_page(world.address, viewport=size, color_scheme=scheme)
    world.happens([*Story(seconds=900).samples()][-1])
    page.wait_for_selector("#figures .value")

    screenshot(page, f"story-{request.node.callspec.id}")
    assert problems(page) == []

    page.locator("#timeline > li:not(.quiet) summary").nth(4).click()
    page.wait_for_selector(".opened")
    screenshot(page, f"opened-{request.node.callspec.id}")
    assert problems(page) == []
    assert page.locator("[data-chart] canvas").count() == len(CHARTS)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_long_names_and_large_numbers_have_room(
    make_world: MakeWorld, open_page: OpenPage, screenshot: Screenshot, size: dict[str, int],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    name = "a-model-with-a-name-that-somebody-thought-long-and-hard-about-v20260101"
    world, story = make_world([name, "another-model", "third"]), Story(name, seconds=400)
    large = [
        replace(
            sample,
            load_per_s=sample.load_per_s * 1234.5,
            capacity_ready_per_s=sample.capacity_ready_per_s * 1234.5,
            usd_total=sample.usd_total * 1e7,
            usd_peak_sized=(sample.usd_peak_sized or 0) * 1e7,
            usd_per_hour={market: usd * 12345 for market, usd in sample.usd_per_hour.items()},
            latency_ms={quantile: latency_ms * 100 for quantile, latency_ms in sample.latency_ms.items()},
            error_budget_left=-31.4,
            attainment=dict.fromkeys(sample.attainment, 0.123456),
        )
        for sample in story.samples()
    ]
    long = "a" * 90 + " is a word without any place to break it, as names of resources may be"
    records = [replace(record, reason=f"{record.reason}: {long}") for record in story.records()]
    world.past(large[:-1], records)
    page = open_page(world.address, viewport=size)
    world.happens(large[-1])
    page.wait_for_selector("#figures .value")
    page.locator("#timeline > li:not(.quiet) summary").first.click()

    screenshot(page, f"large-{request.node.callspec.id}")
    assert problems(page) == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_before_anything_was_served_it_says_so(
    make_world: MakeWorld, open_page: OpenPage, screenshot: Screenshot, size: dict[str, int],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    world = make_world()
    page = open_page(world.address, viewport=size)

    assert page.inner_text("#verdict") == "Waiting for the first look at the router."
    assert page.locator("#no-decisions").is_visible()
    first = next(Story().samples())
    world.happens(replace(first, forecast=None, foreseen_per_s={}, instances={}, latency_ms={}, usd_peak_sized=None))
    page.wait_for_selector("#figures .value")

    screenshot(page, f"first-{request.node.callspec.id}")
    assert problems(page) == []


@pytest.mark.parametrize("size", [DESK, TABLET, PHONE], ids=["desk", "tablet", "phone"])
def test_a_model_of_foreign_workers_shows_what_is_known_of_them(
    make_world: MakeWorld, open_page: OpenPage, screenshot: Screenshot, size: dict[str, int],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    world = make_world()
    unknown: dict[str, Any] = {"forecast": None, "foreseen_per_s": {}, "capacity_ready_per_s": 0.0, "instances": {}}
    unknown |= {"capacity_planned_per_s": 0.0, "usd_per_hour": {}, "usd_total": 0.0, "usd_peak_sized": None}
    samples = [replace(sample, **unknown) for sample in Story(seconds=300).samples()]
    world.past(samples[:-1])
    page = open_page(world.address, viewport=size)
    world.happens(samples[-1])
    page.wait_for_selector("#figures .value")

    shown = [name for name in CHARTS if page.locator(f'[data-chart="{name}"]').is_visible()]
    assert shown == ["load", "latency", "attainment", "budget", "total"]
    assert page.inner_text('[data-chart="load"] .labels').split()[0] == "load"
    screenshot(page, f"foreign-{request.node.callspec.id}")
    assert problems(page) == []


def test_colours_change_with_the_readers_setting(world: PageWorld, open_page: OpenPage) -> None:
    page = open_page(world.address, color_scheme="light")
    world.happens([*Story(seconds=900).samples()][-1])
    page.wait_for_selector("#figures .value")
    ink = """() => { const canvas = document.querySelector('[data-chart="budget"] canvas');
        const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
        const pixels = copy.getContext("2d", { willReadFrequently: true }); pixels.drawImage(canvas, 0, 0);
        const data = pixels.getImageData(0, 0, canvas.width, canvas.height).data;
        const count = {}; for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) {
        const key = [data[i], data[i + 1], data[i + 2]].join(); count[key] = (count[key] ?? 0) + 1; }
        return Object.entries(count).sort((a, b) => b[1] - a[1]).map(([key]) => key).slice(0, 4); }"""
    assert "0,158,115" in page.evaluate(ink)  # green on paper

    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => ({ink})().includes('47,196,152')")  # green on a screen


def test_it_can_be_read_without_the_charting_library(
    make_world: MakeWorld, open_page: OpenPage, screenshot: Screenshot, tmp_path: Path
) -> None:
    world, story = make_world(charts=tmp_path), Story(seconds=60)
    samples = list(story.samples())
    world.past(samples[:-1], list(story.records()))
    page = open_page(world.address)
    world.happens(samples[-1])
    page.wait_for_selector("#figures .value")

    assert page.locator("#no-charts").is_visible()
    assert "built without its charting library" in page.inner_text("#no-charts")
    assert page.locator("canvas").count() == 0
    assert page.locator("#timeline > li").count() > 0
    screenshot(page, "no-charts")
    assert problems(page) == []


def test_what_others_wrote_is_text(make_world: MakeWorld, open_page: OpenPage) -> None:
    evil = '<img src="x" onerror="document.title=1"><script>document.title=2</script>'
    world = make_world([evil])
    sample = replace(next(Story().samples()), model=evil)
    world.past([sample], [Record("id", 0, sample.unix_s, evil, RecordKind.LOSS, evil, details={evil: evil})])
    page = open_page(world.address)
    world.happens(sample)
    page.locator("#timeline summary").click()
    page.wait_for_selector(".opened")

    assert evil in page.inner_text("#timeline .headline")
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "✓ production · mark"


@pytest.mark.parametrize(
    ("attainment", "state", "words"),
    [
        ({60: 1.0, 300: 1.0, 1800: 1.0, 3600: 1.0, 21600: 0.99}, "kept", "The promise is kept: 99 %"),
        ({60: 0.9, 300: 1.0, 1800: 1.0, 3600: 1.0, 21600: 0.99}, "burning", "kept, but not now: 90 %"),
        ({60: 1.0, 300: 1.0, 1800: 1.0, 3600: 1.0, 21600: 0.97}, "broken", "is broken: only 97 %"),
        ({60: 1.0, 300: 1.0, 1800: 1.0, 3600: 1.0, 21600: 0.999999}, "kept", "kept: 99.99 %"),
    ],
)
def test_the_first_line_says_whether_the_promise_is_kept(
    make_world: MakeWorld, open_page: OpenPage, attainment: dict[int, float], state: str, words: str
) -> None:
    world = make_world()
    page = open_page(world.address)
    world.happens(replace(next(Story().samples()), attainment=attainment))

    page.wait_for_selector(f'#verdict[data-state="{state}"]')
    assert page.title() == {"kept": "✓", "burning": "!", "broken": "✕"}[state] + " production · mark"
    assert words in page.inner_text("#verdict").replace("\N{NO-BREAK SPACE}", " ")


def test_a_large_number_of_points_is_drawn_at_once(
    make_world: MakeWorld, open_page: OpenPage, screenshot: Screenshot
) -> None:
    world, story = make_world(), Story(seconds=10_000)
    samples = list(story.samples())
    world.past(samples[:-2], list(story.records()))
    page = soon_painted(lambda: open_page(world.address))
    page.get_by_text("all", exact=True).click()
    world.happens(samples[-2])
    page.wait_for_selector("#figures .value")

    drawing_ms = """() => new Promise((done) => requestAnimationFrame(() => { const began = performance.now();
        matchMedia("(prefers-color-scheme: dark)").dispatchEvent(new Event("change"));
        requestAnimationFrame(() => done(performance.now() - began)); }))"""
    assert any(page.evaluate(drawing_ms) < SOON_MS for _ in range(TRIES))
    screenshot(page, "ten-thousand")
    assert problems(page) == []
