"""Every page in the real browser: accessible by axe-core, no sideways scrolling at 360 px; administration by hand."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from mimamori.model.times import DAY
from mimamori.store.records import Access, Limit, Trial
from mimamori.web.tuning import Job

pytestmark = pytest.mark.server

ALERT = "H001/inactivity/20261122T213605Z"
PAGES = (
    "/", "/alerts", f"/alerts/{ALERT}", "/households/H001", "/households/H001/history",
    "/households/H001/letter", "/handover/2026-11-23/night",
    "/outbox", "/health", "/admin/residents",
    "/admin/residents/new", "/admin/residents/H001", "/admin/devices", "/admin/staff", "/admin/staff/N-01",
    "/admin/roster", "/admin/absences", "/admin/texts", "/admin/webhooks", "/admin/accesses", "/admin/rules",
    "/admin/rules/heart-rate",
    "/admin/rehearsals/r1", "/admin/rehearsals/r2", "/admin/trials/t1", "/admin/residents/H001/limits", "/offline",
    "/no-such-page",
)  # fmt: skip
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
async def page(ward: Any) -> AsyncIterator[Page]:
    """Signed in as the administrator, on a telephone."""
    path = shutil.which("chromium")
    assert path, "install chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=path, args=ARGS)
        context = await browser.new_context(viewport={"width": 360, "height": 740}, locale="ja-JP")
        page = await context.new_page()
        page.on("pageerror", ward.broke)
        await page.goto(ward.url)
        await page.fill("[name=staff]", "AD-1")
        await page.fill("[name=password]", "asagao-2026")
        await page.press("[name=password]", "Enter")
        await page.wait_for_selector("#sound")
        yield page
        await browser.close()


async def test_a_home_gets_its_device_by_hand(ward: Any, page: Page) -> None:
    await page.goto(f"{ward.url}/admin/residents/new")
    for name, value in (("household", "H050"), ("code", "C-050"), ("phone", "0172-00-0000"), ("reason", "入居")):
        await page.fill(f"[name={name}]", value)
    await page.click("button.main")
    await expect(page.locator(".told")).to_contain_text("記録しました")
    await expect(page.locator("main")).to_contain_text("機器なし")
    await page.goto(f"{ward.url}/admin/devices")
    for name, value in (("household", "H050"), ("code", "kettle:k1"), ("reason", "設置")):
        await page.fill(f".entry [name={name}]", value)
    await page.click(".entry button.main")
    await expect(page.locator(".wrong")).to_contain_text("機器の種類 kettle はありません")
    await page.fill(".entry [name=code]", "bed-sensor:bed-0412")
    await page.fill(".entry [name=reason]", "設置")
    await page.click(".entry button.main")
    await expect(page.locator(".row-head")).to_contain_text(["C-050"])
    assert [(d.household, d.device) for d in await ward.ledger.devices()] == [("H050", "bed-0412")]


async def broken(page: Page, path: str) -> list[Any]:
    result = await Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        (path, each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in result.response["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


async def tuned(ward: Any) -> None:
    """A rehearsal that is done and one that is not, a shadow, and a resident's own limit."""
    told = {"household": "H001", "opened": "2026-11-20T02:00:00+09:00", "resolved": None, "priority": "high",
            "why": "心拍数が02:00から6分ほど範囲外です。", "why_en": "Heart rate", "truth": "true"}  # fmt: skip
    result = {
        "days": 30, "households": 1, "before": 3, "after": 2, "kept": 1, "raised": 0, "lowered": 1, "minutes": -10.0,
        "minutes_each": 10.0, "measured": 0, "added_truth": {"unknown": 1}, "removed_truth": {"true": 2},
        "readings": 86_400, "seconds": 3.2, "added": [told | {"truth": "unknown"}], "removed": [told, told],
        "homes": [{"household": "H001", "before": 3, "after": 2, "added": 1, "removed": 2}],
    }  # fmt: skip
    usual = {"rule": "heart-rate", "settings": {"low.high": 45}, "days": 30, "by": "AD-1", "started": ward.clock}
    for job in (Job(id="r1", **usual, result=result), Job(id="r2", **usual, done=3, of=30)):
        ward.rehearsals.remember(job)
    trial = Trial(id="t1", rule="heart-rate", settings='{"low.high": 45}', name="下限45", reason="試す", by="AD-1",
                  since=ward.clock - DAY, base="")  # fmt: skip
    limit = Limit(household="H001", rule="heart-rate", key="low.high", value="45", reason="主治医の指示", by="AD-1",
                  since=ward.clock, until=ward.clock + DAY)  # fmt: skip
    await ward.ledger.enter(Access(who="AD-1", whose="", what="shadow", at=ward.clock), trial, limit)


