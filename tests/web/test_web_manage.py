"""Administration through HTTP: what may be entered, by whom, what is refused; each change is in the access log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from fastapi.routing import APIRoute

from mimamori.alerts.units import sms_length
from mimamori.model.readings import Rejected
from mimamori.web.guard import Gate

A = "/api/v1/admin"
PAGES = ("residents", "residents/new", "residents/H001", "devices", "staff", "staff/new", "staff/N-01", "roster",
         "absences", "texts", "webhooks")  # fmt: skip
RESIDENT = {"code": "C-050", "name": "川村 ミツ", "room": "305", "phone": "0172-00-0000", "reason": "入居"}
CLAIM = {"household": "H001", "code": "bed-sensor:bed-0412", "reason": "設置"}


async def test_every_route_has_a_gate() -> None:
    from mimamori.web import manage, manage_pages

    for route in [*manage.router.routes, *manage_pages.router.routes]:
        assert isinstance(route, APIRoute)
        gates = [d.call for d in route.dependant.dependencies if isinstance(d.call, Gate)]
        rights = {g.right for g in gates}
        changes = not route.methods <= {"GET", "HEAD"}
        assert rights == ({"manage"} if changes else rights & {"operate", "watch"}), route.path
        assert gates, route.path


@pytest.mark.parametrize("page", PAGES)
async def test_pages_are_for_administrators_and_auditors_only(ward: Any, page: str) -> None:
    for staff, status in (("AD-1", 200), ("AU-1", 200), ("N-01", 403)):
        assert (await (await ward.sign_in(staff)).get(f"/admin/{page}")).status_code == status


async def test_an_auditor_changes_nothing(ward: Any) -> None:
    client = await ward.sign_in("AU-1")
    before = await ward.ledger.residents()
    assert (await client.put(f"{A}/residents/H050", json=RESIDENT)).status_code == 403
    assert (await client.post("/admin/devices", data=CLAIM)).status_code == 403
    assert "保存する" not in (await client.get("/admin/residents/H001")).text
    assert await ward.ledger.residents() == before


async def test_a_resident_is_entered_and_changed_and_each_change_is_on_record(ward: Any) -> None:
    client = await ward.sign_in("AD-1")
    made = await client.put(f"{A}/residents/H050", json=RESIDENT)
    assert made.status_code == 200, made.text
    assert made.json()["phone"] == "+81172000000"
    ward.desk.entered.clear()
    again = await client.put(f"{A}/residents/H050", json=RESIDENT | {"room": "306", "reason": "転室"})
    assert again.status_code == 200
    assert ward.desk.entered.is_set()  # the running service is told
    lines = [(a.who, a.what, a.where) for a in await ward.ledger.accesses(whose="H050")]
    assert lines == [
        ("AD-1", "resident C-050 changed: room; 転室", "127.0.0.1"), ("AD-1", "resident C-050 added; 入居", "127.0.0.1")
    ]  # fmt: skip
    assert "川村" not in str(lines)


@pytest.mark.parametrize(
    ("household", "more", "said"),
    [
        ("H050", {"code": "C-001"}, "the code is taken"), ("H050", {"phone": "12"}, "no telephone number"),
        ("H050", {"reason": ""}, "a reason is needed"), ("H~ 5", {}, "letters, digits"),
        ("H050", {"code": " "}, "a code"),
        ("H050", {"note": "x" * 501}, "500"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_refused_leaves_no_trace(ward: Any, household: str, more: dict[str, str], said: str) -> None:
    client = await ward.sign_in("AD-1")
    answer = await client.put(f"{A}/residents/{household}", json=RESIDENT | more)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert [r.household for r in await ward.ledger.residents()] == ["H001"]
    assert await ward.ledger.accesses(whose=household) == []


async def test_a_device_is_claimed_once_replaced_and_retired(ward: Any) -> None:
    client = await ward.sign_in("AD-1")
    await client.put(f"{A}/residents/H050", json=RESIDENT)
    assert (await client.post(f"{A}/devices", json=CLAIM)).json()["profile"] == "bed-sensor"
    twice = await client.post(f"{A}/devices", json=CLAIM | {"household": "H050"})
    assert (twice.status_code, "H001" in twice.json()["detail"]) == (422, True)
    new = CLAIM | {"code": "bed-sensor/bed-0500", "instead_of": "bed-0412", "reason": "故障"}
    assert (await client.post(f"{A}/devices", json=new)).status_code == 200
    gone = (await client.post(f"{A}/devices/H001/bed-0500/retire", json={"reason": "退去"})).json()
    assert gone["active"] is False
    for at in (gone["claimed_at"], gone["retired_at"]):
        assert datetime.fromisoformat(at).utcoffset() is not None
    assert (await client.post(f"{A}/devices/H001/bed-0500/retire", json={"reason": "退去"})).status_code == 422
    assert [(d["device"], d["active"]) for d in (await client.get(f"{A}/devices")).json()] == [
        ("bed-0412", False), ("bed-0500", False)
    ]  # fmt: skip
    assert (await client.post(f"{A}/devices", json=CLAIM | {"household": "H050"})).status_code == 200  # free again
    assert await ward.ledger.verify() == []


async def test_a_device_that_nobody_claimed_is_offered(ward: Any) -> None:
    place = "mimamori/v1/H001/bed-0777/readings"
    await ward.ledger.quarantine([Rejected(place=place, reason="unknown-device", mend="", payload=b"", at=1)])
    page = await (await ward.sign_in("AD-1")).get("/admin/devices")
    assert "household=H001&amp;code=%3Abed-0777" in page.text


async def test_staff_role_telephone_and_leaving(ward: Any) -> None:
    client, nurse = await ward.sign_in("AD-1"), await ward.sign_in("N-01")
    entry = {"name": "佐藤 花子", "role": "auditor", "phone": "０８０−１１１１−２２２２", "reason": "異動"}
    made = (await client.put(f"{A}/staff/N-01", json=entry)).json()
    assert (made["phone"], made["role"], "password_hash" in made) == ("+818011112222", "auditor", False)
    assert (await nurse.get("/admin/staff")).status_code == 200  # the new role holds at once
    await client.put(f"{A}/staff/N-01", json=entry | {"active": False, "reason": "退職"})
    assert (await nurse.get("/")).status_code == 303
    last = {"name": "田中", "role": "nurse", "reason": "試し"}
    refused = await client.put(f"{A}/staff/AD-1", json=last)
    assert "the last administrator" in refused.json()["detail"]
    whats = [a.what for a in await ward.ledger.accesses() if a.what.startswith("staff")]
    assert "staff N-01 changed: active True->False; 退職" in whats


async def test_a_new_password_signs_the_person_out_and_lets_them_in_again(ward: Any) -> None:
    client, nurse = await ward.sign_in("AD-1"), await ward.sign_in("N-01")
    entry = {"name": "佐藤 花子", "role": "nurse", "password": "tsubaki-2027", "reason": "忘れた"}
    assert (await client.put(f"{A}/staff/N-01", json=entry)).status_code == 200
    assert (await nurse.get("/")).status_code == 303
    assert "x-csrf-token" in (await ward.sign_in("N-01", "tsubaki-2027")).headers
    assert "at least two kinds" in (await client.put(f"{A}/staff/N-01", json=entry | {"password": "tsubakiiii"})).text


async def test_an_absence_is_declared_and_ended(ward: Any) -> None:
    client = await ward.sign_in("AD-1")
    entry = {"household": "H001", "kind": "hospital", "start": "2026-11-23T06:00:00+09:00", "reason": "入院"}
    made = (await client.post(f"{A}/absences", json=entry)).json()
    assert (made["end"], made["by"]) == (None, "AD-1")
    assert (await client.post(f"{A}/absences", json=entry | {"end": entry["start"]})).status_code == 422
    assert (await client.post(f"{A}/absences", json=entry | {"kind": "moon"})).status_code == 422
    back = await client.post(f"{A}/absences/{made['id']}/end", json={"reason": "退院"})
    assert back.json()["end"] == "2026-11-23T06:40:05.000+09:00"
    assert (await client.post(f"{A}/absences/{made['id']}/end", json={"reason": "退院"})).status_code == 422
    form = {"household": "H001", "kind": "stay", "start": "2026-11-24T10:00", "end": "", "note": "", "reason": "外泊"}
    answer = await client.post("/admin/absences", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/absences?done=1")
    listed = (await client.get(f"{A}/absences")).json()
    assert {a["start"] for a in listed} == {"2026-11-23T06:00:00.000+09:00", "2026-11-24T10:00:00.000+09:00"}


async def test_the_roster_covers_14_days_without_a_gap(ward: Any) -> None:
    client = await ward.sign_in("AD-1")
    days = (await client.get(f"{A}/roster")).json()
    assert (len(days), days[0]["day"], days[-1]["day"]) == (14, "2026-11-23", "2026-12-06")
    for day in days:
        for parts in day["roles"].values():
            assert [p["ends"] for p in parts[:-1]] == [p["begins"] for p in parts[1:]]
            assert (parts[0]["begins"], parts[-1]["ends"]) == ("00:00", "24:00")
            assert all(p["reached"] == bool({"N-01", "N-02"} & set(p["people"])) for p in parts)


async def test_every_text_is_previewed_with_its_length(ward: Any) -> None:
    rows = (await (await ward.sign_in("AD-1")).get(f"{A}/texts")).json()
    assert {r["key"] for r in rows} >= {"sms.first", "sms.bundle", "sms.test", "reply.taken", "reply.unclear"}
    for row in rows:
        assert row["units"] == sms_length(row["text"])
        assert row["units"] <= row["most"] <= row["limit"]
        assert "{" not in row["text"]
    texts = {r["key"]: r["text"] for r in rows}
    assert "A-01" in texts["sms.first"]
    assert "すでにN-01が" in texts["reply.already"]


async def test_a_form_that_is_refused_keeps_what_was_written(ward: Any) -> None:
    client = await ward.sign_in("AD-1")
    form = {"household": "H050", "code": "C-001", "name": "川村 ミツ", "watched": "on", "reason": "入居"}
    answer = await client.post("/admin/residents/new", data=form)
    assert answer.status_code == 422
    assert "C-001 は世帯 H001 が使っています" in answer.text
    assert 'value="川村 ミツ"' in answer.text
    taken = await client.post("/admin/residents/new", data=form | {"household": "H001", "code": "C-9"})
    assert "もう使われています" in taken.text
    assert (await client.post("/admin/residents/new", data=form | {"code": "C-050"})).status_code == 303


async def test_a_webhook_is_registered_told_its_secret_once_and_ended(ward: Any, notice_for: Any) -> None:
    client = await ward.sign_in("AD-1")
    entry = {"url": "https://records.example/mimamori", "reason": "電子カルテ連携"}
    made = (await client.post(f"{A}/webhooks", json=entry)).json()
    assert (made["secret"].startswith("whsec_"), made["active"], made["by"]) == (True, True, "AD-1")
    for bad in ("ftp://records.example/", "https://", "https://a:b@records.example/", entry["url"]):
        assert (await client.post(f"{A}/webhooks", json=entry | {"url": bad})).status_code == 422, bad
    await ward.ledger.commit(events=[], now=1, notices=[
        notice_for("H001/inactivity/1", recipient=f"webhook:{made['id']}", channel="webhook", kind="event", text="{}")
    ])  # fmt: skip
    told = [
        await client.get(f"{A}/webhooks"), await client.get("/admin/webhooks"),
        await client.get(f"{A}/webhooks/{made['id']}/deliveries"),
    ]  # fmt: skip
    assert not any(made["secret"] in answer.text for answer in told)
    assert [d["status"] for d in told[2].json()] == ["planned"]
    assert (await client.get("/api/v1/notices")).json() == []
    assert (await client.post(f"{A}/webhooks/{made['id']}/end", json={"reason": "終了"})).json()["active"] is False
    assert (await client.post(f"{A}/webhooks/{made['id']}/end", json={"reason": "終了"})).status_code == 422
    form = {"url": "https://other.example/", "reason": "連携"}
    page = await client.post("/admin/webhooks", data=form)
    assert "whsec_" in page.text
    assert not any("whsec_" in a.what for a in await ward.ledger.accesses())
