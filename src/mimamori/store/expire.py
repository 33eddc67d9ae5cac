"""Letting go: which chunks of some households are deleted, and which keep their figures only.

May import model and its neighbours. `expire` reads only; `put_expired` writes what it found as one transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.store.figures import cells_of, pack_cells
from mimamori.store.pack import SETTLED, unpack
from mimamori.store.segments import DAY_HOURS, HOUR_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """`gone`: keys of chunks to delete. `bare`: (figures, key) of those that lose their readings."""

    gone: list[tuple[int]]
    bare: list[tuple[bytes, int]]

    def __bool__(self) -> bool:
        return bool(self.gone or self.bare)


def expire(
    connection: sqlite3.Connection, homes: range, device_home: NDArray[np.int32], *, done: int, raw: int, figures: int
) -> Expiry:
    """What is to go of household keys `homes`; of a chunk, only when all of its hours do.

    Hours since 1970: readings before `done` went earlier, those before `raw` go now, and figures before `figures`.
    """
    gone, bare = [], []
    for home in homes:
        first = home << HOUR_BITS
        gone += connection.execute(
            "SELECT id FROM chunk WHERE id >= ? AND id < ? AND id + hours <= ?",
            (first, first + figures, first + figures),
        ).fetchall()
        begin = first + max(figures, done) - DAY_HOURS
        found = connection.execute(
            "SELECT id, figures, CASE WHEN figures = x'' THEN body END FROM chunk"
            " WHERE id >= ? AND id < ? AND id + hours <= ? AND id + hours > ? AND body IS NOT NULL",
            (max(first, begin), first + raw, first + raw, first + figures),
        )
        for key, packed, body in found:
            bare.append((packed if body is None else pack_cells(cells_of(unpack(body, device_home)), SETTLED), key))
    return Expiry(gone=gone, bare=bare)


def put_expired(connection: sqlite3.Connection, step: Expiry) -> None:
    """Takes them off the disk."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM chunk WHERE id = ?", step.gone)
        connection.executemany("UPDATE chunk SET body = NULL, figures = ? WHERE id = ?", step.bare)
        connection.executemany("DELETE FROM stray WHERE id = ?", step.gone + [(key,) for _, key in step.bare])
