"""Sealing: rows in order of arrival -> staged rows by bucket -> a chunk a household and hour -> a chunk a day.

May import model and its neighbours. What computes a step reads only; `put_...` then writes it as one transaction, so
that a crash between any two instructions leaves every reading in exactly one place.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import HOUR, SECOND
from mimamori.store.figures import cells_of, pack_cells
from mimamori.store.pack import LEVEL, SETTLED, first_of_each, pack, slices_of, starts_of, unpack
from mimamori.store.segments import BUCKET, DAY_HOURS, HOUR_BITS, HOURS, RUN_BITS

StagedRow = tuple[int, int, int, int, bytes]  # as the columns of the table
ChunkRow = tuple[int, int, int, int, bytes, bytes, int]
Keys = NDArray[np.int64]

WORTH = 3
"""Readings a minute from which figures are kept beside them: fewer are unpacked as fast as their figures."""


def stage(rows: ReadingBatch, run: int) -> list[StagedRow]:
    """Staged rows of n >= 1 readings in order of arrival. `run` must be higher than that of any row there is."""
    bucket = rows.home // BUCKET
    series = bucket.astype(np.int64) << 48 | rows.device.astype(np.int64) << 16 | rows.metric
    ordered = rows.take(np.lexsort((rows.taken, series)))  # stable: of equal readings the first that came stays first
    bucket = ordered.home // BUCKET
    starts = starts_of(bucket)
    made = []
    for which in slices_of(starts, len(ordered)):
        part = ordered.take(which)
        first, last = int(part.got.min()) // SECOND, int(part.got.max()) // SECOND
        made.append((int(bucket[which.start]) << RUN_BITS | run, len(part), first, last, pack(part)))
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One bucket's move from staged to chunks: delete `staged`, put `chunks` in place of what they replace.

    open_days: days (keys) of which hours are among them.
    """

    staged: list[tuple[int]]
    chunks: list[ChunkRow]
    strays: list[tuple[int]]
    open_days: list[tuple[int]]
    sealed: int
    duplicates: int
    expired: int


def merge(connection: sqlite3.Connection, bucket: int, device_home: NDArray[np.int32], raw_before: int) -> Merge:
    """What moving a bucket's staged rows into its chunks comes to; readings taken before `raw_before` are let go."""
    found = connection.execute(
        "SELECT id, body FROM staged WHERE id BETWEEN ? AND ? ORDER BY id",
        (bucket << RUN_BITS, (bucket + 1 << RUN_BITS) - 1),
    ).fetchall()
    came = concat(unpack(body, device_home) for _, body in found)
    kept = came.take(np.flatnonzero(came.taken >= raw_before)) if len(came) else came
    keys, open_days = _places(connection, kept)
    order = np.argsort(keys, kind="stable")
    rows, keys = kept.take(order), keys[order]
    chunks, before = [], 0
    for run in slices_of(starts_of(keys), len(rows)):
        key, hours, part = int(keys[run.start]), 1, rows.take(run)
        known = connection.execute("SELECT hours, body FROM chunk WHERE id = ? AND body IS NOT NULL", (key,)).fetchone()
        if known:
            hours, sealed = known[0], unpack(known[1], device_home)
            before += len(sealed)
            part = concat((sealed, part))
        chunks.append(chunk(key, first_of_each(part), hours))
    added = sum(row[1] for row in chunks) - before
    return Merge(
        staged=[(key,) for key, _ in found], chunks=chunks, strays=[(row[0],) for row in chunks if is_stray(row)],
        open_days=open_days, sealed=added, duplicates=len(kept) - added, expired=len(came) - len(kept),
    )  # fmt: skip


def _places(connection: sqlite3.Connection, rows: ReadingBatch) -> tuple[Keys, list[tuple[int]]]:
    """(the chunk each row belongs to, its day's if that is settled, and the days that are not)."""
    hour = np.clip(rows.taken // HOUR, 0, HOURS)
    keys: Keys = (rows.home.astype(np.int64) << HOUR_BITS) + hour
    days = keys - hour % DAY_HOURS
    touched = np.unique(days).tolist()
    ask = "SELECT 1 FROM chunk WHERE id = ? AND hours > 1"
    settled = [day for day in touched if connection.execute(ask, (day,)).fetchone()]
    places: Keys = np.where(np.isin(days, settled), days, keys)
    return places, [(day,) for day in touched if day not in settled]


def settle(connection: sqlite3.Connection, day: int, device_home: NDArray[np.int32]) -> ChunkRow | None:
    """The chunk of a whole day (key) in place of its hours; None where there is nothing to gain."""
    found = connection.execute(
        "SELECT body FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id", (day, day + DAY_HOURS - 1)
    ).fetchall()
    if not found or any(body is None for (body,) in found):
        return None
    return chunk(day, first_of_each(concat(unpack(body, device_home) for (body,) in found)), DAY_HOURS)


def chunk(key: int, rows: ReadingBatch, hours: int) -> ChunkRow:
    """The row of a household's hour or day, from its readings sorted and without duplicates."""
    begin = (key & HOURS) * 3600
    first, last = int(rows.got.min()) // SECOND - begin, int(rows.got.max()) // SECOND - begin
    level, cells = LEVEL if hours == 1 else SETTLED, cells_of(rows)
    figures = pack_cells(cells, level) if len(rows) >= WORTH * len(cells.minute) else b""
    return key, len(rows), first, last, figures, pack(rows, level), hours


def is_stray(row: ChunkRow) -> bool:
    """Whether some of it came more than an hour before or after its time."""
    return row[2] < -3600 or row[3] >= (row[6] + 1) * 3600


def put_staged(connection: sqlite3.Connection, staged: list[StagedRow], logged: int) -> None:
    """Staged rows in place of the log up to that id."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?)", staged)
        connection.execute("DELETE FROM log WHERE id <= ?", (logged,))


def put_merged(connection: sqlite3.Connection, step: Merge) -> None:
    """Chunks in place of a bucket's staged rows."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM staged WHERE id = ?", step.staged)
        connection.executemany("INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", step.chunks)
        connection.executemany("INSERT OR IGNORE INTO stray VALUES (?)", step.strays)
        connection.executemany("INSERT OR IGNORE INTO open_day VALUES (?)", step.open_days)


def put_settled(connection: sqlite3.Connection, day: int, row: ChunkRow | None) -> None:
    """A day's chunk in place of its hours; without one, its hours stay as they are for good."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM open_day WHERE id = ?", (day,))
        if row is None:
            return
        for table in ("chunk", "stray"):
            connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", (day, day + DAY_HOURS - 1))
        connection.execute("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if is_stray(row):
            connection.execute("INSERT INTO stray VALUES (?)", (day,))
