"""Readings out of an embedded store's file, in order of time, for a reading file; beside a running service.

May import model and its neighbours. Reads one snapshot of the file and never writes.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.store.history import History
from mimamori.store.keys import Keys
from mimamori.store.pack import slices_of, starts_of, unpack_log, unpack_runs
from mimamori.store.readings import StoreError
from mimamori.store.segments import DAY_HOURS, FORMAT, HOUR_BITS, connect

BROKEN = (sqlite3.Error, zlib.error, ValueError)
ROWS_AT_ONCE = 4_000_000
"""Readings in memory at a time: a day of more is read in several passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """`keys` tell whose the rows of `batches` are; those have [start, end) by `taken`, ascending, none twice."""

    keys: Keys
    batches: Iterator[ReadingBatch]


def extract(path: Path, start: int, end: int, households: Collection[str] = ()) -> Extract:
    """What the store in that file holds of [start, end) (ns) of some households, or of all.

    Raises StoreError if the file is of another version or cannot be read, ValueError for a household it never heard of.
    """
    try:
        connection = connect(path)
        connection.execute("BEGIN")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found != FORMAT:
            raise StoreError(f"{path}: of format {found}, this version reads {FORMAT}; start the service once with it")
        keys = Keys(connection)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot read readings: {error}") from error
    homes = [keys.household(name) for name in households] if households else list(range(len(keys.households)))
    unknown = sorted(name for name in households if keys.household(name) < 0)
    if unknown:
        raise ValueError(f"no reading of household {', '.join(unknown)} is stored; see mimamori resident list")
    return Extract(keys=keys, batches=_batches(connection, keys, homes, start, end))


def _batches(
    connection: sqlite3.Connection, keys: Keys, homes: list[int], start: int, end: int
) -> Iterator[ReadingBatch]:
    try:
        limits = connection.execute("SELECT raw_before, figures_before FROM retention").fetchone() or (NEVER, NEVER)
        newest = concat(
            unpack_log(body, keys.device_home) for (body,) in connection.execute("SELECT body FROM log ORDER BY id")
        )
        newest = newest.take(np.argsort(newest.home, kind="stable"))
        parts = slices_of(starts_of(newest.home), len(newest))
        mine = {int(newest.home[part.start]): [newest.take(part)] for part in parts}
        histories = [
            History(
                connection=connection, keys=keys, home=home, newest=mine.get(home, []), raw_before=limits[0],
                figures_before=limits[1],
            )
            for home in homes
        ]  # fmt: skip
        first, last = _span(connection, homes, newest)
        start, end = max(start, limits[0], first), min(end, last)
        while start < end:
            day = start // DAY * DAY
            length = -(-DAY // max(1, -(-_sealed(connection, homes, day) // ROWS_AT_ONCE)))
            for begin in range(day, day + DAY, length):
                low, high = max(begin, start), min(begin + length, day + DAY, end)
                if low < high:
                    rows = concat(history.rows(low, high) for history in histories)
                    yield rows.take(np.lexsort((rows.metric, rows.device, rows.taken)))
            start = day + DAY
    except BROKEN as error:
        raise StoreError(f"cannot read readings: {error}; restore the newest backup beside it") from error
    finally:
        connection.close()


def _sealed(connection: sqlite3.Connection, homes: list[int], day: int) -> int:
    """Sealed readings of a day."""
    n = 0
    for home in homes:
        first = (home << HOUR_BITS) + max(day // HOUR, 0)
        n += connection.execute(
            "SELECT coalesce(sum(n), 0) FROM chunk WHERE id BETWEEN ? AND ?", (first, first + DAY_HOURS - 1)
        ).fetchone()[0]
    return n


def _span(connection: sqlite3.Connection, homes: list[int], newest: ReadingBatch) -> tuple[int, int]:
    """[first, last) ns of whole hours between which all readings were taken; empty if there are none."""
    hours = []
    if len(newest):
        hours.append((int(newest.taken.min()) // HOUR, int(newest.taken.max()) // HOUR + 1))
    for home in homes:
        first, last = home << HOUR_BITS, (home + 1) << HOUR_BITS
        found = connection.execute(
            "SELECT (SELECT min(id) FROM chunk WHERE id >= ? AND id < ?),"
            " (SELECT max(id) FROM chunk WHERE id >= ? AND id < ?)", (first, last, first, last)
        ).fetchone()  # fmt: skip
        if found[0] is not None:
            hours.append((found[0] - first, found[1] - first + DAY_HOURS))
    for (body,) in connection.execute("SELECT body FROM staged"):
        taken = unpack_runs(body).taken
        hours.append((int(taken.min()) // HOUR, int(taken.max()) // HOUR + 1))
    if not hours:
        return 0, 0
    return min(first for first, _ in hours) * HOUR, max(last for _, last in hours) * HOUR
