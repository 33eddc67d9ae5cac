"""What is known of one household beyond its tile: its devices' health, notes, whom to call, its past alerts.

May import entries, manage's helpers, the guard and the stores' records. Pages and the API ask here alike.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field

from mimamori.alerts.fold import fold_all
from mimamori.model.alert import Alert
from mimamori.model.times import DAY, MINUTE, NEVER, Nanos, iso_or_none
from mimamori.sensors.profile import Profile
from mimamori.store.readings import Series
from mimamori.web import entries, manage
from mimamori.web.guard import Caller, Gate, Web, web_of
from mimamori.web.records import Access, Contact, Device, Note
from mimamori.web.shapes import AlertShape, alert_shape, masked

router = APIRouter(prefix="/api/v1/households/{household}", tags=["household"])
LOOK = DAY  # back, for what a device says
FAR = 30 * DAY  # back, for when a device was last heard at all
QUIET = 30 * MINUTE  # without a profile: a longer pause is a gap
PAGE = 20  # past alerts at a time
Reason = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one device does. heard: ns of its newest message, NEVER. every: its usual pause in ns, 0 unknown.

    battery: percent, NaN unknown, told at battery_at. kept: share 0..1 of the last 24 h without a gap, NaN when it was
    not heard then. silent: it has been quiet for longer than its profile allows.
    """

    device: Device
    heard: int
    every: int
    kept: float
    battery: float
    battery_at: int
    silent: bool


def health(device: Device, series: Sequence[Series], allowed: int, now: int) -> Health:
    """From what it said lately (its series, of any length). allowed: ns, a longer pause is a gap."""
    mine = [s for s in series if s.device == device.device and len(s)]
    alive = [s for s in mine if s.metric == "heartbeat"]
    heard = max((int(s.taken[-1]) for s in mine), default=NEVER)
    battery = max((s for s in mine if s.metric == "battery"), key=lambda s: int(s.taken[-1]), default=None)
    times = np.unique(np.concatenate([s.taken for s in alive or mine])) if mine else np.empty(0, np.int64)
    lately = times[times > now - LOOK]
    return Health(
        device=device, heard=heard, every=int(np.median(np.diff(lately))) if len(lately) > 2 else 0,
        kept=_kept(np.unique(np.concatenate([s.taken for s in mine])) if mine else times, allowed, now),
        battery=float(battery.value[-1]) if battery else math.nan,
        battery_at=int(battery.taken[-1]) if battery else NEVER,
        silent=device.active and (heard == NEVER or now - heard > allowed),
    )  # fmt: skip


def _kept(times: Nanos, allowed: int, now: int) -> float:
    """Share of the time since the first message of the last day that lies in no pause longer than allowed."""
    lately = times[(times > now - LOOK) & (times <= now)]
    if not len(lately) or now <= int(lately[0]):
        return math.nan
    gaps = np.diff(np.append(lately, now))
    return 1.0 - float(gaps[gaps > allowed].sum()) / (now - int(lately[0]))


async def healths(web: Web, profiles: Sequence[Profile], household: str) -> list[Health]:
    """Of every device the household has or had, those in use first. Without readings at hand nothing is known."""
    now = manage.moment(web)
    devices = [d for d in await web.records.devices() if d.household == household]
    by = {p.name: p.silent_after for p in profiles}
    series = await web.readings.scan(household, now - LOOK, now + 1) if web.readings else []
    missing = {d.device for d in devices if d.active} - {s.device for s in series if len(s)}
    if missing and web.readings:
        series = [*series, *await web.readings.scan(household, now - FAR, now - LOOK)]
    found = [health(d, series, by.get(d.profile, QUIET), now) for d in devices]
    return sorted(found, key=lambda h: (not h.device.active, not h.silent, h.device.device))


async def past_alerts(web: Web, household: str, skip: int = 0, limit: int = PAGE) -> tuple[list[Alert], int]:
    """The household's alerts, newest first, and how many there are in all."""
    found = fold_all(await web.records.household_events(household))
    newest = sorted(found.values(), key=lambda a: -a.opened)
    return newest[skip : skip + limit], len(newest)