async def test_every_page_is_accessible_and_fits_360_px(
    ward: Any, page: Page, opened_event: Any, notice_for: Any
) -> None:
    await ward.tell(opened_event("H001"), notice_for(ALERT))
    await ward.furnish("H001")
    await tuned(ward)
    found, wide = [], []
    for path in PAGES:
        await page.goto(ward.url + path)
        found += await broken(page, path)
        if (over := await page.evaluate(WIDER)) > 0:
            wide.append((path, over))
    await page.goto(f"{ward.url}/households/H001")
    for summary in await page.locator("summary").all():
        await summary.click()
    await expect(page.locator(".gaps")).to_contain_text("機器からの通信なし")
    found += await broken(page, "household, all open")
    await page.click("[name=why][value='contact.alert']")
    await expect(page.locator("a[href='tel:+819022223333']")).to_be_visible()
    found += await broken(page, "contacts")
    assert found == [], "\n".join(map(str, found))
    assert wide == []


async def test_sheet_and_letter_are_printed_on_one_a4_page_without_the_console_around_them(
    ward: Any, page: Page, opened_event: Any, notice_for: Any
) -> None:
    await ward.tell(opened_event("H001"), notice_for(ALERT))
    await ward.furnish("H001")
    for path in ("/handover/2026-11-23/night", "/households/H001/letter"):
        await page.goto(ward.url + path)
        paper = await page.pdf(prefer_css_page_size=True)
        (size,) = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper))
        assert [round(float(side) / 72 * 25.4) for side in size] == [210, 297], path
        assert len(re.findall(rb"/Type /Page\b(?!s)", paper)) == 1, path
        await page.emulate_media(media="print")
        for part in (".head", ".foot", ".tabs", ".page-acts"):
            for each in await page.locator(part).all():
                await expect(each).to_be_hidden()
        await page.emulate_media(media="null")


async def test_it_installs_and_without_a_connection_says_so_and_shows_nothing_old(ward: Any, page: Page) -> None:
    manifest = await page.evaluate("fetch('/manifest.webmanifest').then((answer) => answer.json())")
    assert (manifest["display"], manifest["start_url"], len(manifest["icons"])) == ("standalone", "/", 2)
    for icon in manifest["icons"]:
        assert "<svg" in await page.evaluate(f"fetch('{icon['src']}').then((answer) => answer.text())")
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await page.goto(f"{ward.url}/households/H001")
    await expect(page.locator("main")).to_contain_text("山田 トメ")
    kept = await page.evaluate("""caches.keys().then(async (names) => (await Promise.all(names.map(async (name) =>
        (await (await caches.open(name)).keys()).map((each) => new URL(each.url).pathname)))).flat().sort())""")
    assert kept == ["/offline", "/static/console.css", "/static/icon.svg"]
    await page.context.set_offline(True)
    await page.reload()
    await expect(page.locator("h1")).to_have_text("接続がありません")
    assert "山田" not in await page.content()
    await page.context.set_offline(False)
    await page.click("a.button")
    await expect(page.locator("main")).to_contain_text("山田 トメ")
