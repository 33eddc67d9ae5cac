"""What the stored readings of one household tell, as small tables for charts and pages: steps, usual bands, nights.

May import model and the store's protocol. Reads the reading store; never a clock: `until` is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, Zone
from mimamori.store.readings import ReadingStore, Rollup

MS = 1_000_000
SLOT = HOUR // 2  # of the day: usual figures are told by half hours
USUAL_DAYS, LEAST_DAYS = 14, 3
IN_BED = 0.5  # share of a step
SETTLED, LEFT = 30 * MINUTE, 10 * MINUTE  # shorter stays in bed do not begin a night, shorter gaps do not break it
APART = 2 * HOUR
AWAY, NEAR = 30 * MINUTE, 15 * MINUTE  # an outing at least; the door so near to its ends
EVENING, NOON = 18 * HOUR, 12 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One night in bed, of the evening `day`. began, ended: local ns; stays: (from, to) local ns, ascending."""

    day: date
    began: int
    ended: int
    stays: tuple[tuple[int, int], ...]

    @property
    def hours(self) -> float:
        """Time in bed."""
        return sum(b - a for a, b in self.stays) / HOUR

    @property
    def risings(self) -> int:
        """How often the person left the bed and came back."""
        return len(self.stays) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The readings of one household up to `until` (ns UTC)."""

    readings: ReadingStore
    household: str
    zone: Zone
    until: int

    def ms(self, at: int) -> int:
        """Local milliseconds of a time in ns UTC."""
        return self.zone.local(at) // MS

    async def steps(self, metric: str, back: int, step: int) -> Rollup:
        """Figures of the last `back` ns by steps."""
        return await self.readings.rollup(self.household, metric, self.until - back, self.until, step=step)

    async def points(self, metric: str, back: int, step: int) -> list[dict[str, Any]]:
        """{t, v, lo, hi} by step; a hole of more than three steps holds one row without a value."""
        return points_of(await self.steps(metric, back, step), self.zone, step)

    async def usual(self, metric: str, back: int) -> list[dict[str, Any]]:
        """{t, low, mid, high}: 5, 50 and 95 % of this household's half hours at this time of day in the days before.

        Only half hours known on three days or more; [] when there are none.
        """
        begin = self.until - back
        known = await self.readings.rollup(self.household, metric, begin - USUAL_DAYS * DAY, begin, step=SLOT)
        return usual_of(known, self.zone, begin, self.until)

    async def stretches(self, metric: str, back: int, step: int) -> list[tuple[int, int, float]]:
        """(from, to, how many) in ns UTC: steps in which an event came or a state held, neighbours joined."""
        told = await self.steps(metric, back, step)
        return joined(told.start[told.high > 0], (told.mean * told.count)[told.high > 0], step)

    async def outings(self, back: int) -> list[tuple[int, int]] | None:
        """(from, to) in ns UTC of the last `back` ns; None where no door sensor spoke. See `outings_of`."""
        step = 5 * MINUTE
        doors = await self.steps("door_open", back, step)
        if not len(doors):
            return None
        inside = [await self.steps(metric, back, step) for metric in ("motion", "button", "in_bed")]
        signs = np.unique(np.concatenate([told.start[told.high >= IN_BED] for told in inside]))
        return outings_of(doors.start[doors.high > 0].tolist(), signs.tolist(), step)

    async def nights(self, days: int) -> list[Night]:
        """The nights of the last `days` days, from the oldest; a night without a stay of half an hour is left out."""
        step = 5 * MINUTE
        told = await self.steps("in_bed", (days + 1) * DAY, step)
        here = told.mean >= IN_BED
        runs = joined(self.zone.local_many(told.start[here]), np.ones(int(here.sum())), step)
        return nights_of([(a, b) for a, b, _ in runs], days)


def points_of(told: Rollup, zone: Zone, step: int) -> list[dict[str, Any]]:
    """Rows of a trace; see `Past.points`."""
    rows: list[dict[str, Any]] = []
    before = 0
    times = zone.local_many(told.start) if len(told) else told.start
    for t, v, lo, hi in zip(times.tolist(), told.mean.tolist(), told.low.tolist(), told.high.tolist(), strict=True):
        if rows and t - before > 3 * step:
            rows.append({"t": (before + step) // MS, "v": None, "lo": None, "hi": None})
        rows.append({"t": t // MS, "v": round(v, 2), "lo": lo, "hi": hi})
        before = t
    return rows


def usual_of(told: Rollup, zone: Zone, begin: int, end: int) -> list[dict[str, Any]]:
    """The usual band over [begin, end); see `Past.usual`."""
    if not len(told):
        return []
    slots = zone.local_many(told.start) % DAY // SLOT
    rows = []
    first = zone.local(begin) // SLOT
    for slot in range(first, zone.local(end) // SLOT + 1):
        values = told.mean[slots == slot % (DAY // SLOT)]
        if len(values) >= LEAST_DAYS:
            low, mid, high = np.percentile(values, [5, 50, 95])
            row = {"low": round(float(low), 2), "mid": round(float(mid), 2), "high": round(float(high), 2)}
            rows.append({"t": (slot * SLOT + SLOT // 2) // MS} | row)
    return rows


def outings_of(doors: Sequence[int], signs: Sequence[int], step: int) -> list[tuple[int, int]]:
    """Half an hour or more without a sign inside, with the door at its beginning and at its end.

    doors, signs: begins of steps (ns) with an opening, and with movement, bed or button; both ascending.
    """
    found: list[tuple[int, int]] = []
    for left, back in pairwise(signs):
        leaving = [d for d in doors if left - step <= d <= left + NEAR]
        coming = [d for d in doors if back - NEAR <= d <= back + step]
        if back - left >= AWAY and leaving and coming and coming[-1] - leaving[0] >= AWAY - 2 * step:
            found.append((leaving[0], coming[-1]))
    return found


def joined(starts: NDArray[np.int64], counts: NDArray[np.float64], step: int) -> list[tuple[int, int, float]]:
    """Steps (ascending) as (from, to, sum): those that follow each other at once are one."""
    found: list[tuple[int, int, float]] = []
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        if found and start == found[-1][1]:
            found[-1] = (found[-1][0], start + step, found[-1][2] + count)
        else:
            found.append((start, start + step, count))
    return found


def nights_of(runs: Sequence[tuple[int, int]], days: int) -> list[Night]:
    """Nights out of stays in bed (local ns): between 18:00 and noon, begun by half an hour in bed.

    A gap of two hours parts a night from a nap before or after it; the longest part counts.
    """
    by: dict[int, list[tuple[int, int]]] = {}
    for begin, end in runs:
        evening = (begin - NOON) // DAY  # noon to noon belongs to the evening between
        begin_at = max(begin, evening * DAY + EVENING)
        if begin_at < end:
            by.setdefault(evening, []).append((begin_at, end))
    found = []
    for evening, stays in sorted(by.items())[-days:]:
        merged = max((_settled(part) for part in _parts(stays)), key=lambda part: sum(b - a for a, b in part))
        if merged:
            day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=evening)).date()
            found.append(Night(day=day, began=merged[0][0], ended=merged[-1][1], stays=tuple(merged)))
    return found


def _parts(stays: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    parts: list[list[tuple[int, int]]] = []
    for begin, end in stays:
        if parts and begin - parts[-1][-1][1] < APART:
            parts[-1].append((begin, end))
        else:
            parts.append([(begin, end)])
    return parts


def _settled(stays: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in stays:
        if merged and begin - merged[-1][1] < LEFT:
            merged[-1] = (merged[-1][0], end)
        elif merged or end - begin >= SETTLED:
            merged.append((begin, end))
    return merged


def middle(values: Sequence[float]) -> float:
    """The median; NaN for none."""
    return float(np.median(values)) if values else math.nan
