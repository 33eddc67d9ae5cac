"""The administration pages: plain forms that do what the API of `manage` does, and work without scripts.

May import manage, pages and what they import. Holds no rule of its own: what is refused is said by the entries.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from mimamori.web import duty, manage
from mimamori.web.entries import AbsenceKind
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.manage import Manager, moment, site_of
from mimamori.web.pages import drawing_of, page
from mimamori.web.records import Device, Role
from mimamori.web.words import say

router = APIRouter(prefix="/admin", include_in_schema=False, default_response_class=HTMLResponse)
_TABS = {
    "admin-residents": "residents", "admin-resident": "residents", "admin-devices": "devices",
    "admin-staff": "staff", "admin-person": "staff", "admin-roster": "roster", "admin-absences": "absences",
    "admin-texts": "texts", "admin-webhooks": "webhooks", "admin-accesses": "accesses",
    "admin-rules": "rules", "admin-rule": "rules", "admin-rehearsal": "rules", "admin-trial": "rules",
    "admin-limits": "residents",
}  # fmt: skip
SHOWN = 200  # rows of a list; the search finds the others
_TOPIC = re.compile(r"mimamori/v1/([^/]+)/([^/]+)/")


def _sees(what: str) -> Any:
    return Depends(Gate("operate", what, "*"))


def shown(request: Request, name: str, caller: Caller, **values: Any) -> HTMLResponse:
    """A page of the administration, under its tab."""
    told = say(drawing_of(request).lang, "act.done") if "done" in request.query_params else ""
    usual = {"here": "admin", "told": told, "wrong": "", "said": {}, "tab": _TABS[name]}
    return page(request, name, caller, **(usual | values))


async def form_of(request: Request) -> dict[str, str]:
    """What was written into a form."""
    return {name: str(value) for name, value in (await request.form()).items() if name != "csrf"}


def refused(request: Request, error: Exception) -> str:
    """The words for a person, in their language: refusals hold Japanese and English with a slash between."""
    ja, slash, en = str(error).rpartition(" / ")
    return ja if slash and drawing_of(request).lang == "ja" else en


async def do(request: Request, work: Awaitable[object], to: str) -> tuple[Response | None, str]:
    """(where to go on, "") when it is done, (None, why not) when it is refused."""
    try:
        await work
    except ValueError as refusal:
        return None, refused(request, refusal)
    return RedirectResponse(f"{to}?done=1", 303), ""


def read_form(kind: type[BaseModel], said: Mapping[str, str], **more: Any) -> Any:
    """A form's fields as an entry. Raises HTTPException: our own forms are never so wrong."""
    try:
        return kind(**{k: v for k, v in said.items() if k in kind.model_fields} | more)
    except ValidationError:
        raise HTTPException(422, "a field of the form is missing; reload the page") from None


def with_offset(said: Mapping[str, str], zone: str, *names: str) -> list[str]:
    """Local times as the browser gives them, with the zone's offset; "" where there is none. Raises HTTPException."""
    try:
        return [
            datetime.fromisoformat(said[n]).replace(tzinfo=ZoneInfo(zone)).isoformat() if said.get(n) else ""
            for n in names
        ]
    except ValueError:
        raise HTTPException(422, "a time of the form is not understood; reload the page") from None


def _found(rows: list[Any], find: str, *names: str) -> list[Any]:
    wanted = find.strip().casefold()
    return [r for r in rows if not wanted or any(wanted in str(getattr(r, n)).casefold() for n in names)]


@router.get("")
async def start(_: Annotated[Caller, Depends(Gate("operate", "administration"))]) -> Response:
    """The first of the pages."""
    return RedirectResponse("/admin/residents", 303)


@router.get("/residents")
async def residents(request: Request, caller: Annotated[Caller, _sees("residents")], find: str = "") -> Response:
    """The list of households."""
    records = web_of(request).records
    rows = _found(list(await records.residents()), find, "household", "code", "name", "room", "area")
    count: dict[str, int] = {}
    for d in await records.devices():
        count[d.household] = count.get(d.household, 0) + d.active
    return shown(request, "admin-residents", caller, rows=rows[:SHOWN], all=len(rows), find=find, count=count)


@router.get("/residents/{household}")
async def resident(
    request: Request, household: str, caller: Annotated[Caller, Depends(Gate("operate", "household", "household"))]
) -> Response:
    """One household's form; "new" for an empty one."""
    held = next((r for r in await web_of(request).records.residents() if r.household == household), None)
    if held is None and household != "new":
        raise HTTPException(404, "no such household")
    said = asdict(held) if held else {"watched": True}
    return shown(request, "admin-resident", caller, household=household, said=said)


@router.post("/residents/{household}")
async def put_resident(request: Request, household: str, caller: Manager) -> Response:
    """Save it."""
    said = await form_of(request)
    who = said.get("household", "") if household == "new" else household
    entry = read_form(manage.ResidentEntry, said, watched="watched" in said)
    if household == "new" and any(r.household == who for r in await web_of(request).records.residents()):
        answer, wrong = None, say(drawing_of(request).lang, "admin.taken")
    else:
        answer, wrong = await do(request, manage.put_resident(request, caller, who, entry), "/admin/residents")
    return answer or shown(
        request, "admin-resident", caller, status=422, household=household, wrong=wrong,
        said=said | {"watched": entry.watched},
    )  # fmt: skip


async def _devices(request: Request, caller: Caller, find: str = "", **more: Any) -> Response:
    records = web_of(request).records
    codes = {r.household: r.code for r in await records.residents() if r.watched}
    known = list(await records.devices())
    rows = [(codes.get(d.household, ""), d) for d in _found(known, find, "household", "device", "profile")]
    strangers = _strangers(await records.quarantined(1000), known)
    profiles = sorted(p.name for p in site_of(request).profiles)
    return shown(
        request, "admin-devices", caller, rows=rows[:SHOWN], all=len(rows), find=find, codes=codes,
        strangers=strangers, profiles=profiles, **more,
    )  # fmt: skip


