"""Administration under /api/v1/admin: residents, devices, staff, roster, absences, texts.

May import the entries, guard and duty. Every change carries a reason and is written with its line in the access log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from dataclasses import asdict, replace
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel

from mimamori.model.times import NEVER, iso_or_none, parse_instant
from mimamori.site import Site
from mimamori.web import duty, entries
from mimamori.web.guard import Caller, Gate, Web, web_of
from mimamori.web.records import Absence, Device, Resident, Role, Staff
from mimamori.web.sign_in import hash_password

router = APIRouter(prefix="/api/v1/admin", tags=["administration"])
Manager = Annotated[Caller, Depends(Gate("manage", "entry"))]
T = TypeVar("T")


class Because(BaseModel):
    """Why; written into the access log."""

    reason: str


class ResidentEntry(Because):
    code: str
    name: str = ""
    area: str = ""
    room: str = ""
    risk: str = ""
    note: str = ""
    watched: bool = True
    phone: str = ""


class DeviceEntry(Because):
    """code: as on the device's label, PROFILE:DEVICE. instead_of: the device it replaces."""

    household: str
    code: str
    instead_of: str = ""


class StaffEntry(Because):
    """password: a new one, or "" to keep what there is."""

    name: str
    role: Role
    phone: str = ""
    email: str = ""
    active: bool = True
    password: str = ""


class AbsenceEntry(Because):
    """start, end: ISO 8601 with an offset; no end: until further notice."""

    household: str
    kind: str
    start: str
    end: str | None = None
    note: str = ""


class StaffShape(BaseModel):
    id: str
    name: str
    role: Role
    phone: str
    email: str
    active: bool
    signs_in: bool


class DeviceShape(BaseModel):
    """claimed_at: null where it was registered without a day."""

    household: str
    device: str
    profile: str
    active: bool
    claimed_at: str | None
    retired_at: str | None


class AbsenceShape(BaseModel):
    id: str
    household: str
    kind: str
    start: str | None
    end: str | None
    by: str
    note: str


class StretchShape(BaseModel):
    begins: str
    ends: str
    people: list[str]
    reached: bool


class DayShape(BaseModel):
    day: str
    roles: dict[str, list[StretchShape]]


class TextShape(BaseModel):
    """units: of the encoding (GSM-7 or UCS-2); most: in its longest case; limit: of one segment everywhere."""

    key: str
    text: str
    encoding: str
    units: int
    segments: int
    most: int
    limit: int


def site_of(request: Request) -> Site:
    """The content of the site that is run."""
    site: Site = request.app.state.site
    return site


async def put_resident(request: Request, caller: Caller, household: str, said: ResidentEntry) -> Resident:
    """Add or change a household's resident. Raises ValueError, as all of these."""
    made = Resident(household=household, **said.model_dump(exclude={"reason"}))
    return await entered(request, entries.enter_resident(web_of(request).records, made, by_of(request, caller, said)))


async def claim_device(request: Request, caller: Caller, said: DeviceEntry) -> Device:
    """Claim a device by its code, perhaps in place of another."""
    profiles = {p.name for p in site_of(request).profiles}
    return await entered(request, entries.add_device(
        web_of(request).records, profiles, said.household, said.code, by_of(request, caller, said),
        instead_of=said.instead_of,
    ))  # fmt: skip


async def retire_device(request: Request, caller: Caller, household: str, device: str, said: Because) -> Device:
    """Take a device out of use."""
    by = by_of(request, caller, said)
    return await entered(request, entries.retire_device(web_of(request).records, household, device, by))


async def put_staff(request: Request, caller: Caller, who: str, said: StaffEntry) -> Staff:
    """Add or change one of the staff."""
    before = await web_of(request).records.staff(who)
    hashed = before.password_hash if before else ""
    if said.password:
        hashed = await asyncio.to_thread(hash_password, said.password)
    made = Staff(
        id=who, name=said.name, role=said.role, phone=said.phone, email=said.email, active=said.active,
        password_hash=hashed,
    )  # fmt: skip
    return await entered(request, entries.enter_staff(web_of(request).records, made, by_of(request, caller, said)))


async def put_absence(request: Request, caller: Caller, said: AbsenceEntry) -> Absence:
    """Declare an absence."""
    made = Absence(
        id=secrets.token_hex(8), household=said.household, kind=said.kind, note=said.note,
        start=parse_instant(said.start), end=parse_instant(said.end) if said.end else NEVER,
    )  # fmt: skip
    return await entered(request, entries.enter_absence(web_of(request).records, made, by_of(request, caller, said)))


async def end_absence(request: Request, caller: Caller, absence: str, said: Because) -> Absence:
    """The resident is back: the absence ends now, also one whose end has passed while they are still awaited.

    One that has not begun is over as it begins.
    """
    web = web_of(request)
    records, now = web.records, moment(web)
    found = next((a for a in await records.absences() if a.id == absence), None)
    if found is None or not goes_on(web, found):
        raise ValueError("続いている不在はありません / no such absence goes on")
    back = replace(found, end=max(now, found.start + 1))
    return await entered(request, entries.enter_absence(records, back, by_of(request, caller, said)))


def goes_on(web: Web, absence: Absence) -> bool:
    """Whether it can be ended: it is not over yet, or it is and its resident is awaited."""
    if absence.end == NEVER or absence.end > moment(web):
        return True
    tile = web.desk.tile(absence.household)
    return tile is not None and tile.absence == "awaited" and tile.absent_until == absence.end


