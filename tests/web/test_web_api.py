"""The API: what it tells, and that what people do reaches the loop and its answer reaches them."""

from __future__ import annotations

import json
from typing import Any

from mimamori.model.readings import Rejected

ALERT = "H001/inactivity/20261122T213605Z"


async def test_status(ward: Any) -> None:
    client = await ward.sign_in("N-01")
    told = (await client.get("/api/v1/status")).json()
    assert (told["households"], told["counts"]["readings"], told["speed"]) == (12, 12345, 1.0)
    assert told["now"].startswith("2026-11-23T06:40:05")
    assert {light["name"] for light in told["lights"]} == {"broker", "sms"}


async def test_households_have_no_nan_and_worst_is_first(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H007"))
    client = await ward.sign_in("N-01")
    told = (await client.get("/api/v1/households")).json()
    assert (told[0]["household"], told[0]["state"], told[0]["priority"]) == ("H007", "alert", "high")
    assert next(h for h in told if h["household"] == "H004")["coverage"] is None
    assert (await client.get("/api/v1/households/nowhere")).status_code == 404


async def test_alerts_tell_why_and_what_happened(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    (line,) = (await client.get("/api/v1/alerts?state=open")).json()
    assert line["id"] == ALERT
    assert line["why"].startswith("05:10から動きがありません")
    assert line["evidence"]["expected"] == 16.7
    assert (line["resolved"], line["owner"], line["events"][0]["kind"]) == (None, None, "opened")
    assert (await client.get("/api/v1/alerts?state=resolved")).json() == []
    assert (await client.get("/api/v1/alerts/H001/never/1")).status_code == 404


async def test_an_old_alert_comes_from_its_events(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    ward.alerts.clear()
    ward.publish()
    client = await ward.sign_in("N-01")
    assert (await client.get(f"/api/v1/alerts/{ALERT}")).json()["id"] == ALERT
    assert "動きがありません" in (await client.get(f"/alerts/{ALERT}")).text


async def test_actions_reach_the_loop(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    path = f"/api/v1/alerts/{ALERT}"
    said = {
        "acknowledge": {"until": "2026-11-23T07:10:00+09:00"}, "note": {"text": "訪問します"},
        "shelve": {"until": "2026-11-23T08:00:00+09:00", "text": "検査中"},
        "resolve": {"outcome": "help-given", "text": "転倒なし"}, "reopen": {},
    }  # fmt: skip
    for action, body in said.items():
        answer = await client.post(f"{path}/{action}", json=body)
        assert (answer.status_code, answer.json()) == (200, {"done": True}), action
    assert [c.action for c in ward.seen] == list(said)
    assert {c.by for c in ward.seen} == {"N-01"}
    assert (ward.seen[3].outcome, ward.seen[3].text) == ("help-given", "転倒なし")


async def test_a_refusal_is_shown(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    ward.refuse = "somebody else has it; take it over"
    client = await ward.sign_in("N-01")
    answer = await client.post(f"/api/v1/alerts/{ALERT}/acknowledge", json={})
    assert (answer.status_code, answer.json()["detail"]) == (409, ward.refuse)
    page = await client.post(
        f"/alerts/{ALERT}/acknowledge", data={"csrf": client.headers["x-csrf-token"]}, headers={"x-csrf-token": ""}
    )
    assert page.status_code == 409
    assert "somebody else has it" in page.text


async def test_bad_requests_are_named(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    for body in ({"until": "tomorrow"}, {"outcome": "bored"}, {"until": "2026-11-23T07:10:00"}):
        assert (await client.post(f"/api/v1/alerts/{ALERT}/shelve", json=body)).status_code == 422, body
    assert (await client.post(f"/api/v1/alerts/{ALERT}/explode", json={})).status_code in {404, 405}
    assert ward.seen == []


async def test_plain_forms_work_without_scripts(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    csrf = client.headers.pop("x-csrf-token")
    done = await client.post(f"/alerts/{ALERT}/resolve", data={"csrf": csrf, "outcome": "false-alarm", "text": "在宅"})
    assert done.status_code == 303
    assert (ward.seen[0].action, ward.seen[0].outcome) == ("resolve", "false-alarm")


async def test_notices_hide_numbers_from_those_who_do_not_need_them(
    ward: Any, opened_event: Any, notice_for: Any
) -> None:
    event = opened_event("H001")
    await ward.tell(event, notice_for(event.alert))
    nurse, administrator = await ward.sign_in("N-01"), await ward.sign_in("AD-1")
    (told,) = (await nurse.get("/api/v1/notices", params={"alert": ALERT})).json()
    assert (told["address"], told["status"], told["channel"]) == ("…5678", "planned", "sms")
    (told,) = (await administrator.get("/api/v1/notices")).json()
    assert told["address"] == "+819012345678"
    page = (await nurse.get("/outbox")).text
    assert "返信1=対応" in page
    assert "+8190" not in page
    assert "090-1234" not in page
    assert "090-1234-5678" in (await administrator.get("/outbox")).text


async def test_a_call_to_the_resident_is_told_by_the_home(ward: Any, opened_event: Any, notice_for: Any) -> None:
    event = opened_event("H001")
    await ward.tell(event, notice_for(event.alert, recipient="home:H001", channel="voice"))
    nurse = await ward.sign_in("N-01")
    page = (await nurse.get("/outbox")).text
    assert "101 C-001 ご本人宅" in page
    assert "home:H001" not in page
    assert "the home of 101 C-001" in (await nurse.get("/outbox", params={"lang": "en"})).text


async def test_what_was_set_aside_is_told(ward: Any) -> None:
    row = Rejected(place="mimamori/v1/H001/bed/readings", reason="not-json", mend="send JSON", payload=b"\xff<b>", at=1)
    await ward.ledger.quarantine([row])
    client = await ward.sign_in("AD-1")
    told = (await client.get("/api/v1/quarantine")).json()
    assert told["counts"] == {"not-json": 1}
    assert (told["rows"][0]["mend"], told["rows"][0]["payload"]) == ("send JSON", "\\xff<b>")
    assert "send JSON" in (await client.get("/health")).text


async def test_texts_from_outside_are_escaped(ward: Any, opened_event: Any, a_tile: Any) -> None:
    bad = '<script>alert(1)</script>"'
    ward.tiles["H001"] = a_tile(0, room=bad, code=bad, headline_ja=bad)
    ward.publish()
    client = await ward.sign_in("N-01")
    for path in ("/", "/alerts", "/households/H001"):
        assert "<script>alert" not in (await client.get(path)).text, path


async def test_openapi_names_every_shape(ward: Any) -> None:
    client = await ward.client()
    told = json.loads((await client.get("/api/v1/openapi.json")).text)
    assert "/api/v1/alerts/{alert}/acknowledge" in told["paths"]
    assert {"AlertShape", "HouseholdShape", "NoticeShape", "StatusShape"} <= set(told["components"]["schemas"])


async def test_pages_in_english(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    client = await ward.sign_in("N-01")
    page = (await client.get("/alerts?lang=en")).text
    assert "No sign of life since 05:10" in page
    assert "Safety confirmation, not a medical device" in page
    assert "Take" in (await client.get("/alerts")).text  # the switch holds


async def test_speed_and_a_fault_are_shown(ward: Any) -> None:
    from mimamori.web.desk import Light

    dark = Light(name="sms", ok=False, text_ja="SMSの送信: 応答なし", text_en="no answer", since=ward.clock)
    ward.publish(speed=60.0, lights=(dark,))
    client = await ward.sign_in("N-01")
    page = (await client.get("/health")).text
    assert "模擬 60倍速" in page
    assert "設備異常 1" in page
    assert "SMSの送信: 応答なし" in page
