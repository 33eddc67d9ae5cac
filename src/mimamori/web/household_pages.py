"""One household's pages: how it is now, its devices, notes, absences and past alerts; whom to call, only on purpose.

May import household, manage, manage_pages, pages and what they import. Plain forms, which work without scripts.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from mimamori.web import household as known
from mimamori.web import manage
from mimamori.web.desk import queue_order
from mimamori.web.drawing import cards, names_of
from mimamori.web.entries import AbsenceKind, Relation
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.manage_pages import do, form_of, read_form, refused, with_offset
from mimamori.web.pages import drawing_of, page
from mimamori.web.plans import charts_for
from mimamori.web.records import Contact
from mimamori.web.words import say

router = APIRouter(prefix="/households/{household}", include_in_schema=False, default_response_class=HTMLResponse)
WHY = ("contact.alert", "contact.check", "contact.visit")  # reasons that need no typing, in the middle of a night
NOTES = 10  # on the page; the older ones behind a link
Actor = Annotated[Caller, Depends(Gate("act", "entry"))]


async def _place(request: Request, household: str) -> dict[str, Any]:
    """Tile, resident and what the household is called. Raises HTTPException for one that nobody knows."""
    web = web_of(request)
    tile = web.desk.tile(household)
    resident = await known.resident_of(web, household)
    if tile is None and resident is None:
        raise HTTPException(404, "no such household")
    room = tile.room or tile.code if tile else resident.room or resident.code if resident else household
    return {"household": household, "tile": tile, "resident": resident, "place": room}


async def _whole(request: Request, caller: Caller, household: str, status: int = 200, **more: Any) -> Response:
    web = web_of(request)
    place = await _place(request, household)
    shown = [a for a in queue_order(web.desk.view.alerts) if a.household == household]
    notes = [n for n in await web.records.notes(household) if n.kind == "note"]
    absences = await known.absences_of(web, household)
    values = {
        "cards": await cards(web.desk, web.records, shown), "wrong": "", "said": {},
        "charts": charts_for(request, drawing_of(request).lang, household),
        "titles": {p.name: getattr(p.title, drawing_of(request).lang) for p in manage.site_of(request).profiles},
        "devices": await known.healths(web, manage.site_of(request).profiles, household),
        "notes": notes if "notes" in request.query_params else notes[:NOTES], "more": len(notes) - NOTES,
        "absences": absences, "going": {a.id for a in absences if manage.goes_on(web, a)},
        "kinds": get_args(AbsenceKind), "why": WHY,
        "names": await names_of(web.records, [*(n.by for n in notes), *(a.by for a in absences)]),
        "told": say(drawing_of(request).lang, "act.done") if "done" in request.query_params else "",
    }  # fmt: skip
    return page(request, "household", caller, status=status, here="wall", live="queue", **(place | values | more))


@router.get("")
async def household(
    request: Request, household: str, caller: Annotated[Caller, Depends(Gate("watch", "household", "household"))]
) -> Response:
    """One household: who, how now, figures, alerts, devices, absences, notes, charts."""
    return await _whole(request, caller, household)


@router.get("/history")
async def history(
    request: Request, household: str, caller: Annotated[Caller, Depends(Gate("watch", "history", "household"))],
    skip: int = 0,
) -> Response:  # fmt: skip
    """The household's alerts of all time, newest first, with how each ended."""
    place = await _place(request, household)
    found, count = await known.past_alerts(web_of(request), household, max(0, skip))
    names = await names_of(web_of(request).records, [a.owner for a in found])
    return page(
        request, "history", caller, here="wall", alerts=found, count=count, skip=max(0, skip), step=known.PAGE,
        names=names, **place,
    )  # fmt: skip


async def _letter(
    request: Request, caller: Caller, household: str, month: str, *, status: int = 200, **more: Any
) -> Response:
    lang = drawing_of(request).lang
    place = await _place(request, household)
    try:
        letter, months = await known.letter_for(request, household, month, lang)
    except LookupError as missing:
        raise HTTPException(404, str(missing.args[0])) from None
    values = {"letter": letter, "months": months, "wrong": "", "told": ""}
    if "done" in request.query_params:
        values["told"] = say(lang, "act.done")
    return page(request, "letter", caller, status=status, here="wall", **(place | values | more))


@router.get("/letter")
async def letter(
    request: Request, household: str, caller: Annotated[Caller, Depends(Gate("watch", "letter", "household"))],
    month: str = "",
) -> Response:  # fmt: skip
    """The family's letter of one month, to print."""
    return await _letter(request, caller, household, month)


