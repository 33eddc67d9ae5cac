"""Roll-ups: minute cells (count, sum, lowest, highest) of readings, as bytes and as figures by step of time.

May import model and pack only. Sums of decimal values are exact integers, so late data in any order give equal figures.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, MINUTE, Nanos
from mimamori.store.pack import (
    LEVEL,
    RAW,
    Ints,
    Reader,
    deltas,
    exponents,
    planes,
    spread,
    starts_of,
    to_floats,
    to_ints,
    undeltas,
)
from mimamori.store.readings import Rollup


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """One row a device, metric and minute that has a reading, sorted so.

    device, metric: (n,) int64 store keys. minute: (n,) int64 minutes since 1970. count: (n,) int64. exponent: (n,) of
    the decimals. total, low, high: (n,) int64 in 10^-exponent, or float64 bits where the exponent is RAW.
    """

    device: Ints
    metric: Ints
    minute: Ints
    count: Ints
    exponent: Ints
    total: Ints
    low: Ints
    high: Ints

    def of(self, metric: int) -> Cells:
        """The rows of one metric."""
        which = self.metric == metric
        return Cells(
            device=self.device[which], metric=self.metric[which], minute=self.minute[which], count=self.count[which],
            exponent=self.exponent[which], total=self.total[which], low=self.low[which], high=self.high[which],
        )  # fmt: skip


def cells_of(rows: ReadingBatch) -> Cells:
    """Cells of n >= 1 rows sorted by (device, metric, taken) without duplicates.

    Decimals are found by the hour, so that the cells are the same however many hours are looked at together.
    """
    minute = rows.taken // MINUTE
    series = starts_of(rows.device, rows.metric, rows.taken // HOUR)
    counts = np.diff(series, append=len(rows)).astype(np.int64)
    exponent = spread(exponents(rows.value, series), counts)
    whole = to_ints(rows.value, exponent)
    starts = starts_of(rows.device, rows.metric, minute)
    total, low, high = (f.reduceat(whole, starts) for f in (np.add, np.minimum, np.maximum))
    raw = exponent[starts] == RAW
    if raw.any():
        sums, least, most = (f.reduceat(rows.value, starts) for f in (np.add, np.minimum, np.maximum))
        total = np.where(raw, sums.view(np.int64), total)
        low = np.where(raw, least.view(np.int64), low)
        high = np.where(raw, most.view(np.int64), high)
    return Cells(
        device=rows.device[starts].astype(np.int64), metric=rows.metric[starts].astype(np.int64),
        minute=minute[starts], count=np.diff(starts, append=len(rows)).astype(np.int64),
        exponent=exponent[starts], total=total, low=low, high=high,
    )  # fmt: skip


def pack_cells(cells: Cells, level: int = LEVEL) -> bytes:
    """Compressed bytes of n >= 1 cells."""
    starts = starts_of(cells.device, cells.metric, cells.exponent)
    counts = np.diff(starts, append=len(cells.minute)).astype(np.int64)
    base = int(cells.minute.min())
    body = b"".join((
        planes(np.array([len(starts), base], np.int64)),
        planes(np.diff(cells.device[starts], prepend=0)),
        planes(cells.metric[starts]),
        planes(counts),
        planes(cells.exponent[starts]),
        planes(deltas(cells.minute - base, starts)),
        planes(cells.count - 1),
        planes(cells.low),
        planes(cells.high - cells.low),
        planes(cells.total - cells.low),
    ))  # fmt: skip
    return zlib.compress(body, level)


def unpack_cells(body: bytes) -> Cells:
    """The inverse of `pack_cells`."""
    column = Reader(zlib.decompress(body))
    runs, base = (int(x) for x in column.ints(2))
    device, metric = np.cumsum(column.ints(runs)), column.ints(runs)
    counts = column.ints(runs)
    exponent = column.ints(runs)
    starts = (np.cumsum(counts) - counts).astype(np.intp)
    n = int(counts.sum())
    minute = undeltas(column.ints(n), starts, counts) + base
    count = column.ints(n) + 1
    low = column.ints(n)
    high = column.ints(n) + low
    return Cells(
        device=spread(device, counts), metric=spread(metric, counts), minute=minute, count=count,
        exponent=spread(exponent, counts), total=column.ints(n) + low, low=low, high=high,
    )  # fmt: skip


def roll(parts: list[Cells], start: int, end: int, *, step: int, offset: int, since: int) -> Rollup:
    """Figures of the steps that begin in [start, end) at offset + k * step, over the cells of all parts (one metric).

    since: ns, minutes before it are left out.

    Integers are added exactly per number of decimals; then those few sums are added as float64 in a fixed order.
    """
    minute, count = _join([p.minute for p in parts]), _join([p.count for p in parts])
    exponent = _join([p.exponent for p in parts])
    total, low, high = (_join([getattr(p, name) for p in parts]) for name in ("total", "low", "high"))
    begins: Nanos = (minute * MINUTE - offset) // step * step + offset
    kept = np.flatnonzero((begins >= start) & (begins < end) & (minute >= since // MINUTE))
    kept = kept[np.lexsort((minute[kept], exponent[kept], begins[kept]))]
    begins, exponent, count, total, low, high = (x[kept] for x in (begins, exponent, count, total, low, high))
    if not len(kept):
        nothing = np.empty(0, np.float64)
        return Rollup(start=begins, count=count, mean=nothing, low=nothing, high=nothing)
    sums = _sums(total, exponent, starts_of(begins, exponent))
    starts = starts_of(begins)
    fine = begins[starts_of(begins, exponent)]
    counted = np.add.reduceat(count, starts)
    return Rollup(
        start=begins[starts], count=counted, mean=np.add.reduceat(sums, starts_of(fine)) / counted,
        low=np.minimum.reduceat(to_floats(low, exponent), starts),
        high=np.maximum.reduceat(to_floats(high, exponent), starts),
    )  # fmt: skip


def _sums(total: Ints, exponent: Ints, starts: NDArray[np.intp]) -> NDArray[np.float64]:
    kind = exponent[starts]
    whole = to_floats(np.add.reduceat(np.where(exponent == RAW, 0, total), starts), np.where(kind == RAW, 0, kind))
    raw = np.where(exponent == RAW, total, 0).view(np.float64)
    return np.where(kind == RAW, np.add.reduceat(raw, starts), whole)


def _join(columns: list[Ints]) -> Ints:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)
