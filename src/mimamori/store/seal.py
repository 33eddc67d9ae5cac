"""Sealing: rows in order of arrival -> staged rows by bucket -> one chunk a household and hour.

May import model and its neighbours. Computes what to write and never writes: the caller commits a step as one
transaction, so that a crash between any two instructions leaves every reading in exactly one place.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import HOUR, SECOND
from mimamori.store.figures import cells_of, pack_cells
from mimamori.store.pack import first_of_each, pack, slices_of, starts_of, unpack
from mimamori.store.segments import BUCKET, HOURS, RUN_BITS, chunk_id

StagedRow = tuple[int, int, int, int, bytes]  # as the columns of the table
ChunkRow = tuple[int, int, int, int, bytes, bytes]


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
    """One bucket's move from staged to chunks: delete `staged`, put `chunks` in place of what they replace."""

    staged: list[tuple[int]]
    chunks: list[ChunkRow]
    strays: list[tuple[int]]
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
    hour = kept.taken // HOUR
    order = np.lexsort((hour, kept.home))  # stable
    rows, hour = kept.take(order), hour[order]
    starts = starts_of(rows.home, hour)
    chunks, strays, before = [], [], 0
    for run in slices_of(starts, len(rows)):
        key = chunk_id(int(rows.home[run.start]), int(hour[run.start]))
        part = rows.take(run)
        known = connection.execute("SELECT body FROM chunk WHERE id = ? AND body IS NOT NULL", (key,)).fetchone()
        if known:
            sealed = unpack(known[0], device_home)
            before += len(sealed)
            part = concat((sealed, part))
        row = chunk(key, first_of_each(part))
        chunks.append(row)
        if row[2] < -3600 or row[3] >= 2 * 3600:
            strays.append((key,))
    added = sum(row[1] for row in chunks) - before
    return Merge(
        staged=[(key,) for key, _ in found], chunks=chunks, strays=strays, sealed=added,
        duplicates=len(kept) - added, expired=len(came) - len(kept),
    )  # fmt: skip


def chunk(key: int, rows: ReadingBatch) -> ChunkRow:
    """The row of a household's hour, from its readings sorted and without duplicates."""
    hour_start = (key & HOURS) * 3600
    first, last = int(rows.got.min()) // SECOND - hour_start, int(rows.got.max()) // SECOND - hour_start
    return key, len(rows), first, last, pack_cells(cells_of(rows)), pack(rows)
