"""What a household's page tells beyond its tile: devices, notes, absences, past alerts, contacts only on purpose."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.store.readings import Series
from mimamori.store.records import Contact, Device
from mimamori.web.household import health

NOW = 1_795_000_000 * SECOND
BED = Device(household="H001", device="bed1", profile="bed-sensor")
A = "/api/v1/households/H001"


def series(metric: str, taken: list[int], device: str = "bed1", value: float = 1.0) -> Series:
    at = np.array(taken, np.int64)
    return Series(
        device=device, metric=metric, taken=at, value=np.full(len(at), value), got=at, flags=np.zeros(len(at), np.uint8)
    )


def test_gaps_of_a_device_add_up() -> None:
    begun = NOW - 10 * HOUR
    spoke = [t for t in range(begun, NOW + 1, MINUTE) if not begun + HOUR < t < begun + 3 * HOUR]
    told = health(BED, [series("heart_rate", spoke), series("battery", [begun], value=81)], 5 * MINUTE, NOW)
    assert (told.heard, told.every, told.silent, told.battery) == (NOW, MINUTE, False, 81)
    assert math.isclose(told.kept, 1 - 2 / 10)


def test_a_silent_device_a_new_one_and_one_that_is_retired() -> None:
    spoke = list(range(NOW - 3 * HOUR, NOW - 2 * HOUR, MINUTE))
    told = health(BED, [series("in_bed", spoke), series("in_bed", [NOW], device="other")], 5 * MINUTE, NOW)
    assert (told.heard, told.silent) == (spoke[-1], True)
    assert math.isclose(told.kept, (spoke[-1] - spoke[0]) / (NOW - spoke[0]))
    new = health(BED, [], 5 * MINUTE, NOW)
    assert (new.heard, new.silent, new.every) == (NEVER, True, 0)
    assert math.isnan(new.kept)
    assert not health(replace(BED, active=False), [], 5 * MINUTE, NOW).silent


def test_a_heartbeat_tells_the_cadence_of_a_sensor_that_speaks_when_it_likes() -> None:
    beats = list(range(NOW - 5 * HOUR, NOW, 10 * MINUTE))
    told = health(
        BED, [series("heartbeat", beats), series("motion", [NOW - s * SECOND for s in range(40)][::-1])], HOUR, NOW
    )
    assert (told.every, told.heard) == (10 * MINUTE, NOW)


async def test_the_page_tells_devices_from_stored_readings(ward: Any) -> None:
    home = await ward.live_days(1)
    for device in ward.homes.device_ids:
        await ward.ledger.put_device(Device(household=home, device=device, profile="bed-sensor"))
    await ward.ledger.put_device(Device(household=home, device="never1", profile="door-sensor"))
    client = await ward.sign_in("N-01")
    told = {d["device"]: d for d in (await client.get(f"/api/v1/households/{home}/devices")).json()}
    assert (told["never1"]["heard"], told["never1"]["silent"]) == (None, True)
    heard = [d for d in told.values() if d["heard"]]
    assert heard
    assert all(0 < d["kept"] <= 1 for d in heard)
    page = (await client.get(f"/households/{home}")).text
    assert "まだ一度も届いていません" in page


async def test_a_note_is_written_kept_and_on_record(ward: Any) -> None:
    client = await ward.sign_in("N-01")
    csrf = client.headers["x-csrf-token"]
    answer = await client.post("/households/H001/notes", data={"text": "<b>よく眠れた</b>とのこと", "csrf": csrf})
    assert answer.headers["location"] == "/households/H001?done=1"
    page = (await client.get("/households/H001")).text
    assert "&lt;b&gt;よく眠れた" in page
    assert "佐藤 花子" in page
    line = (await ward.ledger.accesses(whose="H001", limit=3))[1]
    assert (line.who, line.what) == ("N-01", "note")
    assert (await client.post("/households/H001/notes", data={"text": " ", "csrf": csrf})).status_code == 422
    auditor = await ward.sign_in("AU-1")
    assert (await auditor.post(f"{A}/notes", json={"text": "x"})).status_code == 403
    assert len((await auditor.get(f"{A}/notes")).json()) == 1


async def test_contacts_are_shown_only_on_purpose_and_that_is_on_record(ward: Any) -> None:
    admin, nurse = await ward.sign_in("AD-1"), await ward.sign_in("N-01")
    csrf = admin.headers["x-csrf-token"]
    form = {
        "name": "山田 太郎",
        "relation": "family",
        "phone": "090-2222-3333",
        "turn": "1",
        "reason": "入居",
        "csrf": csrf,
    }
    added = await admin.post("/households/H001/contacts/add", data=form)
    assert "090-2222-3333" in added.text
    assert "2222" not in (await nurse.get("/households/H001")).text
    before = len(await ward.ledger.accesses())
    assert (await nurse.post(f"{A}/contacts/show", json={"reason": ""})).status_code == 422
    assert len(await ward.ledger.accesses()) == before  # refused: nothing was seen
    shown = await nurse.post(
        "/households/H001/contacts", data={"why": "contact.alert", "csrf": nurse.headers["x-csrf-token"]}
    )
    assert "tel:+819022223333" in shown.text
    line = (await ward.ledger.accesses(limit=1))[0]
    assert (line.who, line.whose, line.what) == ("N-01", "H001", "contacts; 警報の対応で電話する")
    assert "2222" not in "".join(a.what for a in await ward.ledger.accesses())
    assert (await nurse.post("/households/H001/contacts/add", data=form)).status_code == 403
    assert (await (await ward.sign_in("AU-1")).post(f"{A}/contacts/show", json={"reason": "x"})).status_code == 403
    (held,) = await ward.ledger.contacts("H001")
    gone = await admin.post(f"/households/H001/contacts/{held.id}/remove", data={"reason": "転居", "csrf": csrf})
    assert "連絡先が登録されていません" in gone.text
    assert await ward.ledger.contacts("H001") == []


@pytest.mark.parametrize(("field", "bad"), [("phone", "abc"), ("name", " "), ("relation", "cousin"), ("turn", "99")])
async def test_a_contact_that_makes_no_sense_is_refused(ward: Any, field: str, bad: str) -> None:
    admin = await ward.sign_in("AD-1")
    form = {"name": "x", "relation": "family", "phone": "0172-00-0000", "turn": "1", "reason": "入居"} | {field: bad}
    answer = await admin.post("/households/H001/contacts/add", data=form)
    assert "できませんでした" in answer.text
    assert await ward.ledger.contacts("H001") == []


async def test_a_nurse_declares_an_absence_on_the_page_and_ends_it(ward: Any) -> None:
    nurse = await ward.sign_in("N-01")
    form = {"kind": "stay", "start": "2026-11-23T06:00", "end": "", "note": "娘宅", "reason": "電話で"}
    assert (await nurse.post("/households/H001/absences", data=form)).status_code == 303
    assert ward.desk.entered.is_set()
    (absence,) = await ward.ledger.absences()
    page = (await nurse.get("/households/H001")).text
    assert "家族宅・ショートステイ" in page
    other = f"/households/H002/absences/{absence.id}/end"
    assert (await nurse.post(other, data={"reason": "x"})).status_code == 404
    done = await nurse.post(f"/households/H001/absences/{absence.id}/end", data={"reason": "戻られた"})
    assert done.status_code == 303
    assert [a.end > NEVER for a in await ward.ledger.absences()] == [True]


async def test_past_alerts_come_in_pages_with_their_outcome(ward: Any, opened_event: Any) -> None:
    for n in range(23):
        event = replace(opened_event("H001"), alert=f"H001/inactivity/{n:02d}", at=NOW - n * DAY)
        end = replace(event, kind="resolved", by="N-01", outcome="help-given", at=event.at + 95 * MINUTE)
        await ward.ledger.commit(events=[event, end], notices=[], now=NOW)
    client = await ward.sign_in("N-01")
    first, rest = (await client.get(f"{A}/alerts")).json(), (await client.get(f"{A}/alerts?skip=20")).json()
    assert [first["count"], len(first["alerts"]), len(rest["alerts"])] == [23, 20, 3]
    page = (await client.get("/households/H001/history?skip=20")).text
    assert page.count("手助けした") == 3
    assert "1時間35分" in page
    assert "新しい方へ" in page
    assert "古い方へ" not in page


def test_a_contact_is_off_the_list_but_kept() -> None:
    from mimamori.web.household import removed

    held = Contact(id="1", household="H001", name="x", relation="family", phone="+819012345678")
    assert removed(held) == replace(held, active=False)
