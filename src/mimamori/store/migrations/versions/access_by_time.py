"""The access log is looked through by time: a week of a year's lines, without reading the others.

May import nothing of mimamori: a migration stays as it was when it ran.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """One index."""
    op.create_index(op.f("ix_access_at"), "access", ["at"])
