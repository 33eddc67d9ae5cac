"""Rehearse, try as a shadow, put in force, own limits of a resident: over HTTP, with the real process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mimamori.model.times import DAY, HOUR, NEVER, iso
from mimamori.store.records import EngineMark, ShadowAlert

A = "/api/v1/admin"
TRY = {"rule": "heart-rate", "settings": {"low.high": 55, "high.medium": 120}}


async def test_from_a_rehearsal_to_a_change_in_force_and_back(ward: Any) -> None:
    home = await ward.live_days(2)
    mark = EngineMark(at=ward.clock, version=0, digest="", blob=b"")
    await ward.ledger.commit(events=[], notices=[], mark=mark, now=ward.clock)
    client = await ward.sign_in("AD-1")
    begun = await client.post(f"{A}/rehearsals", json=TRY | {"days": 2})
    assert begun.status_code == 200, begun.text
    assert (await client.post(f"{A}/rehearsals", json=TRY)).status_code == 422  # one at a time
    job = begun.json()
    assert job["settings"] == {"low.high": 55}  # what the file says anyway is left out
    async with asyncio.timeout(60):
        while not (job["result"] or job["error"]):
            await asyncio.sleep(0.5)
            job = (await client.get(f"{A}/rehearsals/{job['id']}")).json()
    assert job["error"] == ""
    result = job["result"]
    assert (result["households"], result["before"]) == (1, 0)
    assert result["after"] == result["added_count"] > 0
    assert result["added"][0]["household"] == home
    assert result["minutes"] == result["after"] * 10.0  # assumed, and said so
    assert (job["done"], result["measured"]) == (job["of"], 0)

    page = (await client.get(f"/admin/rehearsals/{job['id']}")).text
    assert "1件10分と仮定" in page
    trial = (await client.post(f"{A}/trials", json=TRY | {"name": "下限55", "reason": "徐脈の見落とし"})).json()
    shadow = ShadowAlert(
        id=f"{trial['id']}/H001/heart-rate/1", trial=trial["id"], household="H001", device="", priority="high",
        opened=ward.clock + HOUR, ended=NEVER, why_ja="", why_en="",
    )  # fmt: skip
    await ward.ledger.put_shadow_alerts([shadow])
    seen = (await client.get(f"{A}/trials/{trial['id']}/comparison")).json()
    assert (seen["before"], seen["after"], seen["added"][0]["household"]) == (0, 1, "H001")
    assert "H001" not in str((await client.get("/api/v1/alerts")).json())  # a shadow tells nobody

    nameless = await client.post(f"{A}/trials/{trial['id']}/promote", json={"name": " ", "reason": "x"})
    assert nameless.status_code == 422
    made = await client.post(f"{A}/trials/{trial['id']}/promote", json={"name": "下限55", "reason": "試験の結果"})
    assert (made.json()["status"], made.json()["version"]) == ("in-force", 1)
    assert ward.desk.entered.is_set()
    assert (await now_of(client)) == (55, 1)
    await client.post(f"{A}/trials/{trial['id']}/end", json={"reason": "戻す"})
    assert (await now_of(client)) == (40, 0)
    whats = [a.what for a in await ward.ledger.accesses(limit=500) if a.what.startswith(("rule ", "shadow "))]
    assert len(whats) == 3
    assert "heart-rate version 1 " in whats[1]
    assert whats[1].endswith("試験の結果")
    assert await ward.ledger.verify() == []


async def now_of(client: Any) -> tuple[float, int]:
    (rule,) = [r for r in (await client.get(f"{A}/rules")).json() if r["rule"] == "heart-rate"]
    return next(p["now"] for p in rule["parameters"] if p["key"] == "low.high"), rule["version"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"rule": "heart-rate", "settings": {"low.high": 20}}, "within 30 and 55"),
        ({"rule": "heart-rate", "settings": {"hold": "9m"}}, "no bounds"),
        ({"rule": "power-outage", "settings": {}}, "no such rule"),
        ({"rule": "bed-exit", "settings": {"longest_limit": "soon"}}, "not a duration"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_refused(ward: Any, body: dict[str, Any], said: str) -> None:
    client = await ward.sign_in("AD-1")
    for what, more in (("rehearsals", {}), ("trials", {"name": "x", "reason": "y"})):
        answer = await client.post(f"{A}/{what}", json=body | more)
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
    assert await ward.ledger.trials() == []


async def test_a_residents_own_limit_is_set_and_taken_back(ward: Any) -> None:
    client = await ward.sign_in("AD-1")
    entry = {
        "household": "H001", "rule": "heart-rate", "key": "low.high", "value": 45, "reason": "主治医の指示",
        "until": iso(ward.clock + 30 * DAY, "Asia/Tokyo"),
    }  # fmt: skip
    made = await client.put(f"{A}/limits", json=entry)
    assert made.status_code == 200, made.text
    assert (made.json()["value"], made.json()["ward_value"], made.json()["unit"]) == (45, 40, "1min")
    assert made.json()["active"]
    for bad, said in (
        ({"value": 20}, "within 30"), ({"key": "hold"}, "not for one household"), ({"household": "H9"}, "no such"),
        ({"until": iso(ward.clock - DAY)}, "later than now"), ({"until": iso(ward.clock + 400 * DAY)}, "within a year"),
        ({"reason": ""}, "a reason"), ({"rule": "heater-failed", "key": "drop", "value": 4}, "not for one"),
    ):  # fmt: skip
        answer = await client.put(f"{A}/limits", json=entry | bad)
        assert (answer.status_code, said in answer.text) == (422, True), bad
    page = (await client.get("/admin/residents/H001/limits")).text
    assert "この方 45 /分 ／ 病棟 40 /分" in page
    assert "主治医の指示" in page
    ward.publish(now=ward.clock + 31 * DAY)
    assert "期限切れ" in (await client.get("/admin/residents/H001/limits")).text
    form = {"what": "bed-exit|longest_limit", "value": "2h", "until": "2027-02-01", "reason": "夜の読書"}
    assert (await client.post("/admin/residents/H001/limits", data=form)).status_code == 303
    wrong = await client.post("/admin/residents/H001/limits", data=form | {"value": "9h"})
    assert (wrong.status_code, "20m〜6h の範囲で" in wrong.text) == (422, True)
    ended = await client.post(f"{A}/limits/H001/bed-exit/longest_limit/end", json={"reason": "退院"})
    assert ended.json()["active"] is False
    lines = [a.what for a in await ward.ledger.accesses(whose="H001", limit=500) if a.what.startswith("limit ")]
    assert len(lines) == 3
    assert lines[-1].endswith("主治医の指示")
    for what, value, told in (
        ("stayed-in-bed|more_by_day.medium", "6h", "日中の在床がふだんより長い時間（中）"),
        ("inactivity|out_at_most", "48h", "この方 2日 ／ 病棟 1日20時間"),
        ("inactivity|at_most", "20h", "生活の動きなし"), ("heart-rate-unusual|deviations", "3", "標準偏差"),
        ("no-breathing|confirm_at_most", "4m", "信号が途絶えてから知らせるまで（最長）"),
    ):  # fmt: skip
        made = await client.post("/admin/residents/H001/limits", data=form | {"what": what, "value": value})
        assert made.status_code == 303, what
        rows = (await client.get("/admin/residents/H001/limits")).text.split('<form class="sheet entry"')[0]
        assert told in rows
    held = {f"{x['rule']} {x['key']}": x["active"] for x in (await client.get(f"{A}/limits")).json()}
    assert held["stayed-in-bed more_by_day.medium"] is True


async def test_who_may_do_what(ward: Any) -> None:
    for staff, sees, does in (("AU-1", 200, 403), ("N-01", 403, 403)):
        client = await ward.sign_in(staff)
        for path in (f"{A}/rules", f"{A}/trials", f"{A}/limits", "/admin/rules", "/admin/residents/H001/limits"):
            assert (await client.get(path)).status_code == sees, path
        assert (await client.post(f"{A}/rehearsals", json=TRY)).status_code == does
        assert (await client.put(f"{A}/limits", json={})).status_code in {does, 422}
        assert (await client.post("/admin/rules/heart-rate", data={"set.low.high": "50"})).status_code == does
    assert await ward.ledger.trials() == []
