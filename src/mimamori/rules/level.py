"""Evidence from the level of power drawn: is this half hour like a quiet night, or like this household at this hour?

May import model, rules.columns and rules.kernel. Compiled, each function about one household, row `h` of the columns.
Page's test (Page, Biometrika 1954) on half-hour energy, binned at quantiles of the household's own quiet nights: log of
the quiet nights' share of the bin over its share at this time of day, the latter corrected by observed over expected
counts after so long a quiet, both by the bin before, as a fridge comes and goes. Never tells people apart.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import MINUTE
from mimamori.rules.columns import Column
from mimamori.rules.kernel import compiled, inlined, number, pattern

LEVEL_CELL = 30 * MINUTE
SLOTS, BINS = 48, 8
NIGHTS, NIGHT_BEGINS, NIGHT_SLOTS = 28, 4, 6  # 02:00-05:00 of the last four weeks
QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
QUIET_PRIOR = np.diff(np.concatenate([[0.0], QUANTILES, [1.0]])) * 4.0  # cells
LAST_LEAST = 0.002  # even a fallen resident's home may draw more than ever in a quiet night
MARGIN, MARGIN_WH = 1.1, 5.0  # the last edge lies so far above the quiet nights' highest half hour
LEAST_NIGHTS, LEAST_CELLS, CELLS_A_NIGHT = 3, 12, 4
EDGE_MOVES = 0.1  # a day
LIFE = 5  # bins from here on are taken to be somebody's doing
RUNS = np.array([1, 2, 4, 8, 16, 32])  # cells since then
ROWS = len(RUNS) + 1 + BINS  # and by the bin before
KERNEL = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 3.0
DAY_WEIGHT, QUIET_WEIGHT, ROW_WEIGHT = 6.0, 20.0, 10.0  # cells: of the whole day, of the quiet nights, of no correction
ALIKE_WEIGHT = 40.0  # cells: of a quiet whose half hours do not depend on each other
HIGHEST_GAIN, LOWEST_GAIN, HIGHEST_SUM, LOWEST_SUM = 1.5, -9.0, 30.0, -30.0  # nats
KEEP = 1 - 1 / 14  # a day
UNTOLD, LARGEST = np.uint16(0x7E00), 0x7BFF  # half-precision patterns: NaN, and the largest number
THRESHOLD, ALARM_RAISES, LOWEST, HIGHEST = 7.75, 0.5, 4.0, 10.0  # nats; more spares no long absence


def level_columns(prefix: str) -> list[Column]:
    """Columns of the power level of one evidence rule."""
    declared = [
        Column("level_table", "f2", 0, "cells, by slot of day and bin", (SLOTS, BINS)),
        Column("level_day", "f4", 0, "cells, by bin", (BINS,)),
        Column("level_seen", "f2", 0, "cells, by run length or bin before, and bin", (ROWS, BINS)),
        Column("level_meant", "f2", 0, "cells expected, likewise", (ROWS, BINS)),
        Column("level_night", "f2", np.nan, "Wh, ring of nights", (NIGHTS, NIGHT_SLOTS)),
        Column("level_edge", "f4", np.nan, "Wh", (BINS - 1,)),
        Column("level_quiet", "f4", 0, "share, of quiet nights", (BINS,)),
        Column("level_follows", "f2", 0, "share, of quiet nights, by bin before, and bin", (BINS, BINS)),
        Column("level_before", "i1", 0, "bin of the half hour weighed before, mostly the last one"),
        Column("level_sum", "f4", 0, "nats"),
        Column("level_run", "i2", 0, "cells since somebody's doing"),
        Column("level_threshold", "f4", THRESHOLD, "nats, where power is all there is"),
    ]
    return [Column(f"{prefix}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in declared]


Shares = NDArray[np.float64]


class Levels(NamedTuple):
    """The columns of `level_columns`, whole; the half-precision ones as their patterns."""

    table: NDArray[np.uint16]
    day: NDArray[np.float32]
    seen: NDArray[np.uint16]
    meant: NDArray[np.uint16]
    night: NDArray[np.uint16]
    edge: NDArray[np.float32]
    quiet: NDArray[np.float32]
    follows: NDArray[np.uint16]
    before: NDArray[np.int8]
    sum: NDArray[np.float32]
    run: NDArray[np.int16]
    threshold: NDArray[np.float32]


@inlined
def weigh(h: int, wh: float, lowest: float, slot: int, learns: bool, levels: Levels, p: Shares) -> bool:
    """Whether the half hour drew more than any quiet night's; True where those are unknown.

    wh: energy of the half hour, finite. slot: 0..47, of its beginning in local time. learns: whether what it is like
    becomes usual. Adds its nats to the sum, which stays within [lowest, 30]. p: (bins,) to work in.
    """
    if np.isnan(levels.edge[0, h]):
        return True
    b, before = _bin(h, wh, levels), levels.before[h]
    _usual(h, slot, levels, p)
    total, run = np.float64(levels.sum[h]), levels.run[h]
    _correct(h, _place(RUNS, run), b, learns, p, levels)
    _correct(h, len(RUNS) + 1 + before, b, learns, p, levels)
    gain = min(max(math.log(number(levels.follows[before, b, h]) / p[b]), LOWEST_GAIN), HIGHEST_GAIN)
    levels.sum[h] = min(max(total + gain, lowest), HIGHEST_SUM)
    levels.before[h] = b
    levels.run[h] = 0 if b >= LIFE else min(run, RUNS[-1]) + 1
    if learns:
        levels.table[slot, b, h] = pattern(number(levels.table[slot, b, h]) + np.float32(1))
        levels.day[b, h] += 1
    return b == BINS - 1


@inlined
def _bin(h: int, wh: float, levels: Levels) -> int:
    b = 0
    for k in range(BINS - 1):
        b += levels.edge[k, h] < wh
    return b


@inlined
def _place(edges: NDArray[np.float64], value: float) -> int:
    """How many of the edges the value reaches."""
    place = 0
    for edge in edges:
        place += value >= edge
    return place


@inlined
def _usual(h: int, slot: int, levels: Levels, p: Shares) -> None:
    """Sets the share (bins,) of each bin at this time of day, leaning on the whole day and on the quiet nights."""
    day = 0.0
    for k in range(BINS):
        day += levels.day[k, h]
    for k in range(BINS):
        usual = np.float64(levels.day[k, h]) + QUIET_WEIGHT * levels.quiet[k, h]
        p[k] = DAY_WEIGHT * usual / (day + QUIET_WEIGHT)
    for j in range(len(KERNEL)):
        s = (slot + j - len(KERNEL) // 2) % SLOTS
        for k in range(BINS):
            p[k] += KERNEL[j] * number(levels.table[s, k, h])
    _share(p)


@inlined
def _correct(h: int, row: int, b: int, learns: bool, p: Shares, levels: Levels) -> None:
    """Correct the shares `p` in place by observed over expected counts of that row, which may learn from this one."""
    for k in range(BINS):
        seen, meant, before = number(levels.seen[row, k, h]), number(levels.meant[row, k, h]), p[k]
        p[k] = before * (seen + ROW_WEIGHT * before) / (meant + ROW_WEIGHT * before)
        if learns:
            levels.meant[row, k, h] = pattern(meant + before)
    if learns:
        levels.seen[row, b, h] = pattern(number(levels.seen[row, b, h]) + np.float32(1))
    _share(p)


@inlined
def _share(parts: NDArray[np.float64]) -> None:
    """Divide by their sum, taken one after the other: the same to the bit for one household as for many."""
    total = 0.0
    for part in parts:
        total += part
    for k in range(len(parts)):
        parts[k] /= total


@inlined
def end_half_hour(h: int, wh: float, slot: int, day: int, alarmed: bool, sinks: float, levels: Levels) -> None:
    """Close the half hour: the threshold sinks or, after an alarm, rises, and a night's energy is remembered.

    wh: NaN where nothing is known. day: number of the local day. sinks: nats.
    """
    limit = levels.threshold[h] + np.float32(ALARM_RAISES if alarmed else 0.0)
    levels.threshold[h] = min(max(limit - np.float32(sinks), np.float32(LOWEST)), np.float32(HIGHEST))
    if NIGHT_BEGINS <= slot < NIGHT_BEGINS + NIGHT_SLOTS:
        held = pattern(min(max(wh, -60_000.0), 60_000.0)) if wh == wh else UNTOLD  # noqa: PLR0124 - NaN
        levels.night[day % NIGHTS, slot - NIGHT_BEGINS, h] = held


@compiled
def forget(first: int, last: int, levels: Levels) -> None:
    """Once a day: the rows first..last forget a little of what is usual."""
    for table in (levels.table, levels.seen, levels.meant):
        for r in range(table.shape[0]):
            for k in range(BINS):
                row = table[r, k, first:last]
                for i in range(len(row)):
                    row[i] = pattern(KEEP * number(row[i]))
    for k in range(BINS):
        for h in range(first, last):
            levels.day[k, h] *= np.float32(KEEP)


@compiled
def learn_quiet(first: int, last: int, levels: Levels) -> None:
    """Once a day, after 05:00: edges and shares of the rows first..last from the quieter half of the last nights."""
    mean, told = np.empty(NIGHTS), np.empty(NIGHTS)
    cells = np.empty(NIGHTS * NIGHT_SLOTS)
    for h in range(first, last):
        nights = 0
        for d in range(NIGHTS):
            mean[d] = _night_mean(h, d, levels)
            if mean[d] < np.inf:
                told[nights] = mean[d]
                nights += 1
        if nights < LEAST_NIGHTS:
            continue
        ordered = np.sort(told[:nights])
        middle, count = 0.5 * (ordered[(nights - 1) // 2] + ordered[nights // 2]), 0
        for d in range(NIGHTS):
            if mean[d] <= middle:
                for s in range(NIGHT_SLOTS):
                    if levels.night[d, s, h] & 0x7FFF <= LARGEST:
                        cells[count] = number(levels.night[d, s, h])
                        count += 1
        if count >= LEAST_CELLS:
            _set_quiet(h, np.sort(cells[:count]), levels)
            _set_follows(h, mean <= middle, levels)


@compiled
def _night_mean(h: int, d: int, levels: Levels) -> float:
    """Wh of a half hour of that night; infinite if too few of it are known."""
    total, cells = 0.0, 0
    for s in range(NIGHT_SLOTS):
        half = levels.night[d, s, h]
        if half & 0x7FFF <= LARGEST:
            total += number(half)
            cells += 1
    return total / cells if cells >= CELLS_A_NIGHT else np.inf


@compiled
def _set_quiet(h: int, quiet: NDArray[np.float64], levels: Levels) -> None:
    """quiet: (cells,) Wh in ascending order."""
    count, edge = len(quiet), np.empty(BINS - 1)
    for k in range(BINS - 1):
        edge[k] = quiet[int(QUANTILES[k] * (count - 1) + 0.5)] + 0.5
    for k in range(1, BINS - 2):
        if edge[k] <= edge[k - 1]:
            edge[k] = edge[k - 1] + 0.5
    edge[-1] = max(edge[-1], quiet[-1] * MARGIN + MARGIN_WH, edge[-2] + 0.5)
    share, below = np.empty(BINS), 0
    for k in range(BINS - 1):
        old = np.float64(levels.edge[k, h])
        levels.edge[k, h] = edge[k] if np.isnan(old) else (1 - EDGE_MOVES) * old + EDGE_MOVES * edge[k]
        within = int(np.searchsorted(quiet, np.float64(levels.edge[k, h]), side="right"))
        share[k] = within - below + QUIET_PRIOR[k]
        below = within
    share[-1] = count - below + QUIET_PRIOR[-1]
    _share(share)
    share[-1] = max(share[-1], LAST_LEAST)
    _share(share)
    for k in range(BINS):
        levels.quiet[k, h] = share[k]


@compiled
def _set_follows(h: int, quiet: NDArray[np.bool_], levels: Levels) -> None:
    """Share of each bin after each, as counted in those nights, leaning on the share of all. quiet: (nights,)."""
    count = np.zeros((BINS, BINS))
    for d in range(NIGHTS):
        before = -1
        for s in range(NIGHT_SLOTS):
            half, b = levels.night[d, s, h], -1
            if quiet[d] and half & 0x7FFF <= LARGEST:
                b = _bin(h, np.float64(number(half)), levels)
                if before >= 0:
                    count[before, b] += 1
            before = b
    for before in range(BINS):
        total = count[before].sum()
        for b in range(BINS):
            share = (count[before, b] + ALIKE_WEIGHT * levels.quiet[b, h]) / (total + ALIKE_WEIGHT)
            levels.follows[before, b, h] = pattern(share)