async def add_note(request: Request, caller: Caller, household: str, text: str, kind: str = "note") -> Note:
    """Write a note. Raises ValueError."""
    web = web_of(request)
    note = Note(id=secrets.token_hex(8), household=household, at=manage.moment(web), by="", text=text, kind=kind)
    return await entries.add_note(web.records, note, _by(web, caller))


async def show_contacts(request: Request, caller: Caller, household: str, why: str) -> list[Contact]:
    """Whom to call, the home first; who asked, and why, goes into the access log before anything is shown."""
    web = web_of(request)
    reason = why.strip()[:200]
    if not reason:
        raise ValueError("連絡先を見る理由を選んでください / say why you need the contacts")
    line = Access(
        who=caller.staff.id, whose=household, what=f"contacts; {reason}", at=web.clock(), where=caller.where
    )  # fmt: skip
    await web.records.log_access(line)
    home = next((r for r in await web.records.residents() if r.household == household), None)
    own = [Contact(id="", household=household, name=home.name, relation="home", phone=home.phone, turn=0)] if (
        home and home.phone) else []  # fmt: skip
    return [*own, *await web.records.contacts(household)]


def removed(contact: Contact) -> Contact:
    """The same, off the list; the record of whom was called stays readable."""
    return replace(contact, active=False)


def _by(web: Web, caller: Caller, reason: str = "") -> entries.By:
    return entries.By(who=caller.staff.id, reason=reason, where=caller.where, at=web.clock())


async def enter_contact(request: Request, caller: Caller, contact: Contact, reason: str) -> Contact:
    """Add or remove somebody to call. Raises ValueError."""
    web = web_of(request)
    return await entries.enter_contact(web.records, contact, _by(web, caller, reason))


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


class HistoryShape(BaseModel):
    count: int
    alerts: list[AlertShape]


def note_shape(note: Note, zone: str) -> NoteShape:
    return NoteShape(id=note.id, at=iso_or_none(note.at, zone), by=note.by, kind=note.kind, text=note.text)


def _contact_shape(contact: Contact, *, whole: bool = True) -> ContactShape:
    return ContactShape(
        id=contact.id, name=contact.name, relation=contact.relation, phone=masked(contact.phone, whole=whole),
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
        for h in await healths(web, manage.site_of(request).profiles, household)
    ]  # fmt: skip


@router.get("/alerts", dependencies=[Depends(Gate("watch", "history", "household"))])
async def history(request: Request, household: str, skip: Annotated[int, Query(ge=0)] = 0) -> HistoryShape:
    """Past and present alerts of the household, newest first, twenty at a time."""
    web = web_of(request)
    found, count = await past_alerts(web, household, skip)
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
    made = await plainly(add_note(request, caller, household, said.text))
    return note_shape(made, web_of(request).desk.view.zone)


@router.post("/contacts/show")
async def contacts(
    request: Request, household: str, said: Why, caller: Annotated[Caller, Depends(Gate("act", "contacts"))]
) -> list[ContactShape]:
    """Whom to call about the household. A reason is needed and is written into the access log."""
    return [_contact_shape(c) for c in await plainly(show_contacts(request, caller, household, said.reason))]


@router.post("/contacts")
async def contact(
    request: Request, household: str, said: ContactEntry, caller: Annotated[Caller, Depends(Gate("manage", "entry"))]
) -> ContactShape:
    """Add somebody to call."""
    made = Contact(id=secrets.token_hex(8), household=household, **said.model_dump(exclude={"reason"}))
    return _contact_shape(await plainly(enter_contact(request, caller, made, said.reason)))


async def plainly(work: Any) -> Any:
    """A refusal as HTTP has it."""
    try:
        return await work
    except ValueError as mistake:
        raise HTTPException(422, str(mistake)) from None