def _strangers(rejected: Any, known: list[Device]) -> list[tuple[str, str, int]]:
    """(household, device, when) of devices that were heard lately and that nobody has claimed."""
    in_use = {(d.household, d.device) for d in known}
    found: dict[tuple[str, str], int] = {}
    for row in rejected:
        match = _TOPIC.match(row.place) if row.reason == "unknown-device" else None
        if match and (match[1], match[2]) not in in_use:
            found.setdefault((match[1], match[2]), row.at)
    return [(home, device, at) for (home, device), at in found.items()][:20]


@router.get("/devices")
async def devices(request: Request, caller: Annotated[Caller, _sees("devices")], find: str = "") -> Response:
    """The list of devices, and the form to claim one."""
    said = {k: request.query_params.get(k, "") for k in ("household", "code")}
    return await _devices(request, caller, find, said=said)


@router.post("/devices")
async def claim(request: Request, caller: Manager) -> Response:
    """Claim, or replace."""
    said = await form_of(request)
    entry = read_form(manage.DeviceEntry, said)
    answer, wrong = await do(request, manage.claim_device(request, caller, entry), "/admin/devices")
    return answer or await _devices(request, caller, status=422, wrong=wrong, said=said)


@router.post("/devices/{household}/{device}/retire")
async def retire(request: Request, household: str, device: str, caller: Manager) -> Response:
    """Take one out of use."""
    entry = read_form(manage.Because, await form_of(request))
    answer, wrong = await do(request, manage.retire_device(request, caller, household, device, entry), "/admin/devices")
    return answer or await _devices(request, caller, status=422, wrong=wrong)


@router.get("/staff")
async def staff(request: Request, caller: Annotated[Caller, _sees("staff")]) -> Response:
    """The list of staff."""
    return shown(request, "admin-staff", caller, rows=await web_of(request).records.all_staff())


@router.get("/staff/{who}")
async def person(request: Request, who: str, caller: Annotated[Caller, _sees("staff")]) -> Response:
    """One person's form; "new" for an empty one."""
    held = await web_of(request).records.staff(who)
    if held is None and who != "new":
        raise HTTPException(404, "no such person")
    said = asdict(held) if held else {"active": True, "role": "nurse"}
    return shown(request, "admin-person", caller, who=who, said=said, roles=get_args(Role))


@router.post("/staff/{who}")
async def put_person(request: Request, who: str, caller: Manager) -> Response:
    """Save them."""
    said = await form_of(request)
    entry = read_form(manage.StaffEntry, said, active="active" in said)
    person_id = said.get("id", "") if who == "new" else who
    if who == "new" and await web_of(request).records.staff(person_id):
        answer, wrong = None, say(drawing_of(request).lang, "admin.taken")
    else:
        answer, wrong = await do(request, manage.put_staff(request, caller, person_id, entry), "/admin/staff")
    return answer or shown(
        request, "admin-person", caller, status=422, who=who, wrong=wrong, roles=get_args(Role),
        said=said | {"active": entry.active, "password_hash": ""},
    )  # fmt: skip


@router.get("/roster")
async def roster(request: Request, caller: Annotated[Caller, Depends(Gate("operate", "roster"))]) -> Response:
    """Who is on call in the next 14 days."""
    web, plan = web_of(request), site_of(request).alerts.roster
    people = await web.records.all_staff()
    days = duty.next_days(plan, people, moment(web))
    names = {s.id: s.name for s in people}
    return shown(request, "admin-roster", caller, days=days, roles=plan.content.role, names=names)


async def _absences(request: Request, caller: Caller, **more: Any) -> Response:
    web = web_of(request)
    codes = {r.household: r.code for r in await web.records.residents()}
    rows = sorted(await web.records.absences(), key=lambda a: -a.start)
    going, over = ([a for a in rows if manage.goes_on(web, a) is on] for on in (True, False))
    return shown(
        request, "admin-absences", caller, going=going, over=over[:50], codes=codes, kinds=get_args(AbsenceKind), **more
    )  # fmt: skip


@router.get("/absences")
async def absences(request: Request, caller: Annotated[Caller, _sees("absences")]) -> Response:
    """Absences that go on or will, and those that are over."""
    return await _absences(request, caller)


@router.post("/absences")
async def put_absence(request: Request, caller: Manager) -> Response:
    """Declare one; the browser gives local times without an offset."""
    said = await form_of(request)
    start, end = with_offset(said, site_of(request).zone.name, "start", "end")
    entry = read_form(manage.AbsenceEntry, said, start=start, end=end or None)
    answer, wrong = await do(request, manage.put_absence(request, caller, entry), "/admin/absences")
    return answer or await _absences(request, caller, status=422, wrong=wrong, said=said)


@router.post("/absences/{absence}/end")
async def end_absence(request: Request, absence: str, caller: Manager) -> Response:
    """They are back."""
    entry = read_form(manage.Because, await form_of(request))
    answer, wrong = await do(request, manage.end_absence(request, caller, absence, entry), "/admin/absences")
    return answer or await _absences(request, caller, status=422, wrong=wrong)


@router.get("/texts")
async def texts(request: Request, caller: Annotated[Caller, Depends(Gate("operate", "texts"))]) -> Response:
    """Every SMS as it would go out."""
    site = site_of(request)
    rows = duty.previews(site.alerts.texts, site.zone, moment(web_of(request)))
    return shown(request, "admin-texts", caller, rows=rows)
