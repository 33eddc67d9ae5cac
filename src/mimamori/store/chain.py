"""Append-only records, each hashed together with the one before, so that a change or a gap is found.

May import store.tables only. Works inside the caller's transaction. The chain shows tampering with rows; who can
rewrite the whole database can also rewrite the chain, so its head belongs into the daily report too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update

from mimamori.store.tables import chain

START = "0" * 64


def canonical(record: Mapping[str, Any]) -> str:
    """One text for one record: keys sorted, no spaces; numpy numbers become plain ones."""
    return json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=float)


def link(before: str, body: str) -> str:
    """The hash of a record that follows the hash `before`."""
    return hashlib.sha256(before.encode() + body.encode()).hexdigest()


def append(connection: Connection, table: Table, records: Sequence[Mapping[str, Any]]) -> None:
    """Adds records to their table's chain, in order. The head's row is locked until the transaction ends."""
    if not records:
        return
    head = connection.execute(select(chain.c.rows, chain.c.hash).where(chain.c.name == table.name).with_for_update())
    found = head.one_or_none()
    count, last = (found.rows, found.hash) if found else (0, START)
    own = [c.name for c in table.columns if c.name not in {"id", "body", "hash"}]
    rows = []
    for number, record in enumerate(records, count + 1):
        body = canonical(record)
        last = link(last, body)
        rows.append({"id": number, "body": body, "hash": last, **{name: record[name] for name in own}})
    connection.execute(insert(table), rows)
    head_row = {"rows": count + len(rows), "hash": last}
    if found:
        connection.execute(update(chain).where(chain.c.name == table.name).values(head_row))
    else:
        connection.execute(insert(chain).values(name=table.name, **head_row))


def verify(connection: Connection, table: Table) -> list[str]:
    """Every break of the chain, in words; [] when it is whole."""
    broken, last, expected = [], START, 1
    own = [c.name for c in table.columns if c.name not in {"id", "body", "hash"}]
    for row in connection.execution_options(yield_per=1000).execute(select(table).order_by(table.c.id)):
        if row.id != expected:
            broken.append(f"{table.name} {expected}: missing (the next one is {row.id})")
        if link(last, row.body) != row.hash:
            broken.append(f"{table.name} {row.id}: does not match its hash and the record before it")
        elif any(json.loads(row.body)[name] != getattr(row, name) for name in own):
            broken.append(f"{table.name} {row.id}: its columns differ from the record")
        last, expected = row.hash, row.id + 1
    head = connection.execute(select(chain.c.rows, chain.c.hash).where(chain.c.name == table.name)).one_or_none()
    count, final = (head.rows, head.hash) if head else (0, START)
    if (count, final) != (expected - 1, last):
        broken.append(f"{table.name}: the chain's head says {count} records, but the last one found is {expected - 1}")
    return broken
