"""What the web needs of the ledger, as a Protocol; the records that go in and out of it are the store's.

May import model and the store's records only. No I/O here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mimamori.model.alert import AlertEvent
from mimamori.model.notice import NoticeState, Reach
from mimamori.model.readings import Rejected
from mimamori.model.times import NEVER
from mimamori.store.records import (
    Absence,
    Access,
    Contact,
    Device,
    Entry,
    Limit,
    Note,
    Resident,
    Role,
    Session,
    ShadowAlert,
    Staff,
    TakenError,
    Trial,
    TrialStatus,
    Webhook,
)

__all__ = [
    "Absence", "Access", "Contact", "Device", "Entry", "Limit", "Note", "Records", "Resident", "Role", "Session",
    "ShadowAlert", "Staff", "TakenError", "Trial", "TrialStatus", "Webhook",
]  # fmt: skip


class Records(Protocol):
    """The ledger as the web sees it."""

    async def staff(self, id: str) -> Staff | None: ...  # noqa: A002 - the ledger's own name

    async def add_session(self, session: Session) -> None: ...

    async def session(self, token_hash: str, now: int) -> Staff | None: ...

    async def end_session(self, token_hash: str) -> None: ...

    async def accesses(self, *, whose: str | None = None, limit: int = 200) -> Sequence[Access]: ...

    async def access_lines(
        self, *, whose: str = "", who: str = "", begins: int = NEVER, ends: int | None = None, before: int = 0,
        limit: int = 100,
    ) -> Sequence[tuple[int, Access]]: ...  # fmt: skip

    async def log_access(self, access: Access) -> None: ...

    async def alert_events(self, *, alert: str | None = None, since: int = NEVER) -> Sequence[AlertEvent]: ...

    async def events_about(self, since: int) -> Sequence[AlertEvent]: ...

    async def notes_between(self, begins: int, ends: int) -> Sequence[Note]: ...

    async def household_events(self, household: str) -> Sequence[AlertEvent]: ...

    async def notices(
        self, *, alert: str | None = None, recipient: str | None = None, limit: int = 200
    ) -> Sequence[NoticeState]: ...

    async def webhooks(self) -> Sequence[Webhook]: ...

    async def limits(self) -> Sequence[Limit]: ...

    async def trials(self) -> Sequence[Trial]: ...

    async def shadow_alerts(self, trial: str) -> Sequence[ShadowAlert]: ...

    async def reaches(self) -> Sequence[Reach]: ...

    async def residents(self) -> Sequence[Resident]: ...

    async def quarantined(self, limit: int) -> Sequence[Rejected]: ...

    async def quarantine_counts(self) -> Mapping[str, int]: ...

    async def all_staff(self) -> Sequence[Staff]: ...

    async def devices(self) -> Sequence[Device]: ...

    async def absences(self) -> Sequence[Absence]: ...

    async def notes(self, household: str) -> Sequence[Note]: ...

    async def contacts(self, household: str) -> Sequence[Contact]: ...

    async def enter(self, access: Access, *records: Entry) -> None: ...
