"""The newest readings in memory, as they also stand in the log: columns that grow, one writer, many readers.

May import model only. Never touches a file; what is here is durable already.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch, concat, no_readings

NAMES = tuple(f.name for f in fields(ReadingBatch))
BLOCK = 1 << 16
"""Rows that are indexed together, by household: so a search of two million rows takes a fraction of a millisecond."""


class Tail:
    """Rows in order of arrival, keyed by the store's own keys.

    One thread adds; any thread may ask. The count is raised last, so a reader sees whole rows only.
    """

    def __init__(self, capacity: int = 4096) -> None:
        empty = no_readings()
        self._columns = {name: np.empty(capacity, getattr(empty, name).dtype) for name in NAMES}
        self._index: list[tuple[NDArray[np.uint16], NDArray[np.int32]]] = []  # by block: rows by household, and those
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def add(self, rows: ReadingBatch) -> None:
        """Appends; doubles the capacity when full. Indexes whole blocks."""
        end = self._n + len(rows)
        if end > len(self._columns["home"]):
            self._grow(end)
        for name in NAMES:
            self._columns[name][self._n : end] = getattr(rows, name)
        for begin in range(len(self._index) * BLOCK, end - BLOCK + 1, BLOCK):
            home = self._columns["home"][begin : begin + BLOCK]
            order = home.argsort(kind="stable")
            self._index.append((order.astype(np.uint16), home[order]))
        self._n = end

    def rows(self) -> ReadingBatch:
        """All rows up to now, as views that later additions do not change."""
        n, columns = self._n, self._columns
        return ReadingBatch(**{name: columns[name][:n] for name in NAMES})

    def of(self, home: int) -> ReadingBatch:
        """The rows of one household, in order of arrival."""
        rows, found = self.rows(), []
        span = np.array((home, home + 1), rows.home.dtype)  # of another type, every block would be converted whole
        for block, (order, homes) in enumerate(self._index[: len(rows) // BLOCK]):
            first, last = homes.searchsorted(span)
            found.append(order[first:last].astype(np.intp) + block * BLOCK)
        rest = len(found) * BLOCK
        found.append(np.flatnonzero(rows.home[rest:] == home) + rest)
        return rows.take(np.concatenate(found))

    def _grow(self, needed: int) -> None:
        capacity = max(needed, 2 * len(self._columns["home"]))
        grown = {name: np.empty(capacity, column.dtype) for name, column in self._columns.items()}
        for name, column in grown.items():
            column[: self._n] = self._columns[name][: self._n]
        self._columns = grown  # readers keep the old columns, whose first rows are the same


def tail_of(parts: list[ReadingBatch]) -> Tail:
    """A tail that holds all rows in the order given."""
    rows = concat(parts)
    tail = Tail(max(4096, len(rows)))
    tail.add(rows)
    return tail
