"""What an administrator enters: checked, put in the plain form, and written with its line in the access log.

May import model and web.records. Used by the pages, the API and the command line alike, so that all refuse the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol, get_args
from urllib.parse import urlsplit

from mimamori.model.homes import ID
from mimamori.model.times import NEVER
from mimamori.web.records import (
    Absence,
    Access,
    Contact,
    Device,
    Entry,
    Note,
    Resident,
    Role,
    Staff,
    TakenError,
    Webhook,
)

LONGEST = {"name": 60, "code": 12, "area": 40, "room": 20, "risk": 40, "note": 500, "email": 120, "text": 1000}
AbsenceKind = Literal["hospital", "stay", "travel", "day-care", "other"]
Relation = Literal["family", "neighbour", "doctor", "care-manager", "helper", "other"]
_E164 = re.compile(r"\+[1-9][0-9]{7,14}\Z")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_CODE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)[:/]([A-Za-z0-9][A-Za-z0-9_.~-]{0,63})\Z")
_SECRET = {"password_hash", "secret"}
_PERSONAL = {"name", "phone", "email", "note", "risk", "area", "room"}  # that it changed is logged, not to what
_STAMPS = {"claimed_at", "retired_at"}  # the line has its own time


class Registry(Protocol):
    """The part of the ledger that an entry needs."""

    async def all_staff(self) -> Sequence[Staff]: ...

    async def residents(self) -> Sequence[Resident]: ...

    async def devices(self) -> Sequence[Device]: ...

    async def absences(self) -> Sequence[Absence]: ...

    async def enter(self, access: Access, *records: Entry) -> None: ...

    async def webhooks(self) -> Sequence[Webhook]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who enters it, why, from where, and when (ns UTC)."""

    who: str
    reason: str
    where: str
    at: int


def phone_number(text: str) -> str:
    """E.164 of a number as people write it (090-1234-5678 is +819012345678), "" for none. Raises ValueError."""
    digits = re.sub(r"[\s().\-‐-―−ー]", "", unicodedata.normalize("NFKC", text))
    if not digits:
        return ""
    number = "+81" + digits[1:] if re.fullmatch(r"0[1-9][0-9]{8,9}", digits) else digits
    if not _E164.match(number):
        msg = "電話番号が読み取れません。090-1234-5678 または +819012345678 の形で入力 / no telephone number"
        raise ValueError(msg)
    return number


def device_code(text: str, profiles: Collection[str]) -> tuple[str, str]:
    """(profile, device id) of the code on a device's label, such as "bed-sensor:bed-0412". Raises ValueError."""
    found = _CODE.match(unicodedata.normalize("NFKC", text).strip())
    if not found:
        msg = "機器コードは bed-sensor:bed-0412 の形です / a device's code looks like bed-sensor:bed-0412"
        raise ValueError(msg)
    profile, device = found.groups()
    if profile not in profiles:
        msg = f"機器の種類 {profile} はありません / no such profile; known: {', '.join(sorted(profiles))}"
        raise ValueError(msg)
    return profile, device


async def enter_staff(registry: Registry, staff: Staff, by: By) -> Staff:
    """Add or change one person. Raises ValueError, also where no administrator who can sign in would be left."""
    staff = replace(staff, phone=phone_number(staff.phone), name=staff.name.strip(), email=staff.email.strip())
    _check_id(staff.id, "職員番号 / staff id")
    _check_texts(staff)
    if not staff.name:
        raise ValueError("氏名を入力してください / a name is needed")
    if staff.role not in get_args(Role):
        raise ValueError(f"役割は次のどれかです / one of: {', '.join(get_args(Role))}")
    if staff.email and not _EMAIL.match(staff.email):
        raise ValueError("メールアドレスが読み取れません / no e-mail address")
    people = {s.id: s for s in await registry.all_staff()}
    before = people.get(staff.id)
    after = [*(s for s in people.values() if s.id != staff.id), staff]
    if before and _rules(before) and not any(map(_rules, after)):
        raise ValueError("最後の管理者です。先に別の管理者を登録 / the last administrator: add another first")
    await registry.enter(line_of(by, "staff", staff.id, "", before, staff), staff)
    return staff


def _rules(staff: Staff) -> bool:
    return staff.role == "administrator" and staff.active and bool(staff.password_hash)


