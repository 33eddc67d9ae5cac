"""What the engine was told of absences, and when.

May import nothing of mimamori: a migration stays as it was when it ran.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """One new table."""
    op.create_table(
        "declaration",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("household", sa.String(), nullable=False),
        sa.Column("spans", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("at", "household", name=op.f("pk_declaration")),
    )
