"""Consistent copies of what the stores keep: SQLite files while others write them, and rows from ledger to ledger.

May import its neighbours. Never writes to what it copies from.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select

from mimamori.store import tables

ROWS = 1000  # carried at a time


def copy_file(source: Path, target: Path) -> None:
    """SQLite's online backup in one read transaction: writers go on. Raises sqlite3.Error if either disk fails.

    Raises sqlite3.DatabaseError if the copy is not whole. An existing target is overwritten, a missing folder made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    of = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        copy = sqlite3.connect(target)
        try:
            of.backup(copy)
            (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise sqlite3.DatabaseError(f"{source} is damaged: {said}")
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without companions, until it is opened for work
        finally:
            copy.close()
    finally:
        of.close()


def is_empty(ledger: Connection) -> bool:
    """Whether no table of the ledger holds a row."""
    return all(ledger.execute(select(table).limit(1)).first() is None for table in tables.metadata.sorted_tables)


def copy_rows(source: Connection, target: Connection) -> None:
    """Every row of every table of one ledger into another, which must be migrated and empty."""
    for table in tables.metadata.sorted_tables:
        found = source.execution_options(yield_per=ROWS).execute(select(table))
        for rows in found.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])
    if target.dialect.name == "postgresql":
        _go_on_counting(target, tables.quarantine)


def _go_on_counting(target: Connection, table: Table) -> None:
    """PostgreSQL counts ids up beside the table: rows that brought their ids along have not moved that counter."""
    counter = func.pg_get_serial_sequence(table.name, "id")
    highest = select(func.coalesce(func.max(table.c.id), 0) + 1).scalar_subquery()
    target.execute(select(func.setval(counter, highest, False)))
