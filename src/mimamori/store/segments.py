"""The embedded store's file: its tables, and what one household or one stretch of arrivals has in them.

May import model and its neighbours. Reads only, on the connection it is given; never decides when to seal.

log: batches as they came. staged: some minutes of a bucket of households, sorted. chunk: one household's hour, without
duplicates; once its day (UTC) is over, the whole day. Every reading is in one of the three (moves are transactions),
and what is in a later table came earlier, so that "chunk, staged by run, memory" is the order of arrival.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, SECOND
from mimamori.store.pack import unpack, unpack_runs
from mimamori.store.readings import StoreError

BUCKET = 16
"""Households that are staged together: few enough to read in passing, enough to keep the number of rows down."""
HOUR_BITS = 24
HOURS = (1 << HOUR_BITS) - 1
RUN_BITS = 32
DAY_HOURS = 24
FORMAT = 3

NAMES_AND_LOG = """
CREATE TABLE household (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE device (id INTEGER PRIMARY KEY, household INTEGER NOT NULL, name TEXT NOT NULL, profile TEXT NOT NULL,
    UNIQUE (household, name));
CREATE TABLE metric (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE log (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE unstamped (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
SCHEMA = f"""{NAMES_AND_LOG}
CREATE TABLE staged (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX staged_got ON staged (last, first, n);
CREATE TABLE chunk (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    figures BLOB NOT NULL, body BLOB, hours INTEGER NOT NULL DEFAULT 1);
CREATE TABLE stray (id INTEGER PRIMARY KEY);
CREATE TABLE open_day (id INTEGER PRIMARY KEY);
CREATE TABLE retention (one INTEGER PRIMARY KEY CHECK (one = 1), raw_before INTEGER NOT NULL,
    figures_before INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0);
"""
UPGRADES = {
    1: """
ALTER TABLE chunk ADD COLUMN hours INTEGER NOT NULL DEFAULT 1;
CREATE TABLE open_day (id INTEGER PRIMARY KEY);
INSERT INTO open_day SELECT DISTINCT id - (id & 16777215) % 24 FROM chunk;
ALTER TABLE retention ADD COLUMN done INTEGER NOT NULL DEFAULT 0;
""",
    2: "CREATE TABLE unstamped (id INTEGER PRIMARY KEY, body BLOB NOT NULL);",
}
"""By format, what makes it the next one."""
# staged.id = bucket << 32 | run; chunk.id = household key << 24 | hours since 1970, the first of `hours` (1, or 24 for
# a day). first, last: seconds UTC of `got` (chunk: from the beginning of its first hour). chunk.figures is empty where
# they are made from the body when asked for; chunk.body is null when only figures are kept. open_day: chunk.id of the
# first hour of days that still lie in hours. stray: chunks with readings that came more than an hour before or after
# their time, which a search by arrival must look at beside the usual hours. retention.done: the hour up to which all
# were let go.


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; a reader's refuses to write. The caller sees to it that one thread uses it."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: a commit is on the disk even if the power fails, at one fsync a micro-batch
    connection.execute("PRAGMA synchronous = FULL" if write else "PRAGMA query_only = ON")
    connection.execute("PRAGMA mmap_size = 1073741824")
    return connection


def prepare(
    connection: sqlite3.Connection, path: Path, schema: str = SCHEMA, upgrades: Mapping[int, str] = UPGRADES
) -> None:
    """Makes the tables of a new file, or brings an older one up; raises ValueError for one of a newer version."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        msg = f"{path}: written by a newer version (format {found}, this one knows {FORMAT}); update the service"
        raise ValueError(msg)
    steps = schema if found == 0 else "".join(upgrades.get(step, "") for step in range(found, FORMAT))
    if found < FORMAT:
        connection.executescript(f"BEGIN;{steps}PRAGMA user_version = {FORMAT};COMMIT;")


def chunk_id(home: int, hour: int) -> int:
    """Key of a household's hour. Hours before 1970 go to hour 0: the door refuses such times anyway."""
    return (home << HOUR_BITS) + max(0, min(hour, HOURS))


def staged_of(connection: sqlite3.Connection, home: int, device_home: NDArray[np.int32]) -> list[ReadingBatch]:
    """The staged rows of one household, by run."""
    bucket = home // BUCKET
    found = connection.execute(
        "SELECT body FROM staged WHERE id BETWEEN ? AND ? ORDER BY id",
        (bucket << RUN_BITS, (bucket + 1 << RUN_BITS) - 1),
    )
    devices, parts = np.flatnonzero(device_home == home), []
    for (body,) in found:
        rows = unpack_runs(body, devices=devices).rows(device_home)
        parts.append(rows.take(np.flatnonzero(rows.home == home)))
    return parts


def day_of(key: int) -> int:
    """Key of the first hour (UTC) of the day in which a chunk's hour lies."""
    return key - (key & HOURS) % DAY_HOURS


def chunks_of(connection: sqlite3.Connection, home: int, start: int, end: int) -> Iterator[tuple[range, bytes]]:
    """(hours since 1970, packed rows) of the sealed hours and days of one household that [start, end) touches."""
    found = connection.execute(
        "SELECT id, hours, body FROM chunk"
        " WHERE id BETWEEN ? AND ? AND id + hours > ? AND body IS NOT NULL ORDER BY id",
        _near(home, start, end),
    )
    return ((range(key & HOURS, (key & HOURS) + hours), body) for key, hours, body in found)


def figures_of(
    connection: sqlite3.Connection, home: int, start: int, end: int
) -> Iterator[tuple[range, bytes, bytes | None]]:
    """(hours since 1970, packed cells, packed rows if there are no cells) as `chunks_of`."""
    found = connection.execute(
        "SELECT id, hours, figures, CASE WHEN figures = x'' THEN body END FROM chunk"
        " WHERE id BETWEEN ? AND ? AND id + hours > ? ORDER BY id",
        _near(home, start, end),
    )
    return ((range(key & HOURS, (key & HOURS) + hours), figures, body) for key, hours, figures, body in found)


def _near(home: int, start: int, end: int) -> tuple[int, int, int]:
    first = chunk_id(home, start // HOUR)
    return day_of(first), chunk_id(home, (end - 1) // HOUR), first


def arrived(
    connection: sqlite3.Connection, start: int, end: int, device_home: NDArray[np.int32]
) -> Iterator[ReadingBatch]:
    """Sealed, then staged rows that may have `got` in [start, end), a superset; the caller filters."""
    low, high = start // SECOND, (end - 1) // SECOND
    first_hour, last_hour = max(0, low // 3600 - 2), max(0, high // 3600 + 1)
    asked = (
        " WHERE c.body IS NOT NULL AND c.last + (c.id & ?) * 3600 >= ? AND c.first + (c.id & ?) * 3600 <= ?"
        " AND c.id NOT IN (SELECT id FROM stray)"
    )
    usual = connection.execute(
        "SELECT c.body FROM household h JOIN chunk c ON c.id BETWEEN (h.id << ?) + ? AND (h.id << ?) + ?" + asked,
        (HOUR_BITS, first_hour, HOUR_BITS, last_hour, *_span(low, high)),
    )
    days = connection.execute(  # that begin before those hours
        "SELECT c.body FROM household h JOIN chunk c ON c.id = (h.id << ?) + ?" + asked + " AND ? AND c.hours > 1",
        (HOUR_BITS, day_of(first_hour), *_span(low, high), day_of(first_hour) < first_hour),
    )
    strays = connection.execute(
        "SELECT c.body FROM stray s JOIN chunk c ON c.id = s.id"
        " WHERE c.body IS NOT NULL AND c.last + (c.id & ?) * 3600 >= ? AND c.first + (c.id & ?) * 3600 <= ?",
        _span(low, high),
    )
    staged = connection.execute("SELECT body FROM staged WHERE last >= ? AND first <= ? ORDER BY id", (low, high))
    for found in (usual, days, strays, staged):
        for (body,) in found:
            yield unpack(body, device_home)


def _span(low: int, high: int) -> Sequence[int]:
    return (HOURS, low, HOURS, high)


def arrivals_span(connection: sqlite3.Connection) -> tuple[int, int] | None:
    """(first, last] seconds UTC between which every sealed or staged row came; None if there is none."""
    spans = [connection.execute("SELECT min(first), max(last) FROM staged").fetchone()]
    spans += connection.execute(
        "SELECT (min(c.id & ?) - 1) * 3600, (max((c.id & ?) + c.hours) + 1) * 3600 FROM household h"
        " JOIN chunk c ON c.id IN ((SELECT min(id) FROM chunk WHERE id >= h.id << ?),"
        " (SELECT max(id) FROM chunk WHERE id < (h.id + 1) << ?))",
        (HOURS, HOURS, HOUR_BITS, HOUR_BITS),
    )
    spans += connection.execute(
        "SELECT min(c.first + (c.id & ?) * 3600), max(c.last + (c.id & ?) * 3600) FROM stray s JOIN chunk c USING (id)",
        (HOURS, HOURS),
    )
    known = [(first, last) for first, last in spans if first is not None]
    return (min(f for f, _ in known), max(last for _, last in known)) if known else None


def take_lock(folder: Path) -> IO[bytes]:
    """Held until closed. Raises StoreError if another process has the store in this folder open."""
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreError(f"{folder}: another process has this store open; stop it, or name another folder") from None
    return lock
