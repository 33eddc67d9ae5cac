"""Other ways to notice that somebody does not move, re-implemented to be measured beside our engine on the same files.

May import model and stream.recorded. Fixed windows, a quantile profile, the Inactivity Score of Wilhelm and Wahl, and
a watch on the smart meter. They are told who went out (the door, then nothing for a quarter of an hour), as ours is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, Nanos, Zone, iso
from mimamori.stream.recorded import RecordedFile

OUT_AFTER, OUT_AT_MOST = 15 * MINUTE, 44 * HOUR  # the door, then nothing: out; and for how long that is no alarm
STIRS = 10.0  # body movement that counts as a sign of life
HALF = 30 * MINUTE
MEMORY = 28  # days
GRID = 5 * MINUTE
RELIABLE = 0.9  # of one sign of life, in the Inactivity Score

Alarms = list[tuple[int, int]]
"""(opened, resolved) ns, by time; resolved is 2**62 while nothing ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """What the rivals see of one household.

    signs: (n,) ns, ascending. door: (n,) bool. watts: (m,) mean power of half hours from `first_half` on, NaN where
    nothing was told; empty without a meter. begins, ends: ns.
    """

    signs: Nanos
    door: NDArray[np.bool_]
    watts: NDArray[np.float64]
    first_half: int
    begins: int
    ends: int


Rival = Callable[[Household, Zone], Alarms]


def read_households(path: Path, metrics: Metrics, zone: Zone) -> dict[str, Household]:
    """Every household of a file. Where the meter is all there is, half hours above the nights' are its signs."""
    homes = Homes()
    source = RecordedFile(path, homes, metrics)
    wanted = [metrics.index(m) for m in ("motion", "door_open", "button", "in_bed", "body_movement", "power", "energy")]
    kept = concat([b.take(_useful(b, metrics, wanted)) for b in source.batches()])
    by_home = np.argsort(kept.home, kind="stable")
    edges = np.searchsorted(kept.home[by_home], np.arange(len(homes) + 1))
    return {
        household: _household(
            kept.take(by_home[edges[i] : edges[i + 1]]), metrics, zone, source.firsts[i], int(source.lasts[i])
        )
        for i, household in enumerate(homes.ids)
    }


def _useful(batch: ReadingBatch, metrics: Metrics, wanted: list[int]) -> NDArray[np.bool_]:
    """(n,) bool: of what tells something, so that a month of still nights fits into memory."""
    useful: NDArray[np.bool_] = np.isin(batch.metric, wanted)
    useful &= (batch.metric != metrics.index("body_movement")) | (batch.value >= STIRS)
    return useful


