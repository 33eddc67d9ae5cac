"""The ledger's tables, as SQLAlchemy Core sees them; the migrations make them.

May import nothing of mimamori. A change here goes with a new file in migrations/versions (a test compares the two).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_name)s"}
)  # fmt: skip
NEVER = str(-(2**63))  # model.times.NEVER, as the database writes it
Number = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY counts up by itself in SQLite


def _chained(name: str, *columns: Column[str]) -> Table:
    """Append-only: body is the record as canonical JSON, hash chains it to the row before."""
    return Table(
        name, metadata,
        Column("id", Number, primary_key=True),
        *columns,
        Column("at", BigInteger, nullable=False),
        Column("body", Text, nullable=False),
        Column("hash", String(64), nullable=False),
    )  # fmt: skip


alert_event = _chained(
    "alert_event", Column("alert", String, nullable=False, index=True), Column("kind", String, nullable=False)
)
access = _chained("access", Column("whose", String, nullable=False, index=True))
Index("ix_access_at", access.c.at)

chain = Table(
    "chain", metadata,
    Column("name", String, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)  # fmt: skip
"""The head of each chain, so that cutting rows off its end is found too."""

open_alert = Table(
    "open_alert", metadata, Column("alert", String, primary_key=True), Column("since", BigInteger, nullable=False)
)

notice = Table(
    "notice", metadata,
    Column("key", String, primary_key=True),
    Column("alert", String, nullable=False, index=True),
    Column("step", Integer, nullable=False),
    Column("recipient", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("address", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("planned_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("provider_id", String, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    Column("read_at", BigInteger, nullable=False, server_default=NEVER),
)  # fmt: skip
Index("ix_notice_recipient", notice.c.recipient, notice.c.planned_at)
Index("ix_notice_waiting", notice.c.status, notice.c.due_at)
Index("ix_notice_planned", notice.c.planned_at)

reach = Table(
    "reach", metadata,
    Column("recipient", String, primary_key=True),
    Column("channel", String, primary_key=True),
    Column("reached_at", BigInteger, nullable=False),
    Column("failed_at", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
)  # fmt: skip

engine_mark = Table(
    "engine_mark", metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("blob", LargeBinary, nullable=False),
)  # fmt: skip

staff = Table(
    "staff", metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("phone", String, nullable=False),
    Column("email", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("active", Boolean, nullable=False),
)  # fmt: skip

session = Table(
    "session", metadata,
    Column("token_hash", String, primary_key=True),
    Column("staff", String, nullable=False, index=True),
    Column("started", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)  # fmt: skip

resident = Table(
    "resident", metadata,
    Column("household", String, primary_key=True),
    Column("code", String, nullable=False),
    Column("name", String, nullable=False),
    Column("area", String, nullable=False),
    Column("room", String, nullable=False),
    Column("risk", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("watched", Boolean, nullable=False),
    Column("phone", String, nullable=False, server_default=""),
)  # fmt: skip

device = Table(
    "device", metadata,
    Column("household", String, primary_key=True),
    Column("device", String, primary_key=True),
    Column("profile", String, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("claimed_at", BigInteger, nullable=False, server_default=NEVER),
    Column("retired_at", BigInteger, nullable=False, server_default=NEVER),
)  # fmt: skip

absence = Table(
    "absence", metadata,
    Column("id", String, primary_key=True),
    Column("household", String, nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("by", String, nullable=False),
    Column("note", Text, nullable=False),
)  # fmt: skip

declaration = Table(
    "declaration", metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("household", String, primary_key=True),
    Column("spans", Text, nullable=False),
)  # fmt: skip

unwatched = Table(
    "unwatched", metadata,
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
)  # fmt: skip

webhook = Table(
    "webhook", metadata,
    Column("id", String, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", String, nullable=False),
    Column("by", String, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
)  # fmt: skip

note = Table(
    "note", metadata,
    Column("id", String, primary_key=True),
    Column("household", String, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("by", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("kind", String, nullable=False),
)  # fmt: skip

contact = Table(
    "contact", metadata,
    Column("id", String, primary_key=True),
    Column("household", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("relation", String, nullable=False),
    Column("phone", String, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)  # fmt: skip

limit = Table(
    "own_limit", metadata,
    Column("household", String, primary_key=True),
    Column("rule", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
)  # fmt: skip

trial = Table(
    "trial", metadata,
    Column("id", String, primary_key=True),
    Column("rule", String, nullable=False),
    Column("settings", Text, nullable=False),
    Column("name", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("base", String, nullable=False),
    Column("status", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("decided", BigInteger, nullable=False),
    Column("decided_by", String, nullable=False),
)  # fmt: skip

shadow_alert = Table(
    "shadow_alert", metadata,
    Column("id", String, primary_key=True),
    Column("trial", String, nullable=False, index=True),
    Column("household", String, nullable=False),
    Column("device", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("ended", BigInteger, nullable=False),
    Column("why_ja", Text, nullable=False),
    Column("why_en", Text, nullable=False),
)  # fmt: skip

quarantine = Table(
    "quarantine", metadata,
    Column("id", Number, primary_key=True),
    Column("place", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("mend", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip

quarantine_count = Table(
    "quarantine_count", metadata,
    Column("reason", String, primary_key=True),
    Column("n", BigInteger, nullable=False),
)  # fmt: skip
