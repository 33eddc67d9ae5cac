"""The hand-over sheet of one shift (申し送り): what happened, who was called, what is still open, who is on next.

May import alerts (fold, roster) and web.records. Told as of the shift's end, from what is in the ledger: a sheet of
last week reads as it did then. Reads no clock: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mimamori.alerts.fold import fold_all
from mimamori.alerts.load import CALLS
from mimamori.alerts.roster import Roster, Turn
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.notice import NoticeState
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.web.charts import Frame, Spec, timeline
from mimamori.web.past import MS
from mimamori.web.records import Absence, Note, Records, Resident, Staff

BACK = 7  # days of sheets that are offered
LINES = 12  # of the chart: more are told in the table only
_TOLD = frozenset({
    "opened", "worsened", "acknowledged", "escalated", "returned", "resolved", "reopened", "note", "shelved",
    "ack-expired", "asked",
})  # fmt: skip
_COLOURS = {"high": "#b3001b", "medium": "#ffc400", "low": "#bfe9f7"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One alert in the shift: as it stood at the end, its events of the shift, and the people called in it."""

    alert: Alert
    events: tuple[AlertEvent, ...]
    called: tuple[NoticeState, ...]  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All of it. until: ns, the shift's end, or the moment told of while it goes on.

    told: alerts about people and rooms, in order of their first event. open, taken, shelved: what the next shift
    inherits. silent: technical alerts that still stand. next: who is on duty then, by role: (from, to, staff ids).
    """

    turn: Turn
    until: int
    told: tuple[Told, ...]
    open: tuple[Alert, ...]
    taken: tuple[Alert, ...]
    shelved: tuple[Alert, ...]
    silent: tuple[Alert, ...]
    absences: tuple[Absence, ...]
    notes: tuple[Note, ...]
    following: Turn | None
    duties: Mapping[str, tuple[tuple[int, int, tuple[str, ...]], ...]]
    places: Mapping[str, str]
    people: Mapping[str, Staff]

    @property
    def done(self) -> bool:
        """Whether the shift is over."""
        return self.until >= self.turn.ends


def turn_at(roster: Roster, now: int) -> Turn | None:
    """The shift that is on; where two overlap, the one that began last; None in an hour without a shift."""
    on = roster.turns(now, now + 1)
    return on[-1] if on else None


def recent(roster: Roster, now: int) -> list[Turn]:
    """The shifts of the last days that have begun, newest first."""
    return [turn for turn in reversed(roster.turns(now - BACK * DAY, now)) if turn.begins <= now]


async def sheet_of(records: Records, roster: Roster, turn: Turn, now: int) -> Sheet:
    """The sheet of a shift as of its end, or as of now. Raises OSError when the ledger is away."""
    until = min(now, turn.ends)
    events = [e for e in await records.events_about(turn.begins) if e.at <= until]
    alerts = fold_all(events)
    within: dict[str, list[AlertEvent]] = {}
    for event in events:
        if event.at >= turn.begins and event.kind in _TOLD:
            within.setdefault(event.alert, []).append(event)
    told = [
        Told(alert=alerts[alert], events=tuple(mine), called=await _called(records, alert, turn.begins, until))
        for alert, mine in within.items()
        if alerts[alert].category != "technical"
    ]
    standing = sorted((a for a in alerts.values() if a.state != "resolved"), key=lambda a: a.opened)
    persons = [a for a in standing if a.category != "technical"]
    shelved = [a for a in persons if a.shelved_until > until]
    following = next((t for t in roster.turns(turn.ends - 1, turn.ends + DAY) if t.begins >= turn.ends - HOUR), None)
    residents = await records.residents()
    return Sheet(
        turn=turn, until=until, told=tuple(sorted(told, key=lambda t: t.events[0].at)),
        open=tuple(a for a in persons if a.state == "open" and a not in shelved),
        taken=tuple(a for a in persons if a.state == "acknowledged" and a not in shelved),
        shelved=tuple(shelved), silent=tuple(a for a in standing if a.category == "technical"),
        absences=_away(await records.absences(), turn.begins, following.ends if following else until),
        notes=tuple(n for n in await records.notes_between(turn.begins, until + 1) if n.kind == "note"),
        following=following, duties=_duties(roster, following) if following else {},
        places={r.household: place_of(r) for r in residents}, people={s.id: s for s in await records.all_staff()},
    )  # fmt: skip


def place_of(resident: Resident) -> str:
    """Room and code: what paper that lies about may tell."""
    return " ".join(filter(None, (resident.room, resident.code)))


async def _called(records: Records, alert: str, begins: int, until: int) -> tuple[NoticeState, ...]:
    states = await records.notices(alert=alert, limit=500)
    return tuple(
        s
        for s in states
        if begins <= s.planned_at <= until
        and s.notice.channel != "console"
        and s.notice.kind in {*CALLS, "ask"}
        and s.status != "cancelled"
    )


def _away(absences: Sequence[Absence], begins: int, ends: int) -> tuple[Absence, ...]:
    mine = [a for a in absences if a.start < ends and (a.end == NEVER or a.end > begins)]
    return tuple(sorted(mine, key=lambda a: a.start))


def _duties(roster: Roster, turn: Turn) -> dict[str, tuple[tuple[int, int, tuple[str, ...]], ...]]:
    return {role: tuple(roster.duties(role, turn.begins, turn.ends)) for role in roster.content.role}


def chart(sheet: Sheet, roster: Roster, titles: Mapping[str, str], width: int) -> Spec | None:
    """The shift's alerts over time, with the calls as triangles; None when there was none. titles: by alert id."""
    zone, shown = roster.zone, sheet.told[:LINES]
    if not shown:
        return None

    def ms(at: int) -> int:
        return zone.local(min(max(at, sheet.turn.begins), sheet.until)) // MS

    names = {
        t.alert.id: f"{sheet.places.get(t.alert.household, t.alert.household)} {titles[t.alert.id]}" for t in shown
    }
    rows = []
    for told in shown:
        over = next((e.at for e in told.events if e.kind == "resolved"), sheet.until)
        rows.append({
            "name": names[told.alert.id], "t": ms(told.alert.opened), "t2": ms(over), "tip": titles[told.alert.id],
            "colour": _COLOURS[told.alert.priority],
        })  # fmt: skip
    marks = [
        {"name": names[t.alert.id], "t": ms(s.planned_at), "tip": s.notice.recipient} for t in shown for s in t.called
    ]
    frame = Frame(start=zone.local(sheet.turn.begins) // MS, end=zone.local(sheet.turn.ends) // MS, width=width)
    return timeline(frame, rows, marks, list(dict.fromkeys(names.values())))
