"""How the console tells that somebody is declared away, or due home: wall, household page, why card, the return."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, iso, parse_instant
from mimamori.store.records import Absence

NOW = parse_instant("2026-11-23T06:40:05+09:00")
ALERT = "H001/inactivity/20261122T213605Z"


def shown(ward: Any, household: str, state: str, absence: str, until: int) -> None:
    """The tile as the loop makes it."""
    tile = replace(ward.tiles[household], state=state, absence=absence, absent_until=until)
    ward.tiles[household] = tile
    ward.publish()


async def test_the_wall_tells_who_is_away_until_when_and_who_is_awaited(ward: Any) -> None:
    shown(ward, "H001", "absent", "away", NOW + DAY)
    shown(ward, "H002", "absent", "away", NEVER)
    shown(ward, "H003", "watch", "awaited", NOW - HOUR)
    nurse = await ward.sign_in("N-01")
    page = (await nurse.get("/")).text
    tiles = {i: page.split(f'id="t-{i}"')[1].split("</a>")[0] for i in ("H001", "H002", "H003")}
    assert "11/24まで" in tiles["H001"]
    assert "不在" in tiles["H001"]
    assert "#shape-absent" in tiles["H001"]  # word and shape, not colour alone
    assert "終わり未定" in tiles["H002"]
    assert "帰宅待ち" in tiles["H003"]
    assert page.index('id="t-H003"') < page.index('id="t-H004"') < page.index('id="t-H001"')
    told = (await nurse.get("/api/v1/households/H001")).json()
    assert (told["state"], told["absence"], told["absent_until"]) == (
        "absent", "away", iso(NOW + DAY, "Asia/Tokyo")
    )  # fmt: skip
    assert (await nurse.get("/api/v1/households/H002")).json()["absent_until"] is None
    assert "11/24(火) 06:40まで" in (await nurse.get("/households/H001")).text
    assert "until Tue 24 Nov 06:40" in (await nurse.get("/households/H001?lang=en")).text


async def test_the_page_and_the_why_card_tell_that_rules_are_held(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H001"))
    nurse = await ward.sign_in("N-01")
    assert "判定はいま止まっています" not in (await nurse.get(f"/alerts/{ALERT}")).text
    shown(ward, "H001", "alert", "away", NOW + DAY)
    assert (
        "不在の届け（11/24(火) 06:40まで）があるため、この警報の判定はいま止まっています"
        in (await nurse.get(f"/alerts/{ALERT}")).text
    )
    assert "ご本人の動きや体調の警報を止めています" in (await nurse.get("/households/H001")).text
    shown(ward, "H001", "alert", "awaited", NOW - HOUR)
    assert "止まったままです" in (await nurse.get(f"/alerts/{ALERT}")).text
    assert "帰宅のしるしを待っています" in (await nurse.get("/households/H001")).text
    await ward.tell(opened_event("H001", rule="unexpected-presence"))  # no rule that is held
    other = ALERT.replace("inactivity", "unexpected-presence")
    assert "止まったままです" not in (await nurse.get(f"/alerts/{other}")).text


async def test_somebody_awaited_is_said_to_be_back(ward: Any) -> None:
    ended = Absence(id="a1", household="H001", kind="stay", start=NOW - DAY, end=NOW - HOUR)
    await ward.ledger.put_absence(ended)
    nurse = await ward.sign_in("N-01")
    back = "/api/v1/households/H001/absences/a1/end"
    assert (await nurse.post(back, json={"reason": "電話"})).status_code == 422  # over, and nobody is awaited
    assert "absences/a1/end" not in (await nurse.get("/households/H001")).text
    shown(ward, "H001", "watch", "awaited", ended.end)
    assert "absences/a1/end" in (await nurse.get("/households/H001")).text
    assert "absences/a1/end" in (await (await ward.sign_in("AD-1")).get("/admin/absences")).text
    answer = await nurse.post(back, json={"reason": "電話"})
    assert answer.status_code == 200, answer.text
    (absence,) = await ward.ledger.absences()
    assert abs(absence.end - NOW) < MINUTE
