"""The ledger: what was decided, told and done, in SQLite by default or PostgreSQL by URL. One transaction a tick.

May import model and its neighbours. Reads no clock. The event loop is never blocked: one thread does all the work,
so that calls take effect in the order in which they were made.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import ColumnElement, Connection, create_engine, delete, event, select
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mimamori.model.alert import AlertEvent
from mimamori.model.declared import Declaration
from mimamori.model.notice import Channel, Notice, NoticeState, Reach, Status
from mimamori.model.readings import Rejected
from mimamori.model.times import NEVER
from mimamori.store import chain, copies, delivery, outbox, people, tables
from mimamori.store.records import (
    Absence,
    Access,
    Contact,
    Device,
    EngineMark,
    Entry,
    Limit,
    Note,
    Resident,
    Session,
    ShadowAlert,
    Staff,
    Trial,
    Webhook,
)

QUARANTINE = 10_000
FILE = "ledger.sqlite"

T = TypeVar("T")


class LedgerError(OSError):
    """The ledger cannot do it now (server away, disk full, foreign file); nothing of the call was done."""


class Ledger:
    """Make it with `open`; `close` it. Every method raises LedgerError, and then nothing of the call was done."""

    def __init__(self, url: str, quarantine_keep: int) -> None:
        self._keep = quarantine_keep
        try:
            self._url = make_url(url)
        except ArgumentError as error:
            raise LedgerError(
                f'"{url}" is no database URL; write sqlite:///FILE or postgresql+psycopg://...'
            ) from error
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._engine = _engine(self._url.render_as_string(hide_password=False))

    @classmethod
    async def open(cls, url: str, *, recover: bool = True, quarantine_keep: int = QUARANTINE) -> Ledger:
        """Opens and migrates. recover=False, for a tool beside the running service, leaves notices being sent alone."""
        ledger = cls(url, quarantine_keep)
        if ledger._url.get_backend_name() == "sqlite" and ledger._url.database:
            Path(ledger._url.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            await ledger._do(_migrate)
            if recover:
                await ledger._do(outbox.take_back)
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def close(self) -> None:
        """Returns when the last call is done."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._engine.dispose()

    # -- one tick ------------------------------------------------------------------------------------------------

    async def commit(
        self, *, events: Sequence[AlertEvent], notices: Sequence[Notice], cancelled: Sequence[str] = (),
        mark: EngineMark | None = None, declared: Sequence[Declaration] = (), now: int,
    ) -> None:  # fmt: skip
        """One transaction: appends the events, plans the notices whose key is new, cancels keys still planned, marks.

        A notice both planned and cancelled in one call ends cancelled. declared: what the engine was told of absences.
        """

        def work(connection: Connection) -> None:
            chain.append(connection, tables.alert_event, [asdict(e) for e in events])
            _follow(connection, events)
            outbox.plan(connection, notices, now)
            outbox.cancel(connection, cancelled)
            if mark is not None:
                people.put(connection, tables.engine_mark, {"one": 1, **asdict(mark)})
            for said in declared:
                people.put(connection, tables.declaration, asdict(said) | {"spans": json.dumps(said.spans)})

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

    # -- people and things ---------------------------------------------------------------------------------------

    async def put_staff(self, staff: Staff) -> None:
        """Adds or overwrites."""
        await self._put(tables.staff, staff)

    async def staff(self, id: str) -> Staff | None:  # noqa: A002 - the word of the record
        """One person, active or not."""
        found = await self._rows(tables.staff, Staff, tables.staff.c.id == id)
        return found[0] if found else None

    async def all_staff(self) -> list[Staff]:
        """By id, active or not."""
        return await self._rows(tables.staff, Staff)

    async def add_session(self, session: Session) -> None:
        """Adds a session; those that ended before it began are cleared away."""
        await self._do(lambda connection: people.add_session(connection, session))

    async def session(self, token_hash: str, now: int) -> Staff | None:
        """Whose session it is, if it is in force and the person active."""
        return await self._ask(lambda connection: people.session_staff(connection, token_hash, now))

    async def end_session(self, token_hash: str) -> None:
        """Harmless for an unknown one."""
        mine = tables.session.c.token_hash == token_hash
        await self._do(lambda connection: connection.execute(delete(tables.session).where(mine)))

    async def put_resident(self, resident: Resident) -> None:
        """Adds or overwrites."""
        await self._put(tables.resident, resident)

    async def residents(self) -> list[Resident]:
        """By household."""
        return await self._rows(tables.resident, Resident)

    async def put_device(self, device: Device) -> None:
        """Adds or overwrites."""
        await self._put(tables.device, device)

    async def devices(self) -> list[Device]:
        """By household and device."""
        return await self._rows(tables.device, Device)

    async def put_absence(self, absence: Absence) -> None:
        """Adds or overwrites; an early return is the same id with another end."""
        await self._put(tables.absence, absence)

    async def absences(self, now: int | None = None, *, after: int = NEVER) -> list[Absence]:
        """Those in force at `now`, or all for None; those that were over at `after` (ns) left out."""
        return await self._ask(lambda connection: people.absences(connection, now, after))

    async def declarations(self) -> list[Declaration]:
        """What the engine was told of absences since the ledger was made, oldest first."""
        table = tables.declaration
        query = select(table.c.at, table.c.household, table.c.spans).order_by(table.c.at, table.c.household)
        rows = await self._ask(lambda connection: connection.execute(query).all())
        return [
            Declaration(at=at, household=home, spans=tuple((b, e) for b, e in json.loads(spans)))
            for at, home, spans in rows
        ]

    async def webhooks(self) -> list[Webhook]:
        """By id, in use or not."""
        return await self._rows(tables.webhook, Webhook)

    async def webhook(self, id: str) -> Webhook | None:  # noqa: A002 - the word of the record
        """One of them."""
        found = await self._rows(tables.webhook, Webhook, tables.webhook.c.id == id)
        return found[0] if found else None

    async def webhook_gone(self, id: str, now: int) -> None:  # noqa: A002
        """Its receiver answered that it is there no more: off from now on, with a line in the access log."""
        found = await self.webhook(id)
        if found and found.active:
            line = Access(who="outbox", whose="", what=f"webhook {id} switched off: its receiver answered 410", at=now)
            await self.enter(line, replace(found, active=False, detail="410"))

    async def notes(self, household: str) -> list[Note]:
        """What the staff wrote about a household, newest first."""
        found = await self._rows(tables.note, Note, tables.note.c.household == household)
        return sorted(found, key=lambda note: -note.at)

    async def contacts(self, household: str) -> list[Contact]:
        """Whom to call about a household, in order."""
        mine = (tables.contact.c.household == household) & tables.contact.c.active
        return sorted(await self._rows(tables.contact, Contact, mine), key=lambda contact: (contact.turn, contact.name))

    async def limits(self) -> list[Limit]:
        """Parameters of single households, in force or not, by household, rule and key."""
        return await self._rows(tables.limit, Limit)

    async def trials(self) -> list[Trial]:
        """Other parameters of rules: shadows and what is or was in force, by id."""
        return await self._rows(tables.trial, Trial)

    async def put_shadow_alerts(self, alerts: Sequence[ShadowAlert]) -> None:
        """Adds or overwrites."""

        def work(connection: Connection) -> None:
            for alert in alerts:
                people.put(connection, tables.shadow_alert, asdict(alert))

        await self._do(work)

    async def shadow_alerts(self, trial: str) -> list[ShadowAlert]:
        """Those of one trial, by id."""
        return await self._rows(tables.shadow_alert, ShadowAlert, tables.shadow_alert.c.trial == trial)

    async def enter(self, access: Access, *records: Entry) -> None:
        """Adds or overwrites the records with the line that tells who did it and why: all of it or nothing.

        Raises TakenError for a device that is claimed twice.
        """
        await self._do(lambda connection: people.enter(connection, access, records))

    async def log_access(self, access: Access) -> None:
        """Appends to the access log's chain."""
        await self._do(lambda connection: chain.append(connection, tables.access, [asdict(access)]))

    async def accesses(self, *, whose: str | None = None, limit: int = 200) -> list[Access]:
        """The newest first; of one household, or of all for None."""
        query = select(tables.access.c.body).order_by(tables.access.c.id.desc()).limit(limit)
        if whose is not None:
            query = query.where(tables.access.c.whose == whose)
        found = await self._ask(lambda connection: connection.execute(query).scalars().all())
        return [Access(**json.loads(body)) for body in found]

    async def access_lines(
        self, *, whose: str = "", who: str = "", begins: int = NEVER, ends: int | None = None, before: int = 0,
        limit: int = 100,
    ) -> list[tuple[int, Access]]:  # fmt: skip
        """(number, line), the newest first, of [begins, ends) ns; of one household, of one person where they are given.

        before: only lines that come after the line of this number in that order: the next page.
        """
        asked = (whose, who, begins, ends, before, limit)
        return await self._ask(lambda connection: people.access_lines(connection, *asked))

    async def quarantine(self, rejected: Sequence[Rejected]) -> None:
        """Keeps the newest messages that were set aside; their counts by reason are never lost."""
        await self._do(lambda connection: people.quarantine(connection, rejected, self._keep))

    async def quarantined(self, limit: int = 100) -> list[Rejected]:
        """The newest first."""
        return await self._ask(lambda connection: people.quarantined(connection, limit))

    async def quarantine_counts(self) -> dict[str, int]:
        """By reason, since the ledger was made."""
        return await self._ask(people.quarantine_counts)

    # -- housekeeping --------------------------------------------------------------------------------------------

    async def backup(self, folder: Path) -> None:
        """A consistent copy, while running, as an SQLite ledger in `folder`: of PostgreSQL too, row by row."""
        await self._ask(lambda connection: self._copy(connection, folder / FILE))

    def _copy(self, connection: Connection, file: Path) -> None:
        if self._url.get_backend_name() == "sqlite":
            copies.copy_file(Path(str(self._url.database)), file)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # all tables at one moment
        with _engine(f"sqlite:///{file}").begin() as target:
            _migrate(target)
            copies.copy_rows(connection, target)

    async def fill(self, file: Path) -> None:
        """Every row of a copy made by `backup`. Raises LedgerError unless this ledger is empty."""

        def work(connection: Connection) -> None:
            if not copies.is_empty(connection):
                raise LedgerError(f"{self._url.render_as_string()}: holds records already; name an empty database")
            with _engine(f"sqlite:///{file}").begin() as source:
                copies.copy_rows(source, connection)

        await self._do(work)

    async def _put(self, table: Any, record: Any) -> None:
        await self._do(lambda connection: people.put(connection, table, asdict(record)))

    async def _rows(self, table: Any, record: type[T], *where: Any) -> list[T]:
        return await self._ask(lambda connection: people.rows_of(connection, table, record, *where))

    async def _do(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._within, work, False)

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._within, work, True)

    def _within(self, work: Callable[[Connection], T], reads: bool) -> T:  # noqa: FBT001 - run_in_executor takes no names
        try:
            with self._engine.connect().execution_options(reads=reads) as connection, connection.begin():
                return work(connection)
        except (SQLAlchemyError, sqlite3.Error, alembic.util.CommandError) as error:
            # the database's own words only: SQLAlchemy's carry the statement, a statement's values carry people
            words = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise LedgerError(f"{self._url.render_as_string()}: {words}") from error


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=1, max_overflow=0)
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own idea of when a transaction begins is too late
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _migrate(connection: Connection) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def _follow(connection: Connection, events: Sequence[AlertEvent]) -> None:
    """Keeps the list of unresolved alerts, from which a restart restores the book."""
    for change in events:
        if change.kind in {"opened", "reopened"}:
            people.put(connection, tables.open_alert, {"alert": change.alert, "since": change.at})
        elif change.kind == "resolved":
            connection.execute(delete(tables.open_alert).where(tables.open_alert.c.alert == change.alert))


def _event(body: str) -> AlertEvent:
    return AlertEvent(**json.loads(body))
