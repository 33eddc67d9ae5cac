"""A day's readings in the order of cells of time: one compiled counting sort of whole rows.

May import numpy, model and rules.kernel. Sorting the cells by numpy and gathering each column fetches every row from
afar seven times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.rules.kernel import compiled, lean

WORDS = 5  # of a record


class _Columns(NamedTuple):
    home: NDArray[np.int32]
    device: NDArray[np.int32]
    metric: NDArray[np.int16]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    got: NDArray[np.int64]
    flags: NDArray[np.uint8]


def in_cells(rows: ReadingBatch, begin: int, cell: int, cells: int) -> ReadingBatch:
    """The rows by the cell that they came in, those of one in the order given.

    A row got in (begin + (k - 1) * cell, begin + k * cell] is of cell k; every got must lie in cells 0 to `cells`.
    """
    columns = _Columns(rows.home, rows.device, rows.metric, rows.value, rows.taken, rows.got, rows.flags)
    ordered = _arranged(columns, begin, cell, cells)
    return ReadingBatch(
        home=ordered.home, device=ordered.device, metric=ordered.metric, value=ordered.value, taken=ordered.taken,
        got=ordered.got, flags=ordered.flags,
    )  # fmt: skip


@compiled
def _arranged(rows: _Columns, begin: int, cell: int, cells: int) -> _Columns:
    n = len(rows.got)
    which, place, records = np.empty(n, np.uint32), np.zeros(cells + 2, np.int64), np.empty((n, WORDS), np.int64)
    out = _Columns(
        np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int16), np.empty(n, np.float64),
        np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.uint8),
    )  # fmt: skip
    _place(rows, begin, cell, which, place, records)
    _part(records, out)
    return out


@lean
def _place(  # noqa: PLR0917 - the columns, and what they are placed by
    rows: _Columns, begin: int, cell: int, which: NDArray[np.uint32], place: NDArray[np.int64],
    records: NDArray[np.int64],
) -> None:  # fmt: skip
    """Each row as one record at its place: thousands of cells in seven columns each would lie in too many pages."""
    value = rows.value.view(np.int64)
    for i in range(len(which)):
        which[i] = -((begin - rows.got[i]) // cell)
        place[which[i] + 1] += 1
    for k in range(1, len(place)):
        place[k] += place[k - 1]
    for i in range(len(which)):
        to = place[which[i]]
        place[which[i]] += 1
        records[to, 0] = np.int64(rows.home[i]) << 32 | np.int64(rows.device[i])
        records[to, 1] = np.int64(rows.metric[i]) << 8 | np.int64(rows.flags[i])
        records[to, 2] = value[i]
        records[to, 3] = rows.taken[i]
        records[to, 4] = rows.got[i]


@lean
def _part(records: NDArray[np.int64], out: _Columns) -> None:
    value = out.value.view(np.int64)
    for i in range(len(records)):
        out.home[i], out.device[i] = records[i, 0] >> 32, records[i, 0] & 0xFFFFFFFF
        out.metric[i], out.flags[i] = records[i, 1] >> 8, records[i, 1] & 0xFF
        value[i], out.taken[i], out.got[i] = records[i, 2], records[i, 3], records[i, 4]
