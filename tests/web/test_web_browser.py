"""The console in a real browser: Debian's chromium, two consoles at once, keyboard, a lost line, a narrow screen."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from mimamori.model.times import MINUTE

pytestmark = pytest.mark.server

ALERT = "H001/inactivity/20261122T213605Z"
CARD = f'[id="a-{ALERT}"]'
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


LOWEST = "Math.max(...[...document.querySelectorAll('.tile')].map((t) => t.getBoundingClientRect().bottom))"
WEIGHT = """['resource', 'navigation'].flatMap((kind) => performance.getEntriesByType(kind))
    .reduce((sum, entry) => sum + entry.transferSize, 0)"""
NOTES_BANNER = """(() => { const lost = document.getElementById('lost'); new MutationObserver(() => {
    if (!lost.hidden) window.shown ??= performance.now(); }).observe(lost, { attributes: true }); })()"""
NOTES_PULSES = """window.pulses = []; const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (at) { window.pulses.push(at); start.call(this, at); };"""
SMALL = """[...document.querySelectorAll('button, nav a')]
    .filter((each) => each.offsetParent && each.getBoundingClientRect().height < 43.5).map((each) => each.outerHTML)"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "install chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        await browser.close()


async def console(browser: Browser, ward: Any, staff: str = "N-01", path: str = "/", width: int = 1280) -> Page:
    context = await browser.new_context(viewport={"width": width, "height": 800}, locale="ja-JP")
    page = await context.new_page()
    page.on("pageerror", ward.broke)
    await page.goto(ward.url + path)
    await page.fill("[name=staff]", staff)
    await page.fill("[name=password]", "asagao-2026")
    await page.press("[name=password]", "Enter")
    await page.wait_for_selector("#sound")  # the scripts have run
    return page


async def test_an_alert_on_two_consoles_is_taken_by_keyboard(browser: Browser, ward: Any, opened_event: Any) -> None:
    wall, queue = await console(browser, ward, "N-02"), await console(browser, ward, "N-01", "/alerts")
    await expect(wall.locator(".tile")).to_have_count(12)
    await expect(queue.locator("#empty")).to_be_visible()
    await ward.tell(opened_event("H001"))
    await expect(wall.locator(".tile").first).to_contain_text("警報", timeout=1500)
    await expect(wall.locator("#bar")).to_contain_text("未対応 1")
    await expect(queue.locator(CARD)).to_contain_text("05:10から動きがありません", timeout=1500)
    await queue.keyboard.press("j")
    await queue.keyboard.press("a")
    await expect(queue.locator(CARD)).to_contain_text("対応中: 佐藤 花子")
    await expect(wall.locator("#bar")).to_contain_text("未対応なし")
    assert [(c.action, c.by) for c in ward.seen] == [("acknowledge", "N-01")]


