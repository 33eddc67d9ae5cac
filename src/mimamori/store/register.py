"""What the ledger knows of people and things: staff, residents, devices, absences, what was entered and who looked.

May import its neighbours. Every change by a person comes with the line of the access log that tells who and why.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from sqlalchemy import Connection, delete, select

from mimamori.model.declared import Declaration
from mimamori.model.times import NEVER
from mimamori.store import chain, people, tables
from mimamori.store.database import Database
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
    ShadowAlert,
    Staff,
    Trial,
    Webhook,
)  # fmt: skip


class Register(Database):
    """The part of a `Ledger` about people and things."""

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