def _household(rows: ReadingBatch, metrics: Metrics, zone: Zone, begins: int, ends: int) -> Household:
    def of(name: str) -> ReadingBatch:
        return rows.take(rows.metric == metrics.index(name))

    bed = of("in_bed")
    turned = np.flatnonzero(np.diff(bed.value, prepend=bed.value[:1]) != 0)
    seen = [of(name) for name in ("motion", "door_open", "button", "body_movement")]
    at = np.concatenate([*(s.taken[s.value > 0] for s in seen), bed.taken[turned]])
    door = np.concatenate([np.full(int((s.value > 0).sum()), k == 1) for k, s in enumerate(seen)] + [turned < 0])
    order = np.argsort(at, kind="stable")
    first = begins // HALF
    watts = _watts(of("power"), of("energy"), first, ends // HALF - first)
    at, door = at[order], door[order]
    if not len(at):
        above = np.flatnonzero(watts > _nightly(watts, first, zone, days=MEMORY))
        at, door = (first + above + 1) * HALF, np.zeros(len(above), bool)
    return Household(signs=at, door=door, watts=watts, first_half=first, begins=begins, ends=ends)


def _watts(power: ReadingBatch, energy: ReadingBatch, first: int, n: int) -> NDArray[np.float64]:
    """(n,) mean W of each half hour: of the power told in it, else from the register."""
    if (not len(power) and not len(energy)) or n < 1:
        return np.zeros(0)
    if len(power):
        cell = np.clip(power.taken // HALF - first, 0, n - 1)
        told = np.bincount(cell, minlength=n)
        total = np.bincount(cell, power.value, minlength=n)
        return np.where(told > 0, total / np.maximum(told, 1), np.nan)
    edges = (first + np.arange(n + 1)) * HALF
    register = np.interp(edges, energy.taken, energy.value)
    step = np.diff(register) * 2
    return np.where(step >= 0, step, np.nan)


def _nightly(watts: NDArray[np.float64], first: int, zone: Zone, *, days: int) -> NDArray[np.float64]:
    """(n,) W: the highest but a tenth of the half hours of 02:00-05:00 of the nights before; inf before the third."""
    limit = np.full(len(watts), np.inf)
    hour = (zone.local(first * HALF) // HALF + np.arange(len(watts))) % 48
    night = (hour >= 4) & (hour < 10) & np.isfinite(watts)
    for begin in range(0, len(watts), 48):
        past = watts[max(0, begin - days * 48) : begin][night[max(0, begin - days * 48) : begin]]
        if len(past) >= 18:
            limit[begin : begin + 48] = np.quantile(past, 0.9) * 1.1 + 10
    return limit


def _spells(home: Household) -> tuple[Nanos, Nanos, NDArray[np.bool_]]:
    """Quiet spells as (begin, end, begun by going out); the last one lasts as long as the file."""
    begin = home.signs
    end = np.append(begin[1:], home.ends)
    return begin, end, home.door & (end - begin > OUT_AFTER)


def _alarms(begin: Nanos, end: Nanos, out: NDArray[np.bool_], limit: NDArray[np.float64]) -> Alarms:
    last = len(begin) - 1
    wait = np.where(out, np.maximum(limit, OUT_AT_MOST), limit)
    late = np.flatnonzero(end - begin > wait)
    return [(int(begin[i] + wait[i]), 2**62 if i == last else int(end[i])) for i in late.tolist()]


def fixed(hours: float) -> Rival:
    """No sign of life for so many hours, at any time of day."""

    def watch(home: Household, _zone: Zone) -> Alarms:
        begin, end, out = _spells(home)
        return _alarms(begin, end, out, np.full(len(begin), hours * HOUR))

    return watch


def profile(times: float) -> Rival:
    """Longer than `times` the 95 % quantile of each day's longest own quiet begun around this hour, of 28 days."""

    def watch(home: Household, zone: Zone) -> Alarms:
        begin, end, out = _spells(home)
        length = np.where(out, 0.0, end - begin)
        local = zone.local_many(begin) if len(begin) else begin
        day, hour = local // DAY, local % DAY / HOUR
        limit = np.full(len(begin), np.inf)
        for i in np.flatnonzero(end - begin > HOUR).tolist():
            a = int(np.searchsorted(begin, begin[i] - MEMORY * DAY))
            apart = np.abs(hour[a:i] - hour[i])
            near = np.minimum(apart, 24 - apart) <= 1
            if near.any() and length[a:i][near].any():
                longest = np.zeros(MEMORY + 1)
                np.maximum.at(longest, np.minimum(day[i] - day[a:i][near], MEMORY), length[a:i][near])
                limit[i] = max(HOUR, times * float(np.quantile(longest[longest > 0], 0.95)))
        return _alarms(begin, end, out, limit)

    return watch


def inactivity_score(times: float) -> Rival:
    """Over `times` the 99.9 % quantile of own Inactivity Scores around this hour in the last 28 days.

    After the abstract and outline of Wilhelm and Wahl, Sensors 24(20) 6583 (2024), as we read them: the score is the
    time since the last true sign of life, each sign true with a chance (0.9); nothing else of the paper was at hand.
    """

    def watch(home: Household, zone: Zone) -> Alarms:
        if len(home.signs) < 2:
            return []
        doubt = lfilter([1 - RELIABLE], [1.0, RELIABLE - 1], np.diff(home.signs, prepend=home.signs[0]))
        first = -(-int(home.signs[0]) // GRID)
        grid = np.arange(first, home.ends // GRID + 1) * GRID
        last = np.searchsorted(home.signs, grid, side="right") - 1
        gone = grid - home.signs[last]
        out = home.door[last] & (gone > OUT_AFTER)
        score = np.where(out, 0.0, gone + doubt[last])
        limit = _by_hour(score, zone.local(int(grid[0])) // GRID, times) if len(grid) else score
        over = (score > limit) | (out & (gone > OUT_AT_MOST))
        opened = np.flatnonzero(over & ~np.concatenate([[False], over[:-1]]))
        ends = np.append(home.signs, 2**62)
        return [(int(grid[i]), int(ends[np.searchsorted(home.signs, grid[i], side="right")])) for i in opened.tolist()]

    return watch


def _by_hour(score: NDArray[np.float64], first_cell: int, times: float) -> NDArray[np.float64]:
    """(n,) limit at each grid point, worked out anew every second day from the 28 days before; inf for the first 3."""
    a_day, an_hour = DAY // GRID, HOUR // GRID
    hour = (first_cell + np.arange(len(score))) % a_day // an_hour
    limit = np.full(len(score), np.inf)
    for begin in range(3 * a_day, len(score), 2 * a_day):
        past, then = score[max(0, begin - MEMORY * a_day) : begin], hour[max(0, begin - MEMORY * a_day) : begin]
        by = past[np.argsort(then, kind="stable")].reshape(24, -1)  # whole days: each hour has as many
        around = np.hstack([np.roll(by, 1, axis=0), by, np.roll(by, -1, axis=0)])
        high = np.quantile(around, 0.999, axis=1)
        limit[begin : begin + 2 * a_day] = np.maximum(HOUR, times * high)[hour[begin : begin + 2 * a_day]]
    return limit


def meter(hours: float) -> Rival:
    """A watch on the smart meter alone: no half hour above the base load of the last week's nights for so long."""

    def watch(home: Household, zone: Zone) -> Alarms:
        above = np.flatnonzero(home.watts > _nightly(home.watts, home.first_half, zone, days=7))
        begin = (home.first_half + above + 1) * HALF
        if not len(begin):
            return []
        end = np.append(begin[1:], home.ends)
        return _alarms(begin, end, np.zeros(len(begin), bool), np.full(len(begin), hours * HOUR))

    return watch


RIVALS: Mapping[str, tuple[tuple[str, Rival], ...]] = {
    "fixed window": tuple((f"{h} h", fixed(h)) for h in (8, 12, 24)),
    "quantile profile": tuple((f"x{t:g}", profile(t)) for t in (1.0, 1.5, 2.0, 3.0)),
    "Inactivity Score": tuple((f"x{t:g}", inactivity_score(t)) for t in (1.0, 1.25, 1.5, 2.0)),
    "smart-meter watch": tuple((f"{h} h", meter(h)) for h in (15, 20)),
}
"""Each with its settings, soonest first."""


def as_lines(found: Mapping[str, Alarms]) -> list[dict[str, Any]]:
    """Alert lines, so that rivals are scored by the same code as we are."""
    return [
        {
            "household": household, "rule": "inactivity", "category": "resident", "priority": "high",
            "opened": iso(opened), "resolved": iso(resolved) if resolved < 2**62 else None,
        }
        for household, alarms in found.items() for opened, resolved in alarms
    ]  # fmt: skip