async def test_resolve_needs_an_outcome_and_a_refusal_is_shown(browser: Browser, ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    page = await console(browser, ward, path="/alerts")
    await page.keyboard.press("j")
    await page.keyboard.press("r")
    await page.click("#ask-resolve button.main")
    await expect(page.locator("#ask-resolve")).to_be_visible()  # still asking
    await page.click("#ask-resolve label:has([value=help-given])")
    await page.fill("#ask-resolve textarea", "声かけで反応あり")
    ward.refuse = "somebody else has closed it"
    await page.click("#ask-resolve button.main")
    await expect(page.locator("#toast")).to_contain_text("somebody else has closed it")
    ward.refuse = ""
    await page.locator(CARD).focus()
    await page.keyboard.press("r")
    await page.click("#ask-resolve label:has([value=help-given])")
    await page.click("#ask-resolve button.main")
    await expect(page.locator(CARD)).to_contain_text("終了: 手助けした")
    assert ward.seen[-1].outcome == "help-given"


async def test_the_keyboard_is_left_alone_while_typing(browser: Browser, ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    page = await console(browser, ward, path="/alerts")
    await page.keyboard.press("j")
    await page.keyboard.press("n")
    await page.keyboard.type("rasa")
    await page.click("#ask-note button.main")
    await expect(page.locator("#toast")).to_contain_text("記録しました")
    assert [(c.action, c.text) for c in ward.seen] == [("note", "rasa")]


async def test_sound_follows_the_alert_and_a_blocked_sound_is_a_fault(
    browser: Browser, ward: Any, opened_event: Any
) -> None:
    await ward.tell(opened_event("H001"))
    page = await console(browser, ward)
    await page.reload()  # nobody has touched this page: the browser blocks its sound
    await expect(page.locator("#blocked")).to_be_visible()
    await page.click("#blocked")
    await expect(page.locator("#blocked")).to_be_hidden()
    await expect(page.locator("html")).to_have_attribute("data-sounded", "high")
    await page.click("#sound")
    await expect(page.locator("#sound")).to_contain_text("消音 1:5")


@pytest.mark.parametrize(
    ("priority", "gaps"),
    [("high", [0.25, 0.25, 0.45, 0.25, 1.0, 0.25, 0.25, 0.45, 0.25]), ("medium", [0.45, 0.45]), ("low", [])],
)
async def test_each_priority_has_its_pattern_of_pulses(
    browser: Browser, ward: Any, opened_event: Any, priority: str, gaps: list[float]
) -> None:
    await ward.tell(opened_event("H001", priority))
    page = await console(browser, ward)
    await page.add_init_script(NOTES_PULSES)
    await page.reload()
    await page.click("#blocked")
    await expect(page.locator("html")).to_have_attribute("data-sounded", priority)
    pulses = await page.evaluate("window.pulses")  # the first burst: the next one comes after 9 s at least
    assert [b - a for a, b in pairwise(pulses)] == pytest.approx(gaps, abs=1e-3)


async def test_an_alert_is_shelved_by_keyboard_and_by_thumb(browser: Browser, ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    page = await console(browser, ward, path="/alerts")
    await page.keyboard.press("j")
    await page.keyboard.press("s")
    await page.click("#ask-shelve label:has([value='60'])")
    await page.click("#ask-shelve button.main")
    await expect(page.locator("#toast")).to_be_visible()
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.click(f"{CARD} [data-act=shelve]")
    await page.click("#ask-shelve label:has([value='30'])")
    await page.click("#ask-shelve button.main")
    await expect(page.locator("#ask-shelve")).to_be_hidden()
    await ward.obeyed(2)
    assert [c.action for c in ward.seen] == ["shelve", "shelve"]
    minutes = [(c.until - ward.clock) / MINUTE for c in ward.seen]
    assert minutes == pytest.approx([60, 30], abs=1)


async def test_an_alert_that_worsens_sounds_at_once_though_muted(
    browser: Browser, ward: Any, opened_event: Any
) -> None:
    first = replace(opened_event("H001"), priority="low")
    await ward.tell(first)
    page = await console(browser, ward)
    await page.keyboard.press("Shift")  # wakes the sound
    await expect(page.locator("html")).to_have_attribute("data-sounded", "low")
    await page.click("#sound")
    await expect(page.locator("#sound")).to_contain_text("消音 1:5")
    await ward.tell(replace(first, kind="worsened", priority="high", at=first.at + MINUTE))
    await expect(page.locator("html")).to_have_attribute("data-sounded", "high")
    await expect(page.locator("#sound")).not_to_contain_text("消音 1:5")


class Line:
    """A real relay between browser and server that can go dead without closing, as a pulled cable does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._pipes: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    async def open(self) -> tuple[asyncio.Server, str]:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def close(self, server: asyncio.Server) -> None:
        server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, back), (there, writer)):
            self._pipes.add(asyncio.create_task(self._pipe(source, sink)))

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


async def test_a_lost_line_shows_and_catches_up_without_reload(browser: Browser, ward: Any, opened_event: Any) -> None:
    line = Line(int(ward.url.rpartition(":")[2]))
    server, url = await line.open()
    page = await console(browser, replace(ward, url=url))
    await page.evaluate("window.stayed = true")
    await expect(page.locator(".tile")).to_have_count(12)
    await page.evaluate(NOTES_BANNER)
    line.cut()
    cut = await page.evaluate("performance.now()")
    await expect(page.locator("#lost")).to_be_visible(timeout=9000)
    assert await page.evaluate("window.shown") - cut <= 5000
    await ward.tell(opened_event("H001"))
    line.mend()
    await expect(page.locator("#lost")).to_be_hidden(timeout=12000)
    await expect(page.locator(".tile").first).to_contain_text("警報")
    assert await page.evaluate("window.stayed")
    await page.close()
    await line.close(server)


async def test_a_tile_that_changes_fetches_nothing(browser: Browser, ward: Any, opened_event: Any) -> None:
    page = await console(browser, ward)
    await expect(page.locator("#t-H001 .tile-state .shape")).to_be_visible()
    drawn = await page.evaluate("document.querySelector('#t-H001 .tile-state use').getBoundingClientRect().width")
    assert drawn > 10  # the shape is there, not an empty box
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await ward.tell(opened_event("H001"))
    await expect(page.locator(".tile").first).to_contain_text("警報")
    assert asked == []


async def test_old_figures_fade(browser: Browser, ward: Any, a_tile: Any) -> None:
    fresh = a_tile(0)
    (metric, value, unit, taken), *rest = fresh.values
    ward.tiles["H001"] = replace(fresh, values=((metric, value, unit, taken - 600 * 10**9), *rest))
    ward.publish()
    page = await console(browser, ward)
    figures = page.locator("#t-H001 .figure")
    await expect(figures.nth(0)).to_have_class("figure is-stale")
    await expect(figures.nth(0)).to_contain_text("前回")
    await expect(figures.nth(1)).to_have_class("figure")


async def test_two_thousand_are_searched_and_filtered(browser: Browser, ward: Any, a_tile: Any) -> None:
    ward.tiles = {t.household: t for t in (a_tile(i, "watch" if i % 500 == 7 else "ok") for i in range(2000))}
    ward.publish()
    page = await console(browser, ward)
    await expect(page.locator(".tile")).to_have_count(2000)
    await page.click("label:has([name=state][value=watch])")
    await expect(page.locator(".tile:visible")).to_have_count(4)
    await page.fill("[name=find]", "c-1008")
    await expect(page.locator(".tile:visible")).to_have_count(1)
    ward.tiles["H1008"] = a_tile(1007, "ok")  # no longer to be watched: it leaves the list while one looks
    ward.publish()
    await expect(page.locator(".tile:visible")).to_have_count(0)


async def test_two_hundred_on_a_screen_and_a_phone(browser: Browser, ward: Any, a_tile: Any, opened_event: Any) -> None:
    ward.tiles = {t.household: t for t in (a_tile(i) for i in range(200))}
    await ward.tell(opened_event("H150"))
    page = await console(browser, ward)
    await page.click("h1", force=True)
    await expect(page.locator(".tile")).to_have_count(200)
    assert await page.evaluate(LOWEST) <= 800
    assert await page.evaluate(WEIGHT) <= 300_000
    await page.fill("[name=find]", "C-150")
    await expect(page.locator(".tile:visible")).to_have_count(1)
    for path in ("/", "/alerts", "/alerts/H150/inactivity/20261122T213605Z", "/households/H150", "/outbox", "/health"):
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.goto(ward.url + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert await page.evaluate(SMALL) == [], path
