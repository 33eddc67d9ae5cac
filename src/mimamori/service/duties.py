"""What the service looks after at longer intervals than a tick: the roster ahead, the weekly test, who is on the staff.

May import alerts and the ledger. Reads no clock: `now` comes with the tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mimamori.alerts.book import Book
from mimamori.alerts.drill import drill_messages, due
from mimamori.alerts.outlook import Outlook, look_ahead, reachable, roles_called, why
from mimamori.alerts.plan import Person
from mimamori.alerts.seen import RuleInfo
from mimamori.model.alert import AlertEvent
from mimamori.model.findings import Level
from mimamori.model.notice import Notice
from mimamori.model.times import MINUTE, NEVER
from mimamori.store.ledger import Ledger
from mimamori.store.records import Staff

EVERY = 10 * MINUTE
ROSTER_HOLE = "roster-hole"


def persons(staff: Iterable[Staff]) -> dict[str, Person]:
    """Those who can be told."""
    return {s.id: Person(id=s.id, role=s.role, phone=s.phone, email=s.email) for s in staff if s.active}


@dataclass(frozen=True, slots=True)
class Found:
    """What a look brought: events the book has taken already, and messages for the outbox."""

    events: list[AlertEvent] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Duties:
    """people: who can be told, read anew at each look. homes: telephone by household, where it can be called."""

    people: Mapping[str, Person]
    homes: Mapping[str, str]
    reached: bool = True  # whether a call made at the last look would have reached somebody
    _looked: int = NEVER
    _told: dict[str, tuple[Level, int]] = field(default_factory=dict)

    async def look(self, book: Book, ledger: Ledger, now: int) -> Found:
        """Nothing, but for every ten minutes. Raises LedgerError."""
        if self._looked != NEVER and now - self._looked < EVERY:
            return Found()
        self.people = persons(await ledger.all_staff())
        reaches = await ledger.reaches()
        self._looked = now
        roster = book.content.roster
        roles = roles_called(book.content.policies.values())
        able = reachable(self.people, reaches)
        on = {who for role in roles for who in roster.on_call(role, now)} | set(roster.content.fallback)
        self.reached = not able.isdisjoint(on)
        events: list[AlertEvent] = []
        for outlook in look_ahead(roster, roles, able, now):
            events += self._tell(outlook, book, now)
        return Found(events, self._test(book, now))

    def _tell(self, outlook: Outlook, book: Book, now: int) -> list[AlertEvent]:
        """Only what has changed: an alert that a person has closed is not argued about."""
        begins = outlook.first.begins if outlook.first else NEVER
        if self._told.get(outlook.role) == (outlook.level, begins):
            return []
        self._told[outlook.role] = (outlook.level, begins)
        ja, en = why(outlook, book.content.roster)
        rule = RuleInfo(
            name=ROSTER_HOLE, category="technical", title_ja="当番に空きがあります", title_en="nobody can be called",
            explain=lambda _facts, _since, _at: (ja, en), facts=(), clears="itself",
        )  # fmt: skip
        return book.report(rule, outlook.role, outlook.level, now, now)

    def _test(self, book: Book, now: int) -> list[Notice]:
        """The same keys at each look within the hour: what is planned already stays as it is."""
        limits, zone = book.content.limits, book.content.roster.zone
        at = due(limits.drill, zone, now)
        if limits.drill is None or at is None:
            return []
        return drill_messages(limits.drill, book.content.texts, self.people, self.homes, zone, at)
