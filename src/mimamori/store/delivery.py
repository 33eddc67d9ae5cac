"""What providers and people report about messages that have left, and when each recipient was last reached.

May import model and store.tables only. Works inside the caller's transaction; reads no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mimamori.model.notice import Reach, Status
from mimamori.model.times import NEVER
from mimamori.store.tables import notice, reach

RANK = {"planned": 0, "cancelled": 0, "sending": 1, "sent": 2, "failed": 3, "delivered": 4}
"""Reports come doubled and out of order: one counts only if it ranks above what is known. Delivered is final."""


def report(  # noqa: PLR0917 - what a report says, one by one
    connection: Connection, key: str, provider_id: str, status: Status, detail: str, now: int
) -> str | None:
    """Takes in what the provider says of the notice `key` (or of `provider_id` for ""): its key, None if unknown.

    A report is proof that the provider has the message: it is not sent again, even if the process that sent it died
    before it could mark it.
    """
    mine = notice.c.key == key if key else (notice.c.provider_id == provider_id) & (notice.c.provider_id != "")
    found = connection.execute(select(notice).where(mine).with_for_update()).first()
    if found is None:
        return None
    another = found.provider_id not in {"", provider_id}  # it was sent twice, and this is of the other one
    if RANK[status] > RANK[found.status] and not (another and status == "failed"):
        values: dict[str, int | str] = {"status": status, "provider_id": provider_id, "detail": detail, "due_at": NEVER}
        if found.sent_at == NEVER:
            values["sent_at"] = now
        if status == "delivered":
            values["delivered_at"] = now
            reached(connection, found.recipient, found.channel, now)
        if status == "failed":
            failed(connection, found.recipient, found.channel, now, detail)
        connection.execute(update(notice).where(notice.c.key == found.key).values(values))
    return str(found.key)


def read(connection: Connection, key: str, now: int) -> bool:
    """A person has answered this very message: it was delivered and read. False if there is none of that key."""
    found = connection.execute(select(notice).where(notice.c.key == key).with_for_update()).one_or_none()
    if found is None:
        return False
    values: dict[str, int | str] = {"read_at": now} if found.read_at == NEVER else {}
    if found.status in {"sending", "sent", "failed"}:
        values |= {"status": "delivered", "delivered_at": now, "due_at": NEVER}
    if values:
        connection.execute(update(notice).where(notice.c.key == key).values(values))
    reached(connection, found.recipient, found.channel, now)
    return True


def claimed(connection: Connection, provider_ids: Sequence[str]) -> set[str]:
    """Those of the provider's ids that belong to a notice already."""
    query = select(notice.c.provider_id).where(notice.c.provider_id.in_(provider_ids))
    return set(connection.execute(query).scalars())


def reached(connection: Connection, recipient: str, channel: str, now: int) -> None:
    """Notes that this way reaches them."""
    _put(connection, recipient, channel, {"reached_at": now})


def failed(connection: Connection, recipient: str, channel: str, now: int, detail: str) -> None:
    """Notes that this way did not reach them, and why."""
    _put(connection, recipient, channel, {"failed_at": now, "detail": detail})


def reaches(connection: Connection) -> list[Reach]:
    """All that is known, by recipient and channel."""
    found = connection.execute(select(reach).order_by(reach.c.recipient, reach.c.channel)).mappings()
    return [Reach(**row) for row in found]


def _put(connection: Connection, recipient: str, channel: str, values: dict[str, int | str]) -> None:
    if channel == "console":
        return
    row: dict[str, int | str] = {"reached_at": NEVER, "failed_at": NEVER, "detail": ""}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    made = dialect.insert(reach).values({"recipient": recipient, "channel": channel} | row | values)
    connection.execute(made.on_conflict_do_update(index_elements=["recipient", "channel"], set_=values))
