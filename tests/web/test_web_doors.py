"""Pages and API are two doors of one house: docs/api.md is held against the routes, the stream and the scripts."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

import mimamori.web
from mimamori.web.guard import Gate
from mimamori.web.shapes import ChangeShape
from mimamori.web.words import catalogue

ROOT = Path(__file__).parents[2]
WEB = ROOT / "src/mimamori/web"
DOC = (ROOT / "docs/api.md").read_text("utf-8")
OPERATION = re.compile(r"`((?:GET|POST|PUT|DELETE) /[^` ]*)`")
# Read at import, before there are threads: CPython 3.11 confuses a parse with one that interrupts it (its gh-106905).
TREES = {p.stem: ast.parse(p.read_text("utf-8")) for p in WEB.glob("*.py")}
DOORS = ("pages", "manage_pages", "tuning_pages", "household_pages", "handover_pages")


def plain(path: str) -> str:
    """A path as OpenAPI has it, whatever its parameters are called or converted by."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def routes() -> dict[str, APIRoute]:
    """Every route of the console's modules, by operation."""
    found = {}
    for module in pkgutil.iter_modules(mimamori.web.__path__):
        for router in vars(importlib.import_module(f"mimamori.web.{module.name}")).values():
            if isinstance(router, APIRouter):
                mine = [r for r in router.routes if isinstance(r, APIRoute)]
                found |= {f"{m} {plain(r.path)}": r for r in mine for m in r.methods}
    return found


def table() -> dict[str, list[str]]:
    rows = [line.split(" | ", 1) for line in DOC.splitlines() if line.startswith(("| `GET /", "| `POST /"))]
    return {plain(OPERATION.findall(page)[0]): [plain(o) for o in OPERATION.findall(told)] for page, told in rows}


def rights(route: APIRoute) -> set[str]:
    return {d.call.right for d in route.dependant.dependencies if isinstance(d.call, Gate)}


async def test_whatever_a_page_shows_or_does_an_operation_does_too(ward: Any) -> None:
    told = (await (await ward.sign_in("AD-1")).get("/api/v1/openapi.json")).json()
    offered = {f"{m.upper()} {plain(path)}" for path, methods in told["paths"].items() for m in methods}
    own = DOC[DOC.index("The browser's own") : DOC.index("Beside these")]
    browsers = {plain(o) for o in OPERATION.findall(own)}
    pages = {name for name, r in routes().items() if not r.include_in_schema}
    assert pages == set(table()) | browsers
    for page, operations in table().items():
        assert operations, page
        assert set(operations) <= offered, page


async def test_who_may_do_it_on_a_page_may_do_it_by_the_api_and_nobody_else() -> None:
    every = routes()
    for page, operations in table().items():
        if page.startswith("POST"):
            for operation in operations:
                assert rights(every[page]) == rights(every[operation]), (page, operation)


async def test_every_route_has_a_gate_but_those_of_signing_in_and_the_web_app() -> None:
    open_to_all = {name for name, r in routes().items() if not rights(r)}
    assert open_to_all == {
        "GET /login", "POST /login", "GET /manifest.webmanifest", "GET /worker.js", "GET /offline",
        "GET /static/vega.js",
    }  # fmt: skip


async def test_whatever_a_gate_writes_into_the_access_log_has_a_text() -> None:
    gates = [d.call for r in routes().values() for d in r.dependant.dependencies if isinstance(d.call, Gate)]
    seen = {g.what.replace(" ", "-") for g in gates if g.whose and not g.what.startswith("fhir")}
    assert len(seen) > 25
    assert {f"seen.{what}" for what in seen} - set(catalogue()) == set()


