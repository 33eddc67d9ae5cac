"""What is known of one household beyond its tile: devices' health, notes, whom to call, past alerts, the letter.

May import entries, letter, manage's helpers, the guard and the stores' records. Pages and the API ask here alike.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from fastapi import Request

from mimamori.alerts.fold import fold_all
from mimamori.model.alert import Alert
from mimamori.model.times import DAY, MINUTE, NEVER, Nanos
from mimamori.sensors.profile import Profile
from mimamori.store.readings import Series
from mimamori.web import entries, manage
from mimamori.web.guard import Caller, Web, web_of
from mimamori.web.letter import MONTHS, Letter, letter_of, month_of
from mimamori.web.past import Past
from mimamori.web.records import Absence, Access, Contact, Device, Note, Resident
from mimamori.web.words import Lang

LOOK = DAY  # back, for what a device says
FAR = 30 * DAY  # back, for when a device was last heard at all
QUIET = 30 * MINUTE  # without a profile: a longer pause is a gap
MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
PAGE = 20  # past alerts at a time


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


async def letter_for(request: Request, household: str, month: str, lang: Lang) -> tuple[Letter, list[date]]:
    """The family's letter of a month ("" for this one), and the months there may be. Raises LookupError."""
    web, zone = web_of(request), manage.site_of(request).zone
    now = manage.moment(web)
    months = [month_of(now, zone.name, back) for back in range(MONTHS)]
    chosen = next((m for m in months if f"{m:%Y-%m}" == month), None if month else months[0])
    if chosen is None:
        raise LookupError("no such month in the last year")
    past = Past(readings=web.readings, household=household, zone=zone, until=now) if web.readings else None
    return await letter_of(web.records, household, chosen, past=past, zone=zone.name, lang=lang, now=now), months


async def add_letter_words(request: Request, caller: Caller, household: str, month: str, text: str) -> Note:
    """A few words of one's own for the letter. Raises ValueError."""
    if not MONTH.fullmatch(month):
        raise ValueError("月は 2026-11 の形で / write the month as 2026-11")
    return await add_note(request, caller, household, text, f"letter {month}")


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
    home = await resident_of(web, household)
    own = [Contact(id="", household=household, name=home.name, relation="home", phone=home.phone, turn=0)] if (
        home and home.phone) else []  # fmt: skip
    return [*own, *await web.records.contacts(household)]


def removed(contact: Contact) -> Contact:
    """The same, off the list; the record of whom was called stays readable."""
    return replace(contact, active=False)


async def contact_of(web: Web, household: str, contact: str) -> Contact:
    """One of those whom to call. Raises LookupError."""
    held = next((c for c in await web.records.contacts(household) if c.id == contact), None)
    if held is None:
        raise LookupError("no such contact of this household")
    return held


async def resident_of(web: Web, household: str) -> Resident | None:
    """Who lives there, None where nobody is entered."""
    return next((r for r in await web.records.residents() if r.household == household), None)


async def absences_of(web: Web, household: str) -> list[Absence]:
    """Those that go on, will, or ended since yesterday, in order."""
    since = manage.moment(web) - DAY
    mine = [a for a in await web.records.absences() if a.household == household]
    return sorted((a for a in mine if a.end == NEVER or a.end > since), key=lambda a: a.start)


async def end_absence(request: Request, caller: Caller, household: str, absence: str, said: manage.Because) -> Absence:
    """They are back. Raises LookupError if the absence is not this household's, ValueError if it is over."""
    if absence not in {a.id for a in await web_of(request).records.absences() if a.household == household}:
        raise LookupError("no such absence of this household")
    return await manage.end_absence(request, caller, absence, said)


def _by(web: Web, caller: Caller, reason: str = "") -> entries.By:
    return entries.By(who=caller.staff.id, reason=reason, where=caller.where, at=web.clock())


async def enter_contact(request: Request, caller: Caller, contact: Contact, reason: str) -> Contact:
    """Add or remove somebody to call. Raises ValueError."""
    web = web_of(request)
    return await entries.enter_contact(web.records, contact, _by(web, caller, reason))
