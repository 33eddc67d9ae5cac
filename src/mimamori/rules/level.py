"""Evidence from the level of power drawn: is this half hour like a quiet night, or like this household at this hour?

May import model and rules.columns. Page's test (Page, Biometrika 1954) on half-hour energy, binned at quantiles of the
household's own quiet nights: log of the quiet nights' share of the bin over its share at this time of day, the latter
corrected by observed over expected counts after so long a quiet, and at so much evidence. Never tells people apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, MINUTE
from mimamori.rules.columns import Column, Columns

LEVEL_CELL = 30 * MINUTE
SLOTS, BINS = 48, 8
NIGHTS, NIGHT_SLOTS = 28, range(4, 10)  # 02:00-05:00 of the last four weeks
QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
QUIET_PRIOR = np.diff(np.concatenate([[0.0], QUANTILES, [1.0]])) * 4.0  # cells
LAST_LEAST = 0.002  # even a fallen resident's home may draw more than ever in a quiet night
MARGIN, MARGIN_WH = 1.1, 5.0  # the last edge lies so far above the quiet nights' highest half hour
LEAST_NIGHTS, LEAST_CELLS, CELLS_A_NIGHT = 3, 12, 4
EDGE_MOVES = 0.1  # a day
LIFE = 5  # bins from here on are taken to be somebody's doing
RUNS = np.array([1, 2, 4, 8, 16, 32])  # cells since then
SUMS = np.array([0.01, 2.0, 5.0])  # nats
ROWS = len(RUNS) + 1 + len(SUMS) + 1
KERNEL = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 3.0
DAY_WEIGHT, QUIET_WEIGHT, ROW_WEIGHT = 6.0, 20.0, 10.0  # cells: of the whole day, of the quiet nights, of no correction
HIGHEST_GAIN, LOWEST_GAIN, HIGHEST_SUM, LOWEST_SUM = 1.5, -9.0, 30.0, -30.0  # nats
KEEP = 1 - 1 / 14  # a day
THRESHOLD, ALARM_RAISES, LOWEST, HIGHEST = 7.75, 0.5, 4.0, 12.0  # nats


def level_columns(prefix: str) -> list[Column]:
    """Columns of the power level of one evidence rule."""
    declared = [
        Column("level_table", "f2", 0, "cells, by slot of day and bin", (SLOTS, BINS)),
        Column("level_day", "f4", 0, "cells, by bin", (BINS,)),
        Column("level_seen", "f2", 0, "cells, by run length or sum, and bin", (ROWS, BINS)),
        Column("level_meant", "f2", 0, "cells expected, likewise", (ROWS, BINS)),
        Column("level_night", "f2", np.nan, "Wh, ring of nights", (NIGHTS, len(NIGHT_SLOTS))),
        Column("level_edge", "f4", np.nan, "Wh", (BINS - 1,)),
        Column("level_quiet", "f4", 0, "share, of quiet nights", (BINS,)),
        Column("level_sum", "f4", 0, "nats"),
        Column("level_run", "i2", 0, "cells since somebody's doing"),
        Column("level_threshold", "f4", THRESHOLD, "nats, where power is all there is"),
    ]
    return [Column(f"{prefix}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in declared]


class Level:
    """Learns and weighs half hours of energy. All arrays have the household as their last axis."""

    def __init__(self, columns: Columns, prefix: str, *, false_alarm_every: int) -> None:
        self._columns, self._prefix = columns, prefix
        self._sinks = ALARM_RAISES * DAY / false_alarm_every / SLOTS

    def _c(self, name: str) -> NDArray[np.float64]:
        return self._columns[f"{self._prefix}.level_{name}"]

    def ready(self) -> NDArray[np.bool_]:
        """(n,) bool: quiet nights are known."""
        out: NDArray[np.bool_] = np.isfinite(self._c("edge")[0])
        return out

    def weigh(
        self, rows: NDArray[np.intp], wh: NDArray[np.float64], *, lowest: NDArray[np.float64], slot: int
    ) -> NDArray[np.bool_]:
        """Whether the half hour drew more than any quiet night's, for households `rows`; True where those are unknown.

        wh: energy of the half hour, same length as rows, finite. slot: 0..47, of its beginning in local time.
        Learns from it and adds its nats to the sum, which stays within [lowest, 30]; lowest: same length, nats.
        """
        above = np.ones(len(rows), np.bool_)
        ready = np.flatnonzero(np.isfinite(self._c("edge")[0, rows]))
        h, at = rows[ready], np.arange(len(ready))
        b = np.add.reduce(self._c("edge")[:, h] < wh[ready], axis=0)
        p = self._usual(h, slot)
        total, run = self._c("sum")[h], self._c("run")[h]
        for row in (
            np.searchsorted(RUNS, run, side="right"),
            len(RUNS) + 1 + np.searchsorted(SUMS, total, side="right"),
        ):
            before = p
            seen, meant = self._c("seen")[row, :, h].T, self._c("meant")[row, :, h].T
            p = _share(before * (seen + ROW_WEIGHT * before) / (meant + ROW_WEIGHT * before))
            self._c("seen")[row, b, h] += np.float32(1)
            self._c("meant")[row, :, h] = meant.T + before.T
        gain = np.clip(np.log(self._c("quiet")[b, h] / p[b, at]), LOWEST_GAIN, HIGHEST_GAIN)
        self._c("sum")[h] = np.clip(total + gain, lowest[ready], HIGHEST_SUM)
        self._c("run")[h] = np.where(b >= LIFE, 0, np.minimum(run, RUNS[-1]) + 1)
        self._c("table")[slot, b, h] += np.float16(1)
        self._c("day")[b, h] += np.float32(1)
        above[ready] = b == BINS - 1
        return above

    def _usual(self, h: NDArray[np.intp], slot: int) -> NDArray[np.float64]:
        """(bins, len(h)) share of each bin at this time of day, leaning on the whole day and on the quiet nights."""
        day, quiet = self._c("day")[:, h].astype(np.float64), self._c("quiet")[:, h].astype(np.float64)
        p = DAY_WEIGHT * (day + QUIET_WEIGHT * quiet) / (_total(day) + QUIET_WEIGHT)
        for j, weight in enumerate(KERNEL.tolist()):
            near: NDArray[np.float64] = self._c("table")[(slot + j - len(KERNEL) // 2) % SLOTS]
            p += weight * near[:, h]
        return _share(p)

    def end_slot(self, wh: NDArray[np.float64], *, slot: int, day: int, alarmed: NDArray[np.intp]) -> None:
        """Close the half hour for everybody: remember a night's, learn quiet nights after 05:00, fade at midnight.

        wh: (n,) Wh, NaN where nothing is known. day: number of the local day. alarmed: rows that alarmed just now.
        """
        limit = self._c("threshold")
        limit[alarmed] += np.float32(ALARM_RAISES)
        np.clip(limit - np.float32(self._sinks), LOWEST, HIGHEST, out=limit)
        if slot in NIGHT_SLOTS:
            self._c("night")[day % NIGHTS, slot - NIGHT_SLOTS[0]] = np.clip(wh, -60_000.0, 60_000.0)
        if slot == NIGHT_SLOTS[-1]:
            self._learn_quiet()
        if slot == SLOTS - 1:
            for name in ("table", "day", "seen", "meant"):
                table = self._c(name)
                table *= table.dtype.type(KEEP)

    def _learn_quiet(self) -> None:
        """Edges and shares from the quieter half of the last nights."""
        told = np.flatnonzero(np.isfinite(self._c("night")).any((0, 1)))
        night = self._c("night")[:, :, told].astype(np.float64)
        known = np.isfinite(night)
        cells = np.add.reduce(known, axis=1)
        used = cells >= CELLS_A_NIGHT
        mean = np.where(used, _total(np.where(known, night, 0).swapaxes(0, 1)) / np.maximum(cells, 1), np.inf)
        nights, at = np.add.reduce(used, axis=0), np.arange(len(told))
        ordered = np.sort(mean, axis=0)
        last = np.maximum(nights, 1)
        middle = 0.5 * (ordered[(last - 1) // 2, at] + ordered[last // 2, at])
        kept = known & (used & (mean <= middle))[:, None]
        quiet = np.sort(np.where(kept, night, np.inf).reshape(NIGHTS * len(NIGHT_SLOTS), len(told)), axis=0)
        count = np.add.reduce(np.isfinite(quiet), axis=0)
        go = np.flatnonzero((nights >= LEAST_NIGHTS) & (count >= LEAST_CELLS))
        self._set_quiet(told[go], quiet[:, go], count[go])

    def _set_quiet(self, h: NDArray[np.intp], quiet: NDArray[np.float64], count: NDArray[np.intp]) -> None:
        """quiet: (cells, len(h)) Wh in ascending order, the first `count` of each are known."""
        at = np.arange(len(h))
        edge = quiet[(QUANTILES[:, None] * (count - 1) + 0.5).astype(np.intp), at] + 0.5
        for k in range(1, BINS - 2):
            edge[k] = np.where(edge[k] <= edge[k - 1], edge[k - 1] + 0.5, edge[k])
        top = np.maximum(edge[-1], quiet[count - 1, at] * MARGIN + MARGIN_WH)
        edge[-1] = np.maximum(top, edge[-2] + 0.5)
        old: NDArray[np.float64] = self._c("edge")[:, h]
        self._c("edge")[:, h] = np.where(np.isfinite(old), (1 - EDGE_MOVES) * old + EDGE_MOVES * edge, edge)
        below = np.stack([np.add.reduce(quiet <= e, axis=0) for e in self._c("edge")[:, h]] + [count])
        share = _share(np.diff(below, axis=0, prepend=0) + QUIET_PRIOR[:, None])
        share[-1] = np.maximum(share[-1], LAST_LEAST)
        self._c("quiet")[:, h] = _share(share)


def _total(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the first axis, one after the other: the same to the bit for one household as for many."""
    total: NDArray[np.float64] = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def _share(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    return parts / _total(parts)
