"""What became of a message in full: read times, who was last reached how, and the telephone of a home.

May import nothing of mimamori: a migration stays as it was when it ran.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NEVER = str(-(2**63))


def upgrade() -> None:
    """New columns and one table; what is there keeps its values."""
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.add_column(sa.Column("read_at", sa.BigInteger(), nullable=False, server_default=NEVER))
        batch_op.create_index(batch_op.f("ix_notice_provider_id"), ["provider_id"], unique=False)
        batch_op.create_index("ix_notice_recipient", ["recipient", "planned_at"], unique=False)
    with op.batch_alter_table("resident", schema=None) as batch_op:
        batch_op.add_column(sa.Column("phone", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "reach",
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("reached_at", sa.BigInteger(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("recipient", "channel", name=op.f("pk_reach")),
    )
