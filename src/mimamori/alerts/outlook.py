"""Hours to come in which a call would reach nobody, found before they begin, as alerts about the roster itself.

May import model and the pure parts beside it. Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mimamori.alerts.plan import Person
from mimamori.alerts.policy import Policy
from mimamori.alerts.roster import Hole, Roster
from mimamori.model.findings import Level
from mimamori.model.notice import Channel, Reach
from mimamori.model.times import DAY, to_datetime

AHEAD = 30 * DAY
_DAYS = "月火水木金土日"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a role's next thirty days hold: its first hole (None: none), how many, and how near the first one is."""

    role: str
    first: Hole | None
    holes: int
    level: Level


def look_ahead(roster: Roster, roles: Iterable[str], reachable: AbstractSet[str], now: int) -> list[Outlook]:
    """One outlook a role. Low: within 30 days; medium: within seven; high: within a day, or now."""
    found = []
    for role in roles:
        holes = roster.holes(role, now, now + AHEAD, reachable)
        first = holes[0] if holes else None
        found.append(Outlook(role=role, first=first, holes=len(holes), level=_near(first, now)))
    return found


def _near(hole: Hole | None, now: int) -> Level:
    if hole is None:
        return Level.NONE
    if hole.begins - now <= DAY:
        return Level.HIGH
    return Level.MEDIUM if hole.begins - now <= 7 * DAY else Level.LOW


def roles_called(policies: Iterable[Policy]) -> tuple[str, ...]:
    """Every role that some step tells, in a fixed order."""
    return tuple(sorted({role for policy in policies for step in policy.step for role in step.tell}))


def reachable(people: Mapping[str, Person], reaches: Sequence[Reach]) -> frozenset[str]:
    """Staff with an address over which the last try did not fail, or that was never tried."""
    broken = {(r.recipient, r.channel) for r in reaches if not r.works}
    channels: tuple[Channel, ...] = ("sms", "voice", "email")
    return frozenset(
        person.id
        for person in people.values()
        if any(person.address(channel) and (person.id, channel) not in broken for channel in channels)
    )


def why(outlook: Outlook, roster: Roster) -> tuple[str, str]:
    """The sentence for people (ja, en): when, which role, and why nobody can be reached."""
    hole, zone = outlook.first, roster.content.zone
    if hole is None:
        return "この先30日に空きはありません", "no hole in the next 30 days"
    title = roster.content.role[outlook.role].title
    begins, ends = to_datetime(hole.begins, zone), to_datetime(hole.ends, zone)
    when_ja = f"{begins:%m/%d}({_DAYS[begins.weekday()]}) {begins:%H:%M}から{ends:%m/%d %H:%M}まで"
    when_en = f"from {begins:%a %d %b %H:%M} to {ends:%a %d %b %H:%M}"
    if hole.people:
        names = ", ".join(hole.people)
        cause_ja, cause_en = f"当番の {names} に連絡がつきません", f"{names} on duty cannot be reached"
    else:
        cause_ja, cause_en = "当番がいません", "nobody is on duty"
    more_ja = f"。ほかに{outlook.holes - 1}件" if outlook.holes > 1 else ""
    more_en = f"; {outlook.holes - 1} more" if outlook.holes > 1 else ""
    return f"{when_ja}、{title.ja}:{cause_ja}{more_ja}", f"{when_en}, {title.en}: {cause_en}{more_en}"
