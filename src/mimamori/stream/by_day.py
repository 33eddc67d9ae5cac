"""Batches of readings in any order into batches sorted by time: spread by day over temporary files, then day by day.

May import model only. Memory holds one day of all households; the disk holds 26 bytes a reading while it works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY

_ROW = np.dtype([("taken", "<i8"), ("value", "<f8"), ("home", "<i4"), ("device", "<i4"), ("metric", "<i2")])


def sorted_days(batches: Iterable[ReadingBatch]) -> Iterator[tuple[int, ReadingBatch]]:
    """(UTC day, its readings by time, device and metric), ascending; rows alike in all three keep their order."""
    with TemporaryDirectory(prefix="mimamori-import-") as kept:
        folder = Path(kept)
        days: set[int] = set()
        for batch in batches:
            if len(batch):
                days.update(_spread(batch, folder))
        for day in sorted(days):
            yield day, _ordered(np.fromfile(folder / str(day), _ROW))


def _spread(batch: ReadingBatch, folder: Path) -> list[int]:
    rows = np.empty(len(batch), _ROW)
    for name in _ROW.names or ():
        rows[name] = getattr(batch, name)
    day = batch.taken // DAY
    order = np.argsort(day, kind="stable")
    found, first = np.unique(day[order], return_index=True)
    for number, part in zip(found.tolist(), np.split(rows[order], first[1:]), strict=True):
        with (folder / str(number)).open("ab") as file:
            part.tofile(file)
    return [int(d) for d in found]


def _ordered(rows: np.ndarray) -> ReadingBatch:
    rows = rows[np.lexsort((rows["metric"], rows["device"], rows["taken"]))]
    return ReadingBatch(
        home=rows["home"].astype(np.int32), device=rows["device"].astype(np.int32),
        metric=rows["metric"].astype(np.int16), value=rows["value"].astype(np.float64),
        taken=rows["taken"].astype(np.int64), got=rows["taken"].astype(np.int64), flags=np.zeros(len(rows), np.uint8),
    )  # fmt: skip
