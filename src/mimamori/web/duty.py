"""What administrators look at before it matters: who is on duty in the next days, and every message as it would go out.

May import alerts, model and web.records. Pure values of content, staff and `now`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from mimamori.alerts.fold import fold
from mimamori.alerts.roster import Roster
from mimamori.alerts.text import (
    ONE_SEGMENT,
    Language,
    Texts,
    bundle_text,
    call_text,
    drill_text,
    ended_text,
    longest_text,
    reply_text,
    taken_text,
)
from mimamori.alerts.units import sms_length, sms_units
from mimamori.model.alert import Alert, AlertEvent, Priority
from mimamori.model.times import MINUTE, Zone, from_datetime, to_datetime
from mimamori.web.records import Staff

DAYS = 14
_REPLIES = ("taken", "already", "passed", "received", "none", "unclear", "bundle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Who is on duty in part of a day. begins, ends: HH:MM of local time. reached: somebody can be called."""

    begins: str
    ends: str
    people: tuple[str, ...]
    reached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One local day: by role, in the roster's order of roles."""

    day: date
    roles: Mapping[str, tuple[Stretch, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One message filled with an example, and how long it may become. encoding: GSM-7 or UCS-2; units of it."""

    key: str
    text: str
    encoding: str
    units: int
    segments: int
    most: int
    limit: int


def next_days(roster: Roster, staff: Sequence[Staff], now: int, days: int = DAYS) -> list[Day]:
    """The roster of today and the days after it."""
    reachable = {s.id for s in staff if s.active and s.phone}
    zone = ZoneInfo(roster.content.zone)
    today = to_datetime(now, roster.content.zone).date()
    made = []
    for day in (today + timedelta(days=n) for n in range(days)):
        begins, ends = (from_datetime(datetime.combine(d, time(), tzinfo=zone)) for d in (day, day + timedelta(days=1)))
        roles = {
            role: tuple(_stretch(*duty, zone, reachable) for duty in roster.duties(role, begins, ends))
            for role in roster.content.role
        }
        made.append(Day(day=day, roles=roles))
    return made


def _stretch(begins: int, ends: int, people: tuple[str, ...], zone: ZoneInfo, reachable: set[str]) -> Stretch:
    first, last = (to_datetime(at, zone.key) for at in (begins, ends))
    until = f"{last:%H:%M}" if last.date() == first.date() else "24:00"
    return Stretch(
        begins=f"{first:%H:%M}", ends=until, people=people, reached=not reachable.isdisjoint(people)
    )  # fmt: skip


def previews(texts: Texts, zone: Zone, now: int) -> list[Preview]:
    """Every message and answer by SMS, as it would go out now about an example."""
    alerts = [_example(n, priority, now) for n, priority in enumerate(get_args(Priority))]
    first, language = alerts[0], texts.language
    made = {
        "sms.first": call_text(texts, "first", first, zone, now),
        "sms.repeat": call_text(texts, "repeat", first, zone, now),
        "sms.escalated": call_text(texts, "escalated", first, zone, now),
        "sms.taken": taken_text(texts, first, "N-01", zone, now),
        "sms.ended": ended_text(texts, first, zone, now),
        "sms.bundle": bundle_text(texts, alerts, zone, now),
        "sms.test": drill_text(texts, zone, now),
    }
    made |= {f"reply.{key}": reply_text(texts, key, replace(first, owner="N-01")) for key in _REPLIES}
    return [_preview(texts, key, text, language) for key, text in made.items()]


def _preview(texts: Texts, key: str, text: str, language: Language) -> Preview:
    section, name = key.split(".")
    encoding, segments = sms_units(text)
    longest = longest_text(texts, name, language, section)
    return Preview(
        key=key, text=text, encoding=encoding, units=sms_length(text), segments=segments,
        most=max(sms_length(longest), sms_length(text)), limit=ONE_SEGMENT[language],
    )  # fmt: skip


def _example(number: int, priority: Priority, now: int) -> Alert:
    code = f"A-{number + 1:02d}"
    return fold(None, AlertEvent(
        alert=f"{code}/example/{number}", kind="opened", at=now, by="engine", reason="example", household=code,
        rule="example", priority=priority, category="resident", since=now - 90 * MINUTE, title_ja="動きがありません",
        title_en="No activity", why_ja="", why_en="", evidence={},
    ))  # fmt: skip
