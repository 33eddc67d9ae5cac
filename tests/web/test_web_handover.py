"""The hand-over sheet: as of its shift's end, with what was done and what is left; on A4; made without being asked."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mimamori.alerts.roster import Roster
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.service.sheets import due, keep_sheets, let_go, make
from mimamori.site import load_site
from mimamori.web.handover import sheet_of, turn_at

ROSTER: Roster = load_site(Path(__file__).parents[2]).alerts.roster


def at(text: str) -> int:
    return parse_instant(f"2026-11-23T{text}:00+09:00")


def test_every_minute_lies_in_one_shift_and_the_night_belongs_to_its_day() -> None:
    found = [turn_at(ROSTER, at("00:00") + n * MINUTE) for n in range(0, 1440, 10)]
    assert all(found)
    assert [(t.name, t.day.isoformat()) for t in dict.fromkeys(found) if t] == [
        ("evening", "2026-11-22"), ("night", "2026-11-23"), ("day", "2026-11-23"), ("evening", "2026-11-23"),
    ]  # fmt: skip
    night = turn_at(ROSTER, at("00:30"))
    assert night
    assert (night.begins, night.ends, night.sheet) == (at("00:30"), at("08:30"), at("07:00"))


async def a_night(ward: Any, opened_event: Any, notice_for: Any) -> None:
    """One alert taken and closed, one left open, one set aside, a silent device; and one of the evening before."""
    first = replace(opened_event("H001"), at=at("02:10"), since=at("01:00"))
    done = [
        replace(first, kind="acknowledged", by="N-01", at=at("02:15")),
        replace(
            first, kind="resolved", by="N-01", at=at("02:50"), outcome="help-given", reason="転倒なし。水分を勧めた"
        ),
    ]
    sent = notice_for(first.alert, due=at("02:10"))
    await ward.ledger.commit(events=[first], notices=[sent], now=at("02:10"))
    for status in ("sending", "sent", "delivered"):
        await ward.ledger.mark_notice(sent.key, status=status, now=at("02:11"))
    await ward.ledger.commit(events=done, notices=[], now=at("02:50"))
    left = replace(opened_event("H002", priority="medium"), alert="H002/inactivity/2", at=at("05:00"))
    aside = replace(opened_event("H003", priority="low"), alert="H003/cold/3", at=at("03:00"), title_ja="室温が低い")
    put = replace(aside, kind="shelved", by="N-02", at=at("03:05"), until=at("12:00"))
    gone = replace(opened_event("H004"), alert="H004/device-silent/bed1/4", device="bed1", category="technical",
                   at=at("04:00"), title_ja="ベッドセンサーの通信なし")  # fmt: skip
    early = replace(opened_event("H005"), alert="H005/inactivity/5", at=at("00:10") - HOUR)
    over = replace(early, kind="resolved", by="N-02", at=at("00:10"), outcome="false-alarm")
    later = replace(left, kind="resolved", by="N-02", at=at("09:00"), outcome="no-action")
    await ward.ledger.commit(events=[early, over, aside, put, gone, left, later], notices=[], now=at("09:00"))


async def test_a_sheet_tells_the_shift_as_it_was_at_its_end(ward: Any, opened_event: Any, notice_for: Any) -> None:
    await a_night(ward, opened_event, notice_for)
    night = turn_at(ROSTER, at("03:00"))
    assert night
    for now in (at("08:30"), at("08:30") + 2 * DAY):  # two days later it reads the same
        sheet = await sheet_of(ward.ledger, ROSTER, night, now)
        assert [t.alert.household for t in sheet.told] == ["H001", "H003", "H002"]
        assert [(s.notice.recipient, s.status) for s in sheet.told[0].called] == [("N-01", "delivered")]
        assert [a.household for a in sheet.open] == ["H002"]
        assert [a.household for a in sheet.shelved] == ["H003"]
        assert [a.device for a in sheet.silent] == ["bed1"]
        assert sheet.done
        assert sheet.following
        assert (sheet.following.name, sheet.following.begins) == ("day", at("08:30"))
        assert sheet.duties["on-call"][0][2] == ROSTER.on_call("on-call", at("08:30"))
    sofar = await sheet_of(ward.ledger, ROSTER, night, at("02:20"))
    assert [a.household for a in sofar.taken] == ["H001"]
    assert not sofar.done


async def test_the_page_tells_it_in_words_and_holds_no_name(ward: Any, opened_event: Any, notice_for: Any) -> None:
    await a_night(ward, opened_event, notice_for)
    client = await ward.sign_in("N-01")
    answer = await client.get("/handover", follow_redirects=True)
    assert answer.url.path == "/handover/2026-11-23/night"
    assert "転倒なし。水分を勧めた" in answer.text
    assert "data:image/svg+xml;base64," in answer.text
    assert "山田" not in answer.text
    line = (await ward.ledger.accesses(limit=1))[0]
    assert (line.who, line.what) == ("N-01", "handover")
    for missing in ("2026-11-23/nap", "2026-01-01/day", "2026-11-24/day"):
        assert (await client.get(f"/handover/{missing}")).status_code == 404


async def test_it_is_made_before_the_shift_ends_without_anybody_asking(
    ward: Any, opened_event: Any, notice_for: Any, tmp_path: Path, until: Any
) -> None:
    await a_night(ward, opened_event, notice_for)
    now, stop, folder = at("06:59"), asyncio.Event(), tmp_path / "handover"
    assert due(ROSTER, now, now - HOUR) == []
    assert [t.name for t in due(ROSTER, at("07:00"), now)] == ["night"]
    keeping = asyncio.create_task(keep_sheets(folder, ward.ledger, ROSTER, lambda: now, stop))
    await asyncio.sleep(0)
    assert not folder.exists()
    stop.set()
    await keeping
    turn = due(ROSTER, at("07:00"), now)[0]
    made = await make(folder, ward.ledger, ROSTER, turn, at("07:00"))
    assert made.name == "2026-11-23-0700-night.html"
    assert made.stat().st_mode & 0o077 == 0
    text = made.read_text("utf-8")
    assert "H002" in text or "C-002" in text
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []  # needs no service
    let_go(folder, date(2026, 12, 7))
    assert made.exists()
    let_go(folder, date(2026, 12, 8))
    assert not made.exists()


@pytest.mark.parametrize("gone", [1, 5, 40])
def test_after_a_time_away_only_the_newest_sheets_are_made(gone: int) -> None:
    found = due(ROSTER, at("07:30"), at("07:30") - gone * DAY)
    assert [t.name for t in found] == ["day", "evening", "night"]