async def entered(request: Request, work: Awaitable[T]) -> T:
    """Tells the running service that there is something new."""
    made = await work
    web_of(request).desk.entered.set()
    return made


def moment(web: Web) -> int:
    """The loop's own time, which may run faster; the real one before its first tick."""
    now = web.desk.view.now
    return web.clock() if now == NEVER else now


def by_of(request: Request, caller: Caller, said: Because) -> entries.By:
    """Who enters it, and why."""
    return entries.By(who=caller.staff.id, reason=said.reason, where=caller.where, at=web_of(request).clock())


def staff_shape(staff: Staff) -> StaffShape:
    """Without the password's hash."""
    return StaffShape(
        id=staff.id, name=staff.name, role=staff.role, phone=staff.phone, email=staff.email, active=staff.active,
        signs_in=bool(staff.password_hash) and staff.active,
    )  # fmt: skip


def absence_shape(absence: Absence, zone: str) -> AbsenceShape:
    """Times as ISO 8601 with an offset."""
    start, end = (iso_or_none(at, zone) for at in (absence.start, absence.end))
    return AbsenceShape(
        id=absence.id, household=absence.household, kind=absence.kind, start=start, end=end, by=absence.by,
        note=absence.note,
    )  # fmt: skip


def device_shape(device: Device, zone: str) -> DeviceShape:
    """Times as ISO 8601 with an offset, null where it never was."""
    claimed, retired = (iso_or_none(at, zone) for at in (device.claimed_at, device.retired_at))
    return DeviceShape(
        household=device.household, device=device.device, profile=device.profile, active=device.active,
        claimed_at=claimed, retired_at=retired,
    )  # fmt: skip


async def plainly(work: Awaitable[T]) -> T:
    """What it makes; a refusal as the API tells it."""
    try:
        return await work
    except ValueError as mistake:
        raise HTTPException(422, str(mistake)) from None


def _sees(what: str) -> Gate:
    return Gate("operate", what, "*")


@router.get("/residents", dependencies=[Depends(_sees("residents"))])
async def residents(request: Request) -> list[Resident]:
    """Every household's resident, with name and telephone."""
    return list(await web_of(request).records.residents())


@router.put("/residents/{household}")
async def resident(request: Request, household: str, caller: Manager, said: ResidentEntry) -> Resident:
    """Add or change a household's resident."""
    return await plainly(put_resident(request, caller, household, said))


@router.get("/devices", dependencies=[Depends(_sees("devices"))])
async def devices(request: Request) -> list[DeviceShape]:
    """Every device, in use or retired."""
    zone = site_of(request).zone.name
    return [device_shape(d, zone) for d in await web_of(request).records.devices()]


@router.post("/devices")
async def device(request: Request, caller: Manager, said: DeviceEntry) -> DeviceShape:
    """Claim a device for a household by the code on its label; refused while it is in use elsewhere."""
    return device_shape(await plainly(claim_device(request, caller, said)), site_of(request).zone.name)


@router.post("/devices/{household}/{device}/retire")
async def retire(request: Request, household: str, device: str, caller: Manager, said: Because) -> DeviceShape:
    """Take a device out of use: what it still sends is set aside, and its silence is no fault."""
    retired = await plainly(retire_device(request, caller, household, device, said))
    return device_shape(retired, site_of(request).zone.name)


@router.get("/staff", dependencies=[Depends(_sees("staff"))])
async def staff(request: Request) -> list[StaffShape]:
    """Everybody, active or not."""
    return [staff_shape(s) for s in await web_of(request).records.all_staff()]


@router.put("/staff/{who}")
async def one_of_staff(request: Request, who: str, caller: Manager, said: StaffEntry) -> StaffShape:
    """Add or change one of the staff; a new password, or leaving, ends all their sessions."""
    return staff_shape(await plainly(put_staff(request, caller, who, said)))


@router.get("/absences", dependencies=[Depends(_sees("absences"))])
async def absences(request: Request) -> list[AbsenceShape]:
    """Every declared absence."""
    return [absence_shape(a, site_of(request).zone.name) for a in await web_of(request).records.absences()]


@router.post("/absences")
async def absence(request: Request, caller: Manager, said: AbsenceEntry) -> AbsenceShape:
    """Declare an absence: rules that wait for a sign of the resident are held from its start to the return."""
    return absence_shape(await plainly(put_absence(request, caller, said)), site_of(request).zone.name)


@router.post("/absences/{absence}/end")
async def back(request: Request, absence: str, caller: Manager, said: Because) -> AbsenceShape:
    """The resident is back."""
    return absence_shape(await plainly(end_absence(request, caller, absence, said)), site_of(request).zone.name)


@router.get("/roster", dependencies=[Depends(Gate("watch", "roster"))])
async def roster(request: Request, days: Annotated[int, Query(ge=1, le=92)] = duty.DAYS) -> list[DayShape]:
    """Who is on duty in the next days, by role, in the order in which they are called."""
    web = web_of(request)
    found = duty.next_days(site_of(request).alerts.roster, await web.records.all_staff(), moment(web), days)
    return [DayShape(**asdict(d) | {"day": d.day.isoformat()}) for d in found]


@router.get("/texts", dependencies=[Depends(Gate("operate", "texts"))])
async def texts(request: Request) -> list[TextShape]:
    """Every SMS as it would go out about an example, with its length."""
    site = site_of(request)
    found = duty.previews(site.alerts.texts, site.zone, moment(web_of(request)))
    return [TextShape(**asdict(preview)) for preview in found]
