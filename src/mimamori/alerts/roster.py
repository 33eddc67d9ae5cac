"""Who is on duty: shifts, rotations, changes of duty, Japanese holidays; and the hours when nobody is.

May import model only, and the `holidays` package for the calendar. Pure: `now` is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Literal

import holidays
import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mimamori.model.content import Content, ContentError, Duration, Text
from mimamori.model.times import DAY, MINUTE, from_datetime, to_datetime, zone_table

_BETWEEN = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")
_EPOCH_DAY = date(1970, 1, 1)


def parse_between(text: object) -> tuple[int, int]:
    """("16:30-00:30") -> ns since local midnight of begin and end; the end is past DAY when it is the next morning."""
    found = _BETWEEN.fullmatch(text) if isinstance(text, str) else None
    if not found:
        msg = f'"{text}" is not a time of day; write two times, such as "16:30-00:30"'
        raise ValueError(msg)
    h1, m1, h2, m2 = (int(g) for g in found.groups())
    begin, end = (h1 * 60 + m1) * MINUTE, (h2 * 60 + m2) * MINUTE
    if max(m1, m2) > 59 or begin >= DAY or end > DAY:
        msg = f'"{text}" is not a time of day; write 00:00 to 24:00'
        raise ValueError(msg)
    return begin, end if end > begin else end + DAY


Between = Annotated[tuple[int, int], BeforeValidator(parse_between)]


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no offset; add one, such as +09:00"
        raise ValueError(msg)
    return moment


Moment = Annotated[datetime, AfterValidator(_aware)]
Days = Literal["every-day", "working-days", "weekends-and-holidays"]
People = Annotated[tuple[str, ...], Field(min_length=1)]


class Shift(Content):
    """One shift of the day; over midnight it belongs to the day on which it begins."""

    title: Text
    between: Between
    sheet_before: Duration = 90 * MINUTE


class Role(Content):
    """Something a person can be on duty as."""

    title: Text


class Rotation(Content):
    """People who take turns at a role in some shifts."""

    role: str
    shifts: Annotated[tuple[str, ...], Field(min_length=1)]
    days: Days = "every-day"
    people: People
    turn: Literal["day", "week", "month"] = "week"
    together: Annotated[int, Field(ge=1)] = 1
    begins: date = Field(alias="from")
    ends: date | None = Field(default=None, alias="until")


class Override(Content):
    """A change of duty: in these hours the role is held by these people and no others."""

    role: str
    begins: Moment = Field(alias="from")
    ends: Moment = Field(alias="until")
    people: People

    @model_validator(mode="after")
    def _forward(self) -> Override:
        if self.ends <= self.begins:
            msg = "`until` is not after `from`; exchange them"
            raise ValueError(msg)
        return self


class RosterContent(Content):
    """`roster.toml`."""

    zone: str = "Asia/Tokyo"
    fallback: People
    shift: Mapping[str, Shift]
    role: Mapping[str, Role]
    rotation: tuple[Rotation, ...]
    override: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Hours in which a role has nobody who can be reached. begins, ends: ns UTC. people: on duty, not reachable."""

    role: str
    begins: int
    ends: int
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One shift on one day. day: on which it begins. begins, ends, sheet: ns UTC; its hand-over sheet is made then."""

    name: str
    title: Text
    day: date
    begins: int
    ends: int
    sheet: int


@cache
def _japan() -> holidays.HolidayBase:
    return holidays.country_holidays("JP")


def is_holiday(day: date) -> bool:
    """A national holiday of Japan, substitutes included."""
    return day in _japan()


def _matches(days: Days, day: date) -> bool:
    if days == "every-day":
        return True
    free = day.weekday() >= 5 or is_holiday(day)
    return free == (days == "weekends-and-holidays")


def _turn(rotation: Rotation, day: date) -> int:
    if rotation.turn == "day":
        return (day - rotation.begins).days
    if rotation.turn == "week":  # weeks begin on the weekday of `from`
        return (day - rotation.begins).days // 7
    return (day.year - rotation.begins.year) * 12 + day.month - rotation.begins.month


class Roster:
    """The roster as questions. Everything follows from the content and the time asked about."""

    def __init__(self, content: RosterContent) -> None:
        self.content = content
        self.zone = zone_table(content.zone)
        self._overrides = [(o, from_datetime(o.begins), from_datetime(o.ends)) for o in content.override]

    def on_call(self, role: str, now: int) -> tuple[str, ...]:
        """Staff ids on duty as `role`, in the order they are to be called; () for a hole.

        The last override written in the file that covers `now` holds; else all rotations that do, each person once.
        """
        for override, begins, ends in reversed(self._overrides):
            if override.role == role and begins <= now < ends:
                return override.people
        local = self.zone.local(now)
        found: dict[str, None] = {}
        for rotation in self.content.rotation:
            if rotation.role == role:
                for day in self._covered_from(rotation, local):
                    at = _turn(rotation, day)
                    count = min(rotation.together, len(rotation.people))
                    found |= {rotation.people[(at + k) % len(rotation.people)]: None for k in range(count)}
        return tuple(found)

    def _covered_from(self, rotation: Rotation, local: int) -> list[date]:
        """The days whose shifts of this rotation cover this local time: today's, or yesterday's over midnight."""
        today = _EPOCH_DAY + timedelta(days=local // DAY)
        days = []
        for back in (1, 0):
            day, time = today - timedelta(days=back), local % DAY + back * DAY
            if day < rotation.begins or (rotation.ends and day > rotation.ends) or not _matches(rotation.days, day):
                continue
            shifts = (self.content.shift[name].between for name in rotation.shifts)
            if any(begin <= time < end for begin, end in shifts):
                days.append(day)
        return days

    def holes(self, role: str, begins: int, ends: int, reachable: AbstractSet[str] | None = None) -> list[Hole]:
        """Every stretch of [begins, ends) with nobody on duty, or (if given) nobody in `reachable`. Exact.

        Duty changes only where a shift or override begins or ends or a local day turns, so it is asked once in each
        piece between such edges.
        """
        edges = self._edges(begins, ends)
        holes: list[Hole] = []
        for left, right in pairwise(edges):
            people = self.on_call(role, left)
            if people and (reachable is None or not reachable.isdisjoint(people)):
                continue
            last = holes[-1] if holes else None
            if last and last.ends == left and last.people == people:
                holes[-1] = Hole(role=role, begins=last.begins, ends=right, people=people)
            else:
                holes.append(Hole(role=role, begins=left, ends=right, people=people))
        return holes

    def duties(self, role: str, begins: int, ends: int) -> list[tuple[int, int, tuple[str, ...]]]:
        """[begins, ends) cut wherever duty changes: (from, to, people in the order they are called). Exact."""
        found: list[tuple[int, int, tuple[str, ...]]] = []
        for left, right in pairwise(self._edges(begins, ends)):
            people = self.on_call(role, left)
            if found and found[-1][2] == people:
                found[-1] = (found[-1][0], right, people)
            else:
                found.append((left, right, people))
        return found

    def turns(self, begins: int, ends: int) -> list[Turn]:
        """Every shift that overlaps [begins, ends), in order of its begin."""
        found = []
        first, last = (self.zone.local(at) // DAY for at in (begins, ends))
        for number in range(first - 1, last + 1):
            for name, shift in self.content.shift.items():
                local = np.array([number * DAY + edge for edge in shift.between], np.int64)
                starts, over = self.zone.instants(local).tolist()
                if starts < ends and begins < over:
                    day = _EPOCH_DAY + timedelta(days=number)
                    sheet = max(starts, over - shift.sheet_before)
                    found.append(Turn(name=name, title=shift.title, day=day, begins=starts, ends=over, sheet=sheet))
        return sorted(found, key=lambda turn: (turn.begins, turn.ends, turn.name))

    def _edges(self, begins: int, ends: int) -> list[int]:
        edges = {begins, ends}
        for _, left, right in self._overrides:
            edges |= {left, right}
        edges |= {int(t) for t in self.zone.begins}
        times = {0} | {t % DAY for s in self.content.shift.values() for t in s.between}
        first = self.zone.local(begins) // DAY - 1
        last = self.zone.local(ends) // DAY + 1
        offsets = {int(o) for o in self.zone.offsets}  # one for Japan; an edge too many does no harm
        for day in range(first, last + 1):
            for time in times:
                edges |= {day * DAY + time - offset for offset in offsets}
        return sorted(e for e in edges if begins <= e <= ends)


def check_roster(content: RosterContent) -> list[ContentError]:
    """Every role and shift named exists; every role is held by somebody; the zone is known."""
    errors = []
    for i, rotation in enumerate(content.rotation):
        errors += _unknown(f"rotation.{i}.role", rotation.role, content.role, "role")
        for shift in rotation.shifts:
            errors += _unknown(f"rotation.{i}.shifts", shift, content.shift, "shift")
    for i, override in enumerate(content.override):
        errors += _unknown(f"override.{i}.role", override.role, content.role, "role")
    for role in content.role:
        if not any(r.role == role for r in content.rotation):
            reason = "nobody takes turns at this role"
            errors.append(ContentError("roster.toml", f"role.{role}", reason, "add a [[rotation]] for it"))
    try:
        to_datetime(0, content.zone)
    except (KeyError, ValueError, OSError):
        reason = f'"{content.zone}" is not a time zone'
        errors.append(ContentError("roster.toml", "zone", reason, 'write "Asia/Tokyo"'))
    return errors


def _unknown(key: str, name: str, known: Mapping[str, object] | Sequence[str], what: str) -> list[ContentError]:
    if name in known:
        return []
    return [ContentError("roster.toml", key, f'no {what} "{name}"', f"known: {', '.join(sorted(known))}")]
