"""One household beyond its tile under /api/v1/households: what `household` knows and the family's letter, as JSON.

May import household, letter, manage and what they import.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from mimamori.model.times import iso_or_none
from mimamori.web import household as known
from mimamori.web import manage
from mimamori.web.desk import Cause
from mimamori.web.guard import Caller, Gate, web_of
from mimamori.web.pages import drawing_of
from mimamori.web.records import Contact, Note, Resident
from mimamori.web.shapes import AlertShape, alert_shape

router = APIRouter(prefix="/api/v1/households/{household}", tags=["household"])
Reason = Annotated[str, Field(min_length=1, max_length=200)]
Actor = Annotated[Caller, Depends(Gate("act", "entry"))]
T = TypeVar("T")


class DeviceShape(BaseModel):
    """every_s: usual seconds between messages, null unknown. kept: share of the last 24 h without a gap, 0..1."""

    device: str
    profile: str
    active: bool
    claimed: str | None
    retired: str | None
    heard: str | None
    silent: bool
    every_s: float | None
    kept: float | None
    battery: float | None


class NoteEntry(BaseModel):
    text: str


class NoteShape(BaseModel):
    id: str
    at: str | None
    by: str
    kind: str
    text: str


class Why(BaseModel):
    """Why the contacts are looked at; written into the access log."""

    reason: Reason


class ContactEntry(Why):
    """turn: 1 is called first."""

    name: str
    relation: str
    phone: str
    turn: int = 1
    note: str = ""


class ContactShape(BaseModel):
    id: str
    name: str
    relation: str
    phone: str
    turn: int
    note: str


class AbsenceEntry(manage.Because):
    """start, end: ISO 8601 with an offset; no end: until further notice."""

    kind: str
    start: str
    end: str | None = None
    note: str = ""


class GapShape(BaseModel):
    """A time in the last 24 h in which nobody watched, and why. ends: null while it goes on."""

    cause: Cause
    begins: str | None
    ends: str | None


class LetterShape(BaseModel):
    """sentences: in the order of the letter. helped: the times that help was given. words: the staff's own."""

    month: str
    whole: bool
    sentences: list[str]
    helped: list[str]
    words: str
    by: str


class HistoryShape(BaseModel):
    count: int
    alerts: list[AlertShape]


def note_shape(note: Note, zone: str) -> NoteShape:
    return NoteShape(id=note.id, at=iso_or_none(note.at, zone), by=note.by, kind=note.kind, text=note.text)


def _contact_shape(contact: Contact) -> ContactShape:
    return ContactShape(
        id=contact.id, name=contact.name, relation=contact.relation, phone=contact.phone,
        turn=contact.turn, note=contact.note,
    )  # fmt: skip


@router.get("/devices", dependencies=[Depends(Gate("watch", "devices", "household"))])
async def devices(request: Request, household: str) -> list[DeviceShape]:
    """The household's devices and how they do: last heard, cadence, battery, silence."""
    web = web_of(request)
    zone = web.desk.view.zone
    return [
        DeviceShape(
            device=h.device.device, profile=h.device.profile, active=h.device.active,
            claimed=iso_or_none(h.device.claimed_at, zone), retired=iso_or_none(h.device.retired_at, zone),
            heard=iso_or_none(h.heard, zone), silent=h.silent, every_s=h.every / 1e9 or None,
            kept=None if math.isnan(h.kept) else h.kept, battery=None if math.isnan(h.battery) else h.battery,
        )
        for h in await known.healths(web, manage.site_of(request).profiles, household)
    ]  # fmt: skip


@router.get("/alerts", dependencies=[Depends(Gate("watch", "history", "household"))])
async def history(request: Request, household: str, skip: Annotated[int, Query(ge=0)] = 0) -> HistoryShape:
    """Past and present alerts of the household, newest first, twenty at a time."""
    web = web_of(request)
    found, count = await known.past_alerts(web, household, skip)
    return HistoryShape(count=count, alerts=[alert_shape(a, web.desk.view.zone) for a in found])


@router.get("/notes", dependencies=[Depends(Gate("watch", "notes", "household"))])
async def notes(request: Request, household: str) -> list[NoteShape]:
    """What the staff wrote about the household, newest first."""
    web = web_of(request)
    return [note_shape(n, web.desk.view.zone) for n in await web.records.notes(household)]