@router.post("/letter")
async def letter_words(request: Request, household: str, caller: Actor, month: str = "") -> Response:
    """A few words of one's own for the letter."""
    said = await form_of(request)
    if not known.MONTH.fullmatch(month):
        raise HTTPException(422, "write the month as 2026-11")
    work = known.add_letter_words(request, caller, household, month, said.get("text", ""))
    answer, wrong = await do(request, work, f"/households/{household}/letter")
    if answer is not None:
        return RedirectResponse(f"/households/{household}/letter?month={month}&done=1", 303)
    return await _letter(request, caller, household, month, status=422, wrong=wrong)


@router.post("/notes")
async def add_note(request: Request, household: str, caller: Actor) -> Response:
    """Write a note."""
    said = await form_of(request)
    work = known.add_note(request, caller, household, said.get("text", ""))
    answer, wrong = await do(request, work, f"/households/{household}")
    return answer or await _whole(request, caller, household, 422, wrong=wrong, said=said)


@router.post("/absences")
async def add_absence(request: Request, household: str, caller: Actor) -> Response:
    """Declare an absence: whoever takes the call writes it down."""
    said = await form_of(request)
    start, end = with_offset(said, manage.site_of(request).zone.name, "start", "end")
    entry = read_form(manage.AbsenceEntry, said, household=household, start=start, end=end or None)
    answer, wrong = await do(request, manage.put_absence(request, caller, entry), f"/households/{household}")
    return answer or await _whole(request, caller, household, 422, wrong=wrong, said=said)


@router.post("/absences/{absence}/end")
async def end_absence(request: Request, household: str, absence: str, caller: Actor) -> Response:
    """They are back."""
    entry = read_form(manage.Because, await form_of(request))
    try:
        work = known.end_absence(request, caller, household, absence, entry)
        answer, wrong = await do(request, work, f"/households/{household}")
    except LookupError as missing:
        raise HTTPException(404, str(missing.args[0])) from None
    return answer or await _whole(request, caller, household, 422, wrong=wrong)


@router.post("/contacts")
async def contacts(request: Request, household: str, caller: Actor) -> Response:
    """Whom to call: shown when somebody says why, and only on this one page."""
    said = await form_of(request)
    place = await _place(request, household)
    why = said.get("why", "")
    reason = say("ja", why) if why in WHY else said.get("reason", "")
    try:
        found = await known.show_contacts(request, caller, household, reason)
    except ValueError as refusal:
        return await _whole(request, caller, household, 422, wrong=refused(request, refusal))
    return _contacts(request, caller, found, place)


def _contacts(request: Request, caller: Caller, found: list[Contact], place: dict[str, Any], **more: Any) -> Response:
    values = {"contacts": found, "relations": get_args(Relation), "wrong": "", "said": {}, "told": ""}
    return page(request, "contacts", caller, here="wall", **(place | values | more))


@router.post("/contacts/add")
async def add_contact(
    request: Request, household: str, caller: Annotated[Caller, Depends(Gate("manage", "entry"))]
) -> Response:
    """Add somebody to call, and show the list as it is now."""
    said = await form_of(request)
    place = await _place(request, household)
    turn = said.get("turn", "")
    made = Contact(
        id=secrets.token_hex(8), household=household, name=said.get("name", ""), relation=said.get("relation", ""),
        phone=said.get("phone", ""), turn=int(turn) if turn.isdecimal() else 1, note=said.get("note", ""),
    )  # fmt: skip
    return await _changed(request, caller, made, place, said)


@router.post("/contacts/{contact}/remove")
async def remove_contact(
    request: Request, household: str, contact: str, caller: Annotated[Caller, Depends(Gate("manage", "entry"))]
) -> Response:
    """Take somebody off the list."""
    place = await _place(request, household)
    try:
        held = await known.contact_of(web_of(request), household, contact)
    except LookupError as missing:
        raise HTTPException(404, str(missing.args[0])) from None
    return await _changed(request, caller, known.removed(held), place, await form_of(request))


async def _changed(
    request: Request, caller: Caller, contact: Contact, place: dict[str, Any], said: dict[str, str]
) -> Response:
    lang = drawing_of(request).lang
    more: dict[str, Any] = {"told": say(lang, "act.done")}
    try:
        await known.enter_contact(request, caller, contact, said.get("reason", ""))
    except ValueError as refusal:
        more = {"wrong": refused(request, refusal), "said": said}
    found = await known.show_contacts(request, caller, contact.household, say("ja", "contact.changing"))
    return _contacts(request, caller, found, place, **more)