def calls(module: str, of: str) -> set[str]:
    """Names of the methods that are called on something called `of`, such as web.records."""
    found = [n.func for n in ast.walk(TREES[module]) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    return {f.attr for f in found if getattr(f.value, "attr", getattr(f.value, "id", "")) == of}


async def test_pages_read_nothing_that_the_api_cannot_and_write_through_its_functions_alone() -> None:
    modules = set(TREES) - set(DOORS) - {"webhooks", "sign_in", "guard", "app"}
    told = {name for module in modules for name in calls(module, "records")} | calls("webhooks", "records")
    for door in DOORS:
        read = calls(door, "records")
        assert read <= told, door
        assert not {name for name in read if name.startswith(("enter", "put_", "add_", "end_", "log_"))}, door
        assert not calls(door, "readings"), door
        assert not calls(door, "desk") - {"tile", "alert"}, door  # commands go through `act`


async def test_every_address_in_scripts_and_forms_is_a_route() -> None:
    every = {o.partition(" ")[::2] for o in routes()} | {("GET", "/api/v1/live")}
    known = {re.compile(path.replace("{}", ".+")) for _, path in every}
    text = "".join(p.read_text("utf-8") for p in (*WEB.glob("static/*.js"), *WEB.glob("templates/*.html")))
    found = re.findall(r'(?:action=|href=|src=|fetch\(|EventSource\(|register\(|import\()["`](/[^"`?#]*)', text)
    assert len(found) > 30
    for path in found:
        asked = re.sub(r"\{\{.*?\}\}|\$\{.*?\}", "x", path.replace("{{ path }}", "residents"))
        file = WEB / asked.removeprefix("/")
        assert any(k.fullmatch(asked) for k in known) or (asked.startswith("/static/") and file.exists()), path


async def test_the_chapter_on_the_stream_names_its_events_and_fields(ward: Any) -> None:
    chapter = DOC[DOC.index("## Event stream") : DOC.index("## FHIR")]
    lines = re.finditer(r"^\| `(\w+)` .*\|([^|]*)\|$", chapter, re.MULTILINE)
    rows = {m[1]: set(re.findall(r"`(\w+)`", m[2])) for m in lines}
    sent = set(re.findall(r"event: (\w+)", (WEB / "live.py").read_text("utf-8")))
    assert set(rows) == sent
    assert sent == set(re.findall(r'source\.addEventListener\("(\w+)"', (WEB / "static/live.js").read_text("utf-8")))
    assert rows["change"] == set(ChangeShape.model_fields)
    client = await ward.sign_in("N-01")
    seen: dict[str, Any] = {}
    async with client.stream("GET", "/api/v1/live") as answer:
        kind = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            kind = value if name == "event" else kind
            if name == "data":
                seen[kind] = json.loads(value)
            if {"change", "beat"} <= seen.keys():
                break
    assert set(seen["change"]) == rows["change"]
    assert set(seen["beat"]) == rows["beat"]
    assert seen["change"]["full"] is True


async def test_a_household_as_the_api_tells_it(ward: Any) -> None:
    await ward.furnish("H001")
    client, at = await ward.sign_in("N-01"), "/api/v1/households/H001"
    assert (await client.get(f"{at}/resident")).json()["note"] == "耳が遠い。大きな声で。"
    assert (await client.get("/api/v1/households/H002/resident")).status_code == 404
    assert [(g["cause"], g["ends"] is None) for g in (await client.get(f"{at}/gaps")).json()] == [
        ("devices", True), ("service", False)
    ]  # fmt: skip
    declared = {"kind": "hospital", "start": "2026-11-23T05:00:00+09:00", "reason": "入院の電話"}
    made = (await client.post(f"{at}/absences", json=declared)).json()
    assert [a["id"] for a in (await client.get(f"{at}/absences")).json()] == [made["id"], "a1"]
    elsewhere = f"/api/v1/households/H002/absences/{made['id']}/end"
    assert (await client.post(elsewhere, json={"reason": "x"})).status_code == 404
    over = await client.post(f"{at}/absences/{made['id']}/end", json={"reason": "退院"})
    assert over.json()["end"] is not None
    again = await client.post(f"{at}/absences/{made['id']}/end", json={"reason": "退院"})
    assert again.status_code == 422
    words = {"text": "お孫さんのお話を楽しそうにされていました。"}
    assert (await client.put(f"{at}/letter?month=2026-11", json=words)).status_code == 200
    letter = (await client.get(f"{at}/letter")).json()
    assert (letter["month"], letter["words"], letter["by"]) == ("2026-11", words["text"], "佐藤 花子")
    assert (await client.get(f"{at}/letter?month=1999-01")).status_code == 404
    removed = f"{at}/contacts/c1/remove"
    assert (await client.post(removed, json={"reason": "引越し"})).status_code == 403
    manager = await ward.sign_in("AD-1")
    assert (await manager.post(removed, json={"reason": "引越し"})).json()["name"] == "山田 太郎"
    assert (await manager.post(f"{at}/contacts/zz/remove", json={"reason": "引越し"})).status_code == 404
    shown = (await client.post(f"{at}/contacts/show", json={"reason": "警報"})).json()
    assert [c["name"] for c in shown] == []


async def test_a_shift_and_the_staff_and_the_log_as_the_api_tells_them(ward: Any, opened_event: Any) -> None:
    await ward.tell(opened_event("H002"))
    client = await ward.sign_in("N-01")
    turn = (await client.get("/api/v1/handover")).json()["turns"][0]
    sheet = (await client.get(f"/api/v1/handover/{turn['day']}/{turn['name']}")).json()
    assert (sheet["turn"], sheet["done"]) == (turn, False)
    assert [(t["alert"]["household"], t["alert"]["events"][0]["kind"]) for t in sheet["told"]] == [("H002", "opened")]
    assert [a["household"] for a in sheet["open"]] == ["H002"]
    assert sheet["duties"]
    assert (await client.get("/api/v1/handover/2026-01-01/day")).status_code == 404
    assert (await client.get("/api/v1/handover/kept/x.html")).status_code == 404
    assert {"id": "N-01", "name": "佐藤 花子", "role": "nurse", "active": True} in (
        await client.get("/api/v1/people")
    ).json()
    assert (await client.get("/api/v1/accesses")).status_code == 403
    log = (await (await ward.sign_in("AU-1")).get("/api/v1/accesses?limit=50")).json()
    seen = next(a for a in log if a["what"] == "handover")
    assert (seen["who"], seen["where"]) == ("N-01", "127.0.0.1")
    charts = (await client.get(f"/api/v1/charts/alerts/{next(iter(ward.alerts))}")).json()
    assert {c["name"] for c in charts} >= {"signs", "balance"}