async def enter_resident(registry: Registry, resident: Resident, by: By) -> Resident:
    """Add or change one household's resident. Raises ValueError; a code names one watched household only."""
    clean = {f.name: getattr(resident, f.name).strip() for f in fields(resident) if f.name not in {"watched", "phone"}}
    resident = replace(resident, **clean, phone=phone_number(resident.phone))
    _check_id(resident.household, "世帯番号 / household id")
    _check_texts(resident)
    if not resident.code:
        raise ValueError("表示コードを入力してください / a code is needed")
    known = {r.household: r for r in await registry.residents()}
    for other in known.values():
        if other.household != resident.household and other.watched and other.code == resident.code:
            msg = f"表示コード {resident.code} は世帯 {other.household} が使っています / the code is taken"
            raise ValueError(msg)
    line = line_of(by, "resident", resident.code, resident.household, known.get(resident.household), resident)
    await registry.enter(line, resident)
    return resident


async def add_device(
    registry: Registry, profiles: Collection[str], household: str, code: str, by: By, *, instead_of: str = ""
) -> Device:
    """Claim the device of this code for a household; instead_of: the device that it replaces, retired with it.

    Raises ValueError: unknown household or profile, or a device that is in use already. Of two who claim it at the same
    time, one is told that it is in use.
    """
    profile, name = device_code(code, profiles)
    if not any(r.household == household and r.watched for r in await registry.residents()):
        raise ValueError(f"世帯 {household[:64]} は見守り対象にありません / no such household: add the resident first")
    devices = await registry.devices()
    for known in devices:
        if known.device == name and known.active:
            msg = f"機器 {name} は世帯 {known.household} で使用中です / in use; retire it there first"
            raise ValueError(msg)
    made = Device(household=household, device=name, profile=profile, claimed_at=by.at)
    before = next((d for d in devices if (d.household, d.device) == (household, name)), None)
    if not instead_of:
        await _claim(registry, line_of(by, "device", name, household, before, made), made)
        return made
    old = _device(devices, household, instead_of)
    line = line_of(by, "device", f"{name} instead of {old.device}", household, before, made)
    await _claim(registry, line, replace(old, active=False, retired_at=by.at), made)
    return made


async def _claim(registry: Registry, line: Access, *devices: Device) -> None:
    try:
        await registry.enter(line, *devices)
    except TakenError as taken:
        msg = f"機器 {taken} は、いま別の人が登録または撤去しました。一覧を確かめてください / somebody else was quicker"
        raise ValueError(msg) from None


async def retire_device(registry: Registry, household: str, device: str, by: By) -> Device:
    """Take a device out of use. Raises ValueError if it is not in use."""
    old = _device(await registry.devices(), household, device)
    retired = replace(old, active=False, retired_at=by.at)
    await _claim(registry, line_of(by, "device", device, household, old, retired), retired)
    return retired


def _device(devices: Sequence[Device], household: str, device: str) -> Device:
    for known in devices:
        if (known.household, known.device) == (household, device) and known.active:
            return known
    raise ValueError(f"世帯 {household[:64]} に使用中の機器 {device[:64]} はありません / no such device in use")


async def enter_absence(registry: Registry, absence: Absence, by: By) -> Absence:
    """Add an absence, or change its end. Raises ValueError."""
    absence = replace(absence, kind=absence.kind.strip(), note=absence.note.strip(), by=by.who)
    _check_texts(absence)
    if absence.kind not in get_args(AbsenceKind):
        raise ValueError(f"不在の種類は次のどれかです / one of: {', '.join(get_args(AbsenceKind))}")
    if absence.end != NEVER and absence.end <= absence.start:
        raise ValueError("終わりは始まりより後にしてください / the end is not after the start")
    residents = {r.household: r for r in await registry.residents()}
    if absence.household not in residents:
        raise ValueError(f"世帯 {absence.household[:64]} は登録されていません / no such household")
    before = next((a for a in await registry.absences() if a.id == absence.id), None)
    line = line_of(by, "absence", residents[absence.household].code, absence.household, before, absence)
    await registry.enter(line, absence)
    return absence


