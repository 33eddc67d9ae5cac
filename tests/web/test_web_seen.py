"""The access log's page: who may see it, by resident, person and day, page by page; to look at it is a line in it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mimamori.model.times import DAY, MINUTE
from mimamori.store.records import Access
from mimamori.web.seen import SHOWN, named

AT = "/admin/accesses"


def rows_of(page: str) -> list[list[str]]:
    found = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", page)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.split(r"</t[hd]>", row)[:5]] for row in found]


async def test_administrators_and_auditors_see_who_saw_whom(ward: Any) -> None:
    nurse = await ward.sign_in("N-01")
    await nurse.get("/households/H001")
    assert (await nurse.get(AT)).status_code == 403
    assert (await nurse.get("/api/v1/accesses")).status_code == 403
    for who in ("AD-1", "AU-1"):
        client = await ward.sign_in(who)
        told = rows_of((await client.get(AT, params={"whose": "c-001"})).text)
        assert told == [["06:40", "佐藤 花子", "C-001", "利用者の画面を見た", "127.0.0.1"]]
        english = (await client.get(AT, params={"whose": "H001", "lang": "en"})).text
        assert rows_of(english)[0][3] == "saw the household"
        newest = rows_of((await client.get(AT, params={"lang": "ja", "who": who})).text)[0]
        assert newest[3] == "閲覧の記録を見た"  # the look before this one


async def test_the_log_is_read_page_by_page_though_it_grows(ward: Any) -> None:
    for i in range(SHOWN * 2 + 30):
        line = Access(who="N-02", whose=f"H00{1 + i % 2}", what=f"staff N-0{i} added; 着任", at=ward.clock - i * MINUTE)
        await ward.ledger.log_access(line)
    old = Access(who="N-02", whose="H001", what="wall", at=ward.clock - 20 * DAY)
    await ward.ledger.log_access(old)
    client, path, told = await ward.sign_in("AU-1"), f"{AT}?who=N-02", []
    for _ in range(4):
        text = (await client.get(path)).text
        told += [row[3] for row in rows_of(text)]
        link = re.search(r'href="(\?[^"]*before=[^"]*)"', text)
        if link is None:
            break
        path = AT + link[1].replace("&amp;", "&")
    assert told == [f"職員の登録 N-0{i} added; 着任" for i in range(SHOWN * 2 + 30)]
    days = {"first": "2026-11-01", "last": "2026-11-04", "whose": "C-001"}
    assert [r[3] for r in rows_of((await client.get(AT, params=days)).text)] == ["一覧を見た"]
    asked = {"who": "N-02", "ends": "2026-11-04T00:00:00+09:00"}
    assert [a["what"] for a in (await client.get("/api/v1/accesses", params=asked)).json()] == ["wall"]
    page = (await client.get("/api/v1/accesses", params={"who": "N-02", "limit": 3})).json()
    later = (await client.get("/api/v1/accesses", params={"who": "N-02", "limit": 3, "before": page[-1]["n"]})).json()
    assert [a["what"] for a in (*page, *later)] == [f"staff N-0{i} added; 着任" for i in range(6)]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"whose": "C-999"}, "番号 C-999 の利用者は登録されていません"),
        ({"first": "2026-13-01"}, "日付が読めません"),
        ({"first": "2026-11-05", "last": "2026-11-04"}, "この条件の記録はありません"),
    ],
)
async def test_what_cannot_be_found_is_said(ward: Any, asked: dict[str, str], told: str) -> None:
    client = await ward.sign_in("AD-1")
    assert told in (await client.get(AT, params=asked)).text
    assert (await client.get("/api/v1/accesses", params={"begins": "yesterday"})).status_code == 422


def test_details_of_a_change_stay_as_they_were_written() -> None:
    assert named("ja", "contacts; 警報の対応で電話する") == "連絡先を見た: 警報の対応で電話する"
    assert named("en", "device bed1 changed: household H1->H2; moved") == "device bed1 changed: household H1->H2; moved"
    assert named("ja", "something new") == "something new"
