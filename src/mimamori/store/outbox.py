"""Notices in the ledger: planned, due, marked, cancelled. A key is sent under one row for ever.

May import model and store.tables only. Works inside the caller's transaction; reads no clock, sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mimamori.model.notice import Notice, NoticeState, Status
from mimamori.model.times import NEVER
from mimamori.store import delivery
from mimamori.store.tables import notice, open_alert

URGENCY = {"high": 2, "medium": 1, "low": 0}
COLUMNS = tuple(f.name for f in fields(Notice))
WAITING = ("planned", "failed")
WITHDRAWN = NEVER + 1  # due_at of a notice cancelled while it was on its way; no time of a real notice
GONE = {"status": "cancelled", "due_at": NEVER, "detail": "cancelled while it was on its way"}


def plan(connection: Connection, notices: Sequence[Notice], now: int) -> None:
    """Adds the notices whose key is new."""
    rows = [
        {
            **asdict(n), "key": n.key, "status": "planned", "urgency": URGENCY[n.priority], "due_at": n.due,
            "planned_at": now, "sent_at": NEVER, "delivered_at": NEVER, "tries": 0, "provider_id": "", "detail": "",
        }
        for n in notices
    ]  # fmt: skip
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(notice).on_conflict_do_nothing(index_elements=["key"]), rows)


def cancel(connection: Connection, keys: Sequence[str]) -> None:
    """Cancels those of the keys that still wait; what was sent stays as it is.

    One that is on its way ends as its sender says, but is not tried again: `mark` then makes it "cancelled".
    """
    for key in keys:
        mine = notice.c.key == key
        connection.execute(
            update(notice).where(mine, _waiting()).values(
                status="cancelled", due_at=NEVER, detail="cancelled before it was sent"
            )
        )  # fmt: skip
        connection.execute(update(notice).where(mine, notice.c.status == "sending").values(due_at=WITHDRAWN))


def due(connection: Connection, now: int, limit: int, *, webhooks: bool) -> list[NoticeState]:
    """Planned notices whose time has come and failed ones to try again, the most urgent first, then the oldest.

    Those to webhooks, or all others.
    """
    query = select(notice).where(_waiting(), notice.c.due_at <= now, (notice.c.channel == "webhook").is_(webhooks))
    query = query.order_by(notice.c.urgency.desc(), notice.c.due_at, notice.c.planned_at, notice.c.key).limit(limit)
    return [state_of(row) for row in connection.execute(query).mappings()]


def mark(
    connection: Connection, key: str, *, status: Status, now: int, provider_id: str, detail: str, retry_at: int
) -> bool:
    """Notes what became of a notice; False, and nothing is done, if it must not be sent or there is none of that key.

    "sending" counts a try and is refused unless the notice waits. A retry_at other than NEVER makes a "planned" or
    "failed" notice due again then, unless it was cancelled on its way: it is "cancelled" instead, and the answer False.
    "cancelled" is final, and so is "delivered": a slower "sent" or "failed" does not take it back.
    """
    found = connection.execute(select(notice).where(notice.c.key == key).with_for_update()).one_or_none()
    if found is None or found.status == "cancelled":
        return False
    if status == "sending" and not (found.status in WAITING and found.due_at != NEVER):
        return False
    again = status == "planned" or (status == "failed" and retry_at != NEVER)
    if found.due_at == WITHDRAWN and again:
        connection.execute(update(notice).where(notice.c.key == key).values(GONE))
        return False
    # a report may come before its message is marked as sent: what it said stays
    final = found.status == "delivered" or (
        found.status == "failed" and status == "sent" and provider_id == found.provider_id != ""
    )
    values = {
        "status": found.status if final else status,
        "tries": found.tries + (status == "sending"),
        "due_at": retry_at if again and not final else NEVER,
        "provider_id": provider_id or found.provider_id,
        "detail": found.detail if final else detail or found.detail,
    }
    if status == "planned" and retry_at == NEVER and not final:
        values["due_at"] = found.due
    if status == "sent":
        values["sent_at"] = now
    if status == "delivered" and not final:
        values["delivered_at"] = now
    if values["status"] == "failed" and values["due_at"] == NEVER and not final:
        delivery.failed(connection, found.recipient, found.channel, now, values["detail"])
    connection.execute(update(notice).where(notice.c.key == key).values(values))
    return True


def take_back(connection: Connection) -> None:
    """What was being sent when the service died is planned again, under the same key: rather twice than never.

    Unless it was cancelled meanwhile: somebody has answered, and nobody is called again.
    """
    sending = notice.c.status == "sending"
    connection.execute(update(notice).where(sending, notice.c.due_at == WITHDRAWN).values(GONE))
    connection.execute(update(notice).where(sending).values(status="planned", due_at=notice.c.due))


def newest(connection: Connection, alert: str | None, limit: int, recipient: str | None = None) -> list[NoticeState]:
    """The newest notices, newest first; of one alert or one recipient, or of all to people and homes for None."""
    query = select(notice).order_by(notice.c.planned_at.desc(), notice.c.step.desc(), notice.c.key).limit(limit)
    if alert is not None:
        query = query.where(notice.c.alert == alert)
    if recipient is not None:
        query = query.where(notice.c.recipient == recipient)
    else:
        query = query.where(notice.c.channel != "webhook")
    return [state_of(row) for row in connection.execute(query).mappings()]


def between(connection: Connection, start: int, end: int) -> list[NoticeState]:
    """Notices to people and homes that were planned in [start, end), newest first."""
    query = select(notice).where(notice.c.planned_at >= start, notice.c.planned_at < end, notice.c.channel != "webhook")
    query = query.order_by(notice.c.planned_at.desc(), notice.c.step.desc(), notice.c.key)
    return [state_of(row) for row in connection.execute(query).mappings()]


def open_calls(connection: Connection, since: int) -> list[NoticeState]:
    """Calls, questions and bundles about alerts that are not resolved, planned since then, oldest first."""
    live = notice.c.alert.in_(select(open_alert.c.alert))
    calls = notice.c.kind.in_(("first", "repeat", "escalated", "bundle", "ask"))
    query = select(notice).where(notice.c.planned_at >= since, notice.c.channel != "console", calls, live)
    return [state_of(row) for row in connection.execute(query.order_by(notice.c.planned_at)).mappings()]


def told_since(connection: Connection, since: int) -> list[Notice]:
    """Messages to people that left the house since then, oldest first."""
    left = (notice.c.sent_at != NEVER) & notice.c.channel.not_in(("console", "webhook"))
    query = select(notice).where(notice.c.planned_at >= since, left).order_by(notice.c.planned_at, notice.c.key)
    return [state_of(row).notice for row in connection.execute(query).mappings()]


def counts(connection: Connection) -> dict[str, int]:
    """How many notices there are by status."""
    found = connection.execute(select(notice.c.status, func.count()).group_by(notice.c.status))
    return {status: n for status, n in found}  # noqa: C416 - rows are not plain pairs to the type checker


def _waiting() -> ColumnElement[bool]:
    return and_(notice.c.status.in_(WAITING), notice.c.due_at != NEVER)


def state_of(of: RowMapping) -> NoticeState:
    """The record of a row."""
    return NoticeState(
        notice=Notice(**{name: of[name] for name in COLUMNS}), status=of["status"], planned_at=of["planned_at"],
        sent_at=of["sent_at"], delivered_at=of["delivered_at"], tries=of["tries"], provider_id=of["provider_id"],
        detail=of["detail"], read_at=of["read_at"],
    )  # fmt: skip
