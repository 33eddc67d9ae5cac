"""Charts: nights and usual bands by hand, and the real pictures and the live view in the real browser."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from playwright.async_api import async_playwright, expect

from mimamori.alerts.fold import fold
from mimamori.model.times import DAY, HOUR, MINUTE, zone_table
from mimamori.site import load_site
from mimamori.store.readings import Rollup
from mimamori.web.past import Past, nights_of, points_of, usual_of
from mimamori.web.why import Charts

ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
UTC = zone_table("UTC")


def test_a_night_begins_with_half_an_hour_in_bed_and_short_gaps_do_not_break_it() -> None:
    at = 20_000 * DAY
    runs = [
        (at + 14 * HOUR, at + 15 * HOUR),  # a nap after noon
        (at + 20 * HOUR, at + 20 * HOUR + 10 * MINUTE),  # sat on the bed
        (at + 22 * HOUR, at + 26 * HOUR),
        (at + 26 * HOUR + 5 * MINUTE, at + 27 * HOUR),  # no gap of ten minutes
        (at + 27 * HOUR + 20 * MINUTE, at + 30 * HOUR),
        (at + 33 * HOUR, at + 34 * HOUR),  # a nap in the morning
    ]
    (night,) = nights_of(runs, 14)
    assert (night.began, night.ended, night.risings) == (at + 22 * HOUR, at + 30 * HOUR, 1)
    assert night.hours == pytest.approx(7 + 40 / 60)


def rollup(starts: list[int], values: list[float]) -> Rollup:
    value = np.array(values)
    return Rollup(
        start=np.array(starts, np.int64), count=np.ones(len(values), np.int64), mean=value, low=value, high=value
    )


def test_a_line_breaks_where_nothing_came() -> None:
    rows = points_of(rollup([0, MINUTE, 9 * MINUTE], [60, 61, 62]), UTC, MINUTE)
    assert [(r["t"], r["v"]) for r in rows] == [(0, 60.0), (60_000, 61.0), (120_000, None), (540_000, 62.0)]


def test_usual_figures_need_three_days_and_go_by_the_time_of_day() -> None:
    told = rollup(
        [d * DAY + 2 * HOUR for d in range(5)] + [d * DAY + 8 * HOUR for d in range(2)], [50, 52, 54, 56, 58, 90, 90]
    )
    rows = usual_of(told, UTC, 10 * DAY, 11 * DAY)
    assert [(r["t"] * 1_000_000 - 10 * DAY, r["mid"]) for r in rows] == [(2 * HOUR + 15 * MINUTE, 54.0)]


def test_the_why_card_shows_what_the_rule_looked_at(opened_event: Any) -> None:
    charts = Charts(past=cast("Past", None), lang="ja", titles={})  # nothing is drawn
    alert = fold(None, opened_event("h1"))
    drawn = {r.name: [chart.name for chart in charts.of_alert(alert, r)] for r in load_site().rules}
    assert drawn["stayed-in-bed"] == ["nights", "lain", "signs"]
    assert drawn["heater-failed"] == ["temperature", "power"]


SHOWN = {
    "not-up-yet": ({"minutes": 640.0, "limit_minutes": 570.0, "usual_minutes": 400.0}, "nights", "基準 09:30"),
    "heart-rate-unusual": ({"value": 96.0, "low": 48.0, "high": 80.0, "usual": 60.0}, "heart_rate", "上限 80"),
    "night-wandering": ({"count": 31.0, "limit": 22.0, "usual": 6.0}, "walks", "基準 22"),
    "stayed-in-bed": ({"day_hours": 7.0, "usual_day_hours": 1.0, "all_hours": 16.0, "usual_all_hours": 9.0}, "lain",
                      ""),
    "heater-failed": ({"temperature": 11.0, "usual": 18.0, "limit": 13.5}, "temperature", "基準 13.5"),
    "drift-time-in-bed": ({"value": 0.5, "usual": 0.375, "spread": 0.02, "weeks": 6.0}, "weeks", "いつも 9"),
}  # fmt: skip
"""Rule: its evidence, the chart that tells it, and the limit that is drawn in."""


async def drawn_in(ward: Any, client: Any, home: str, opened_event: Any) -> None:
    """Every kind of rule has its own charts, of this household's readings, with the limit in words."""
    for rule, (facts, name, limit) in SHOWN.items():
        alert = f"{home}/{rule}/1"
        await ward.tell(replace(opened_event(home), alert=alert, rule=rule, evidence=facts))
        page = (await client.get(f"/alerts/{alert}")).text
        assert f"/api/v1/charts/alerts/{alert}/{name}.svg" in page, rule
        spec = (await client.get(f"/api/v1/charts/alerts/{alert}/{name}.json")).json()
        labels = [row.get("label") for layer in spec["layer"] for row in layer["data"]["values"]]
        assert not limit or limit in labels, (rule, labels)
        assert any(len(layer["data"]["values"]) >= 2 for layer in spec["layer"]), rule


@pytest.mark.server
async def test_charts_are_pictures_and_show_their_values_when_asked(ward: Any, opened_event: Any) -> None:
    home = await ward.live_days(15)
    event = opened_event(home)
    await ward.tell(event)
    client = await ward.sign_in("N-01")
    page = (await client.get(f"/households/{home}")).text
    names = ("signs", "heart_rate", "respiration_rate", "actogram", "nights", "power", "temperature")
    for name in names:
        assert f"/api/v1/charts/households/{home}/{name}.svg" in page
        spec = (await client.get(f"/api/v1/charts/households/{home}/{name}.json")).json()
        assert any(len(layer["data"]["values"]) > 5 for layer in spec["layer"]), name
    svg = await client.get(f"/api/v1/charts/households/{home}/actogram.svg?narrow=1")
    assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
    assert (await client.get(f"/api/v1/charts/households/{home}/secret.svg")).status_code == 404
    balance = (await client.get(f"/api/v1/charts/alerts/{event.alert}/balance.json")).json()
    assert {"x": 9.0, "label": "基準 9"} in [layer["data"]["values"][0] for layer in balance["layer"]]
    await drawn_in(ward, client, home, opened_event)
    assert "chart" in {a.what for a in await ward.ledger.accesses(whose=home)}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGS)
        context = await browser.new_context(viewport={"width": 1280, "height": 900}, locale="ja-JP")
        await context.add_cookies([{"name": "mimamori", "value": client.cookies["mimamori"], "url": ward.url}])
        screen = await context.new_page()
        screen.on("pageerror", ward.broke)
        told: list[str] = []
        screen.on("console", lambda message: told.append(message.text) if "Content Security" in message.text else None)
        await screen.goto(f"{ward.url}/alerts/{event.alert}")
        await expect(screen.locator("figure.chart img")).to_have_count(3)
        # A picture that comes late moves the button from under the pointer between press and release.
        for picture in await screen.locator("figure.chart img").all():
            await picture.scroll_into_view_if_needed()
            await expect(picture).to_have_js_property("complete", value=True)
        await screen.locator("figure.chart button").nth(1).click()
        bar = screen.locator("figure.chart.is-live svg [aria-roledescription=bar]").first
        await expect(bar).to_be_visible(timeout=60_000)
        await bar.hover()
        await expect(screen.locator("#vg-tooltip-element.visible")).to_contain_text("9.1")
        assert told == []
        await browser.close()
