"""The ledger: what was decided, told and done, in SQLite by default or PostgreSQL by URL. One transaction a tick.

May import model and its neighbours. Reads no clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, delete, select

from mimamori.model.alert import AlertEvent
from mimamori.model.declared import Declaration
from mimamori.model.notice import Channel, Notice, NoticeState, Reach, Status
from mimamori.model.readings import Rejected
from mimamori.model.times import NEVER
from mimamori.store import chain, delivery, outbox, people, tables
from mimamori.store.database import LedgerError
from mimamori.store.records import EngineMark, Note, Unwatched
from mimamori.store.register import Register

__all__ = ["Ledger", "LedgerError"]


class Ledger(Register):
    """Make it with `open`; `close` it. Every method raises LedgerError, and then nothing of the call was done."""

    # -- one tick ------------------------------------------------------------------------------------------------

    async def commit(
        self, *, events: Sequence[AlertEvent], notices: Sequence[Notice], cancelled: Sequence[str] = (),
        mark: EngineMark | None = None, declared: Sequence[Declaration] = (), unwatched: Sequence[Unwatched] = (),
        now: int,
    ) -> None:  # fmt: skip
        """One transaction: appends the events, plans the notices whose key is new, cancels keys still planned, marks.

        A notice both planned and cancelled in one call ends cancelled. declared: what the engine was told of absences.
        unwatched: kept until a mark holds what came of it.
        """

        def work(connection: Connection) -> None:
            chain.append(connection, tables.alert_event, [asdict(e) for e in events])
            _follow(connection, events)
            outbox.plan(connection, notices, now)
            outbox.cancel(connection, cancelled)
            if mark is not None:
                people.put(connection, tables.engine_mark, {"one": 1, **asdict(mark)})
                connection.execute(delete(tables.unwatched).where(tables.unwatched.c.until <= mark.at))
            for said in declared:
                people.put(connection, tables.declaration, asdict(said) | {"spans": json.dumps(said.spans)})
            for gap in unwatched:
                people.put(connection, tables.unwatched, asdict(gap))

        await self._do(work)

    async def alert_events(
        self, *, alert: str | None = None, unresolved: bool = False, since: int = NEVER
    ) -> list[AlertEvent]:
        """Events in commit order: of one alert, of all alerts not resolved yet, or those at or after `since`."""
        table = tables.alert_event
        query = select(table.c.body).where(table.c.at >= since).order_by(table.c.id)
        if alert is not None:
            query = query.where(table.c.alert == alert)
        if unresolved:
            query = query.where(table.c.alert.in_(select(tables.open_alert.c.alert)))
        return await self._ask(lambda connection: [_event(body) for body in connection.execute(query).scalars()])

    async def events_about(self, since: int) -> list[AlertEvent]:
        """All events, in commit order, of every alert that is not resolved or to which something came since then."""
        table = tables.alert_event
        lately, live = select(table.c.alert).where(table.c.at >= since), select(tables.open_alert.c.alert)
        query = select(table.c.body).where(table.c.alert.in_(lately.union(live))).order_by(table.c.id)
        return await self._ask(lambda connection: [_event(body) for body in connection.execute(query).scalars()])

    async def notes_between(self, begins: int, ends: int) -> list[Note]:
        """What the staff wrote about any household in [begins, ends), oldest first."""
        at = tables.note.c.at
        return sorted(await self._rows(tables.note, Note, at >= begins, at < ends), key=lambda note: note.at)

    async def household_events(self, household: str) -> list[AlertEvent]:
        """All events of a household's alerts, in commit order."""
        alert: ColumnElement[str] = tables.alert_event.c.alert
        if self._url.get_backend_name() != "sqlite":
            alert = alert.collate("C")  # an order of signs, whatever the server's language
        first, beyond = f"{household}/", f"{household}0"  # "0" is the sign after "/"
        query = (
            select(tables.alert_event.c.body).where(alert >= first, alert < beyond).order_by(tables.alert_event.c.id)
        )
        return await self._ask(lambda connection: [_event(body) for body in connection.execute(query).scalars()])

    async def engine_mark(self) -> EngineMark | None:
        """The newest snapshot of the engine."""
        mark = tables.engine_mark.c
        query = select(mark.at, mark.version, mark.digest, mark.blob)
        row = await self._ask(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else EngineMark(**row)

    async def unwatched(self) -> list[Unwatched]:
        """When nobody watched since the newest snapshot, in order of time."""
        return await self._rows(tables.unwatched, Unwatched)

    async def verify(self) -> list[str]:
        """Breaks of the chains of alert events and accesses, in words; [] when both are whole."""
        both = (tables.alert_event, tables.access)
        return await self._ask(lambda connection: [text for t in both for text in chain.verify(connection, t)])

    # -- notices -------------------------------------------------------------------------------------------------

    async def due_notices(self, now: int, limit: int = 100) -> list[NoticeState]:
        """Planned, or to be tried again, and due: high priority first, then by when they were due."""
        return await self._ask(lambda connection: outbox.due(connection, now, limit, webhooks=False))

    async def due_webhooks(self, now: int, limit: int = 100) -> list[NoticeState]:
        """The same of what goes to webhooks."""
        return await self._ask(lambda connection: outbox.due(connection, now, limit, webhooks=True))

    async def mark_notice(
        self, key: str, *, status: Status, now: int, provider_id: str = "", detail: str = "", retry_at: int = NEVER
    ) -> bool:
        """What became of a notice. False, and nothing is done, if there is none of that key, it is cancelled, or it is
        to be sent but does not wait (see outbox.mark).
        """
        return await self._do(
            lambda connection: outbox.mark(
                connection, key, status=status, now=now, provider_id=provider_id, detail=detail, retry_at=retry_at
            )
        )

    async def notices(
        self, *, alert: str | None = None, recipient: str | None = None, limit: int = 200
    ) -> list[NoticeState]:
        """The newest first; to webhooks only where one is named as the recipient."""
        return await self._ask(lambda connection: outbox.newest(connection, alert, limit, recipient))

    async def notices_between(self, start: int, end: int) -> list[NoticeState]:
        """To people and homes, planned in [start, end), the newest first."""
        return await self._ask(lambda connection: outbox.between(connection, start, end))

    async def report_notice(self, key: str, *, provider_id: str, status: Status, detail: str, now: int) -> str | None:
        """What the provider says of a notice, by key or by its own id (see delivery.report): the key, or None."""
        return await self._do(lambda connection: delivery.report(connection, key, provider_id, status, detail, now))

    async def open_calls(self, since: int) -> list[NoticeState]:
        """Messages to people about alerts that are not resolved, planned since then, in the order of planning."""
        return await self._ask(lambda connection: outbox.open_calls(connection, since))

    async def told_since(self, since: int) -> list[Notice]:
        """What was really sent to people since then, oldest first."""
        return await self._ask(lambda connection: outbox.told_since(connection, since))

    async def read_notice(self, key: str, now: int) -> bool:
        """The person has answered this message; False if there is none of that key."""
        return await self._do(lambda connection: delivery.read(connection, key, now))

    async def claimed(self, provider_ids: Sequence[str]) -> set[str]:
        """Those of the provider's ids that belong to a notice."""
        return await self._ask(lambda connection: delivery.claimed(connection, provider_ids))

    async def reaches(self) -> list[Reach]:
        """When each person and home was last reached, and when not."""
        return await self._ask(delivery.reaches)

    async def note_reach(self, recipient: str, channel: Channel, *, detail: str, now: int) -> None:
        """Notes that this way reaches them, or for a detail that it does not."""
        work = delivery.failed if detail else delivery.reached
        words = (detail,) if detail else ()
        await self._do(lambda connection: work(connection, recipient, channel, now, *words))

    async def notice_counts(self) -> dict[str, int]:
        """By status; a status without a notice is left out."""
        return await self._ask(outbox.counts)

    async def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keeps the newest messages that were set aside; their counts by reason are never lost."""
        await self._do(lambda connection: people.quarantine(connection, rejected, self._keep))

    async def quarantined(self, limit: int = 100) -> list[Rejected]:
        """The newest first."""
        return await self._ask(lambda connection: people.quarantined(connection, limit))

    async def quarantine_counts(self) -> dict[str, int]:
        """By reason, since the ledger was made."""
        return await self._ask(people.quarantine_counts)


def _follow(connection: Connection, events: Sequence[AlertEvent]) -> None:
    """Keeps the list of unresolved alerts, from which a restart restores the book."""
    for change in events:
        if change.kind in {"opened", "reopened"}:
            people.put(connection, tables.open_alert, {"alert": change.alert, "since": change.at})
        elif change.kind == "resolved":
            connection.execute(delete(tables.open_alert).where(tables.open_alert.c.alert == change.alert))


def _event(body: str) -> AlertEvent:
    return AlertEvent(**json.loads(body))