async def add_webhook(registry: Registry, webhook: Webhook, by: By) -> Webhook:
    """Register an address. Raises ValueError; an address is in use once at most."""
    webhook = replace(webhook, url=webhook.url.strip(), by=by.who, added=by.at)
    place = urlsplit(webhook.url)
    if place.scheme not in {"http", "https"} or not place.hostname or len(webhook.url) > 500:
        raise ValueError("https://… の形で500字まで / an address is https://host/path, at most 500 characters")
    if place.username or place.password:
        raise ValueError("アドレスに利用者名やパスワードは書けません / no user name or password in the address")
    if any(w.active and w.url == webhook.url for w in await registry.webhooks()):
        raise ValueError("このアドレスは登録済みです / this address is registered already")
    await registry.enter(line_of(by, "webhook", f"{webhook.id} to {place.hostname}", "", None, webhook), webhook)
    return webhook


async def end_webhook(registry: Registry, id: str, by: By) -> Webhook:  # noqa: A002 - the word of the record
    """Switch one off. Raises ValueError if it is not in use."""
    found = next((w for w in await registry.webhooks() if w.id == id and w.active), None)
    if found is None:
        raise ValueError("使用中の通知先ではありません / no such webhook in use")
    ended = replace(found, active=False)
    await registry.enter(line_of(by, "webhook", id, "", found, ended), ended)
    return ended


async def add_note(registry: Registry, note: Note, by: By) -> Note:
    """Write a note on a household, for good. Raises ValueError."""
    note = replace(note, text=note.text.strip(), by=by.who)
    _check_texts(note)
    if not note.text:
        raise ValueError("記録を入力してください / the note is empty")
    await _known_home(registry, note.household)
    await registry.enter(_said(by, note.household, note.kind), note)
    return note


async def enter_contact(registry: Registry, contact: Contact, by: By) -> Contact:
    """Add somebody to call, or (active=False) remove them. Raises ValueError."""
    contact = replace(contact, name=contact.name.strip(), phone=phone_number(contact.phone), note=contact.note.strip())
    _check_texts(contact)
    if not contact.name or not contact.phone:
        raise ValueError("名前と電話番号を入力してください / a name and a telephone number are needed")
    if contact.relation not in get_args(Relation):
        raise ValueError(f"続柄は次のどれかです / one of: {', '.join(get_args(Relation))}")
    if not 1 <= contact.turn <= 20:
        raise ValueError("順番は1から20までです / the turn is 1 to 20")
    await _known_home(registry, contact.household)
    done = "added" if contact.active else "removed"
    await registry.enter(_said(by, contact.household, f"contact {contact.relation} {done}"), contact)
    return contact


async def _known_home(registry: Registry, household: str) -> None:
    if not any(r.household == household for r in await registry.residents()):
        raise ValueError(f"世帯 {household[:64]} は登録されていません / no such household")


def _said(by: By, whose: str, what: str) -> Access:
    """A line for what needs no reason of its own, or has one."""
    reason = f"; {by.reason.strip()[:200]}" if by.reason.strip() else ""
    return Access(who=by.who, whose=whose, what=what + reason, at=by.at, where=by.where)


def _check_id(text: str, what: str) -> None:
    if not ID.match(text):
        raise ValueError(f"{what}: 半角の英数字と . _ ~ - だけ、64字まで / letters, digits, . _ ~ - only, at most 64")


def _check_texts(record: Any) -> None:
    for name, longest in LONGEST.items():
        text = getattr(record, name, "")
        if len(text) > longest or any(unicodedata.category(c) == "Cc" and c != "\n" for c in text):
            raise ValueError(f"{name}: {longest}字まで、制御文字なし / at most {longest} characters, no control signs")


def line_of(  # noqa: PLR0917 - one sentence
    by: By, kind: str, name: str, whose: str, before: Any, after: Any
) -> Access:
    """The line in the access log about a record before (None: new) and after. Raises ValueError without a reason."""
    reason = by.reason.strip()
    if not reason:
        raise ValueError("変更の理由を入力してください / a reason is needed")
    if len(reason) > 200:
        raise ValueError("理由は200字まで / the reason has at most 200 characters")
    what = f"{kind} {name} {_difference(before, after)}; {reason}"
    return Access(who=by.who, whose=whose, what=what, at=by.at, where=by.where)


def _difference(before: Any, after: Any) -> str:
    if before is None:
        return "added"
    told = []
    for field in fields(after):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new and field.name not in _STAMPS:
            hidden = field.name in _PERSONAL | _SECRET
            told.append(field.name if hidden else f"{field.name} {old}->{new}")
    return "changed: " + (", ".join(told) or "nothing")