@router.post("/notes")
async def note(
    request: Request, household: str, said: NoteEntry, caller: Annotated[Caller, Depends(Gate("act", "note"))]
) -> NoteShape:
    """Write a note on the household; it stays as it is."""
    made = await plainly(known.add_note(request, caller, household, said.text))
    return note_shape(made, web_of(request).desk.view.zone)


@router.post("/contacts/show")
async def contacts(
    request: Request, household: str, said: Why, caller: Annotated[Caller, Depends(Gate("act", "contacts"))]
) -> list[ContactShape]:
    """Whom to call about the household. A reason is needed and is written into the access log."""
    return [_contact_shape(c) for c in await plainly(known.show_contacts(request, caller, household, said.reason))]


@router.post("/contacts/{contact}/remove")
async def remove_contact(
    request: Request, household: str, contact: str, said: manage.Because,
    caller: Annotated[Caller, Depends(Gate("manage", "entry"))],
) -> ContactShape:  # fmt: skip
    """Take somebody off the list; the record of whom was called stays readable."""
    held = await plainly(known.contact_of(web_of(request), household, contact))
    return _contact_shape(await plainly(known.enter_contact(request, caller, known.removed(held), said.reason)))


@router.post("/contacts")
async def contact(
    request: Request, household: str, said: ContactEntry, caller: Annotated[Caller, Depends(Gate("manage", "entry"))]
) -> ContactShape:
    """Add somebody to call."""
    made = Contact(id=secrets.token_hex(8), household=household, **said.model_dump(exclude={"reason"}))
    return _contact_shape(await plainly(known.enter_contact(request, caller, made, said.reason)))


@router.get("/resident", dependencies=[Depends(Gate("watch", "resident", "household"))])
async def resident(request: Request, household: str) -> Resident:
    """Who lives there, and what to know of them."""
    found = await known.resident_of(web_of(request), household)
    if found is None:
        raise HTTPException(404, "nobody is entered for this household")
    return found


@router.get("/gaps", dependencies=[Depends(Gate("watch", "gaps", "household"))])
async def gaps(request: Request, household: str) -> list[GapShape]:
    """When nobody watched in the last 24 h, newest first."""
    view = web_of(request).desk.view
    return [
        GapShape(cause=g.cause, begins=iso_or_none(g.begins, view.zone), ends=iso_or_none(g.ends, view.zone))
        for g in view.gaps.get(household, ())
    ]


@router.get("/absences", dependencies=[Depends(Gate("watch", "absences", "household"))])
async def absences(request: Request, household: str) -> list[manage.AbsenceShape]:
    """Absences that go on, will, or ended since yesterday."""
    zone = manage.site_of(request).zone.name
    return [manage.absence_shape(a, zone) for a in await known.absences_of(web_of(request), household)]


@router.post("/absences")
async def absence(request: Request, household: str, caller: Actor, said: AbsenceEntry) -> manage.AbsenceShape:
    """Declare an absence: whoever takes the call writes it down."""
    entry = manage.AbsenceEntry(household=household, **said.model_dump())
    return manage.absence_shape(
        await plainly(manage.put_absence(request, caller, entry)), manage.site_of(request).zone.name
    )


@router.post("/absences/{absence}/end")
async def back(
    request: Request, household: str, absence: str, caller: Actor, said: manage.Because
) -> manage.AbsenceShape:
    """They are back."""
    over = await plainly(known.end_absence(request, caller, household, absence, said))
    return manage.absence_shape(over, manage.site_of(request).zone.name)


@router.get("/letter", dependencies=[Depends(Gate("watch", "letter", "household"))])
async def letter(request: Request, household: str, month: str = "") -> LetterShape:
    """The family's letter of a month (2026-11; this one for none), in the language of ?lang=."""
    told, _ = await plainly(known.letter_for(request, household, month, drawing_of(request).lang))
    return LetterShape(
        month=f"{told.month:%Y-%m}", whole=told.whole, sentences=list(told.sentences), helped=list(told.helped),
        words=told.words, by=told.by,
    )  # fmt: skip


@router.put("/letter")
async def letter_words(request: Request, household: str, caller: Actor, said: NoteEntry, month: str) -> NoteShape:
    """The staff's own words in the letter."""
    made = await plainly(known.add_letter_words(request, caller, household, month, said.text))
    return note_shape(made, web_of(request).desk.view.zone)


async def plainly(work: Awaitable[T]) -> T:
    """What it makes; a refusal as HTTP has it."""
    try:
        return await work
    except LookupError as missing:
        raise HTTPException(404, str(missing.args[0])) from None
    except ValueError as mistake:
        raise HTTPException(422, str(mistake)) from None
