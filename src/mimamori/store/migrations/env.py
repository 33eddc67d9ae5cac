"""Alembic's entry: runs the migrations on the connection that the ledger hands over.

May import store.tables only. Never opens a database of its own.
"""

from __future__ import annotations

from alembic import context

from mimamori.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
