"""Staff, sessions, residents, devices, absences, access and quarantine in the ledger.

May import model and its neighbours. Works inside the caller's transaction; reads no clock.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite

from mimamori.model.readings import Rejected
from mimamori.model.times import NEVER
from mimamori.store import chain, tables
from mimamori.store.records import (
    Absence,
    Access,
    Contact,
    Device,
    Entry,
    Limit,
    Note,
    Resident,
    Session,
    Staff,
    TakenError,
    Trial,
    Webhook,
)

PAYLOAD = 4096
"""Bytes kept of a rejected message."""

T = TypeVar("T")


def put(connection: Connection, table: Table, values: dict[str, Any]) -> None:
    """Adds the row, or overwrites the one with the same key."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = dialect.insert(table).values(values)
    keys = [c.name for c in table.primary_key]
    rest = {name: made.excluded[name] for name in values if name not in keys}
    connection.execute(made.on_conflict_do_update(index_elements=keys, set_=rest))


def rows_of(connection: Connection, table: Table, record: type[T], *where: Any) -> list[T]:
    """The records of a table whose columns are the record's fields, ordered by key."""
    found = connection.execute(select(table).where(*where).order_by(*table.primary_key)).mappings()
    return [record(**row) for row in found]


def add_session(connection: Connection, session: Session) -> None:
    """Adds a session and clears away those that ended before it began."""
    connection.execute(delete(tables.session).where(tables.session.c.until <= session.started))
    put(connection, tables.session, asdict(session))


def session_staff(connection: Connection, token_hash: str, now: int) -> Staff | None:
    """Whose session it is, if it is in force and the person active."""
    mine = tables.session.c.token_hash == token_hash
    query = select(tables.session.c.staff).where(mine, tables.session.c.started <= now, now < tables.session.c.until)
    found = connection.execute(query).scalar_one_or_none()
    people = rows_of(connection, tables.staff, Staff, tables.staff.c.id == found, tables.staff.c.active)
    return people[0] if people else None


def enter(connection: Connection, access: Access, records: Sequence[Entry]) -> None:
    """Adds or overwrites the records and appends the line to the access log.

    A person who has left, or whose password is another now, is signed out everywhere. Raises TakenError.
    """
    _check_free(connection, [record for record in records if isinstance(record, Device)])
    chain.append(connection, tables.access, [asdict(access)])
    kinds = {
        Staff: tables.staff, Resident: tables.resident, Device: tables.device, Absence: tables.absence,
        Webhook: tables.webhook, Limit: tables.limit, Trial: tables.trial,
        Note: tables.note, Contact: tables.contact,
    }  # fmt: skip
    for record in records:
        if isinstance(record, Staff):
            before = rows_of(connection, tables.staff, Staff, tables.staff.c.id == record.id)
            if not record.active or (before and before[0].password_hash != record.password_hash):
                connection.execute(delete(tables.session).where(tables.session.c.staff == record.id))
        put(connection, kinds[type(record)], asdict(record))


def _check_free(connection: Connection, devices: Sequence[Device]) -> None:
    """Whoever entered it looked first, but not in this transaction: one claim of a device stands, the second fails."""
    if devices and connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE device IN SHARE ROW EXCLUSIVE MODE"))
    for device in devices:
        held = tables.device.c
        same = (held.device == device.device) & held.active
        mine = same if device.active else same & (held.household == device.household)
        if device.active == bool(rows_of(connection, tables.device, Device, mine)):
            raise TakenError(device.device)


def absences(connection: Connection, now: int | None, after: int) -> list[Absence]:
    """Absences in force at `now`, or all for None; those that were over at `after` left out."""
    absence = tables.absence.c
    where: list[ColumnElement[bool]] = [(absence.end == NEVER) | (absence.end > after)]
    if now is not None:
        where += [absence.start <= now, (absence.end == NEVER) | (absence.end > now)]
    return rows_of(connection, tables.absence, Absence, *where)


def quarantine(connection: Connection, rejected: Sequence[Rejected], keep: int) -> None:
    """Adds what was set aside, lets go of all but the newest `keep`, and adds to the counts, which are never lost."""
    table, count = tables.quarantine, tables.quarantine_count
    rows = [asdict(r) | {"payload": r.payload[:PAYLOAD], "place": r.place[:1000]} for r in rejected]
    if not rows:
        return
    connection.execute(insert(table), rows[-keep:])
    oldest = select(table.c.id).order_by(table.c.id.desc()).offset(keep).limit(1).scalar_subquery()
    connection.execute(delete(table).where(table.c.id <= oldest))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for reason, n in Counter(r.reason for r in rejected).items():
        made = dialect.insert(count).values(reason=reason, n=n)
        connection.execute(made.on_conflict_do_update(index_elements=["reason"], set_={"n": count.c.n + n}))


def quarantined(connection: Connection, limit: int) -> list[Rejected]:
    """The newest, newest first."""
    columns = [c for c in tables.quarantine.c if c.name != "id"]
    found = connection.execute(select(*columns).order_by(tables.quarantine.c.id.desc()).limit(limit))
    return [Rejected(**row) for row in found.mappings()]


def quarantine_counts(connection: Connection) -> dict[str, int]:
    """How many were ever set aside, by reason."""
    table = tables.quarantine_count
    return {
        row.reason: row.n for row in connection.execute(select(table.c.reason, func.coalesce(table.c.n, 0).label("n")))
    }


def access_lines(  # noqa: PLR0917 - what is asked, in the order of the ledger's own words
    connection: Connection, whose: str, who: str, begins: int, ends: int | None, before: int, limit: int
) -> list[tuple[int, Access]]:
    """Lines of the access log, the newest first."""
    line = tables.access.c
    query = select(line.id, line.body).where(line.at >= begins)
    if ends is not None:
        query = query.where(line.at < ends)
    if whose:
        query = query.where(line.whose == whose)
    if who:  # not a column of its own; quotes within a text are escaped in JSON, so nothing else reads like this
        place = func.strpos if connection.dialect.name == "postgresql" else func.instr  # LIKE may know no capitals
        query = query.where(place(line.body, f'"who":{json.dumps(who, ensure_ascii=False)}') > 0)
    if before:
        at = select(line.at).where(line.id == before).scalar_subquery()
        query = query.where(or_(line.at < at, and_(line.at == at, line.id < before)))
    found = connection.execute(query.order_by(line.at.desc(), line.id.desc()).limit(limit))
    return [(number, Access(**json.loads(body))) for number, body in found]
