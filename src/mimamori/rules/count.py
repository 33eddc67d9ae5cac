"""Too many minutes up and about in a window of the night, against a limit and the household's own nights.

May import model and rules. A minute counts when somebody gave a sign of life and did not lie in bed. The household's
own limit comes from the busiest window of each of its nights; quiet ends an alert only while a sensor still talks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, Verdict, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import LEVELS, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import BED, MOTION, Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Count, Rule

FACTS = ("count", "limit", "usual", "window_minutes", "door", "own")
ABOVE = 3.0  # standard deviations of the own nights' busiest windows
PRIOR_COUNT, PRIOR_SPREAD = 3.0, 3.0  # nights, and minutes, before own nights are known
RATE = 0.08  # weight of a new night once the first ones are in
SIGN = np.uint64(1)
SPAN = 65_536  # minutes, 45 days: a window that old was emptied long before


class CountDetector:
    """`kind = "count"`."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Count)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self._bed = shared.metrics.index("in_bed")
        self._window = condition.window // MINUTE
        self._mask = np.uint64((1 << self._window) - 1)
        self.own = Own(shared.columns, condition)
        self._prior = condition.start_limit - ABOVE * PRIOR_SPREAD
        # Who is silent seldom changes: worked out from the columns when it does, not state.
        self._asked: tuple[NDArray[Any], ...] = ()
        self._seen: NDArray[np.bool_] = np.zeros(0, bool)

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("minutes", "u8", 0, "bit k: up and about in the minute that ended k minutes before `looked`"),
            Column("looked", "u2", 0, "minutes since 1970, modulo 65,536, when `minutes` was last moved on"),
            Column("settled", "?", 0, "has gone to rest tonight"),
            Column("peak", "u1", 0, "minutes, the busiest window of this night"),
            Column("usual", "f2", 0, "minutes, mean of the nights' peaks, departure from the prior"),
            Column("spread", "f2", PRIOR_SPREAD**2, "their variance"),
            Column("nights", "u1", 0, "learned from, at most 255"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, minutes, verdict = self._columns, self._c("minutes"), self._c("verdict")
        seen = self._can_see()
        if self._spec.between.holds(self._zone.time_of_day(at - 1)):
            rows = np.flatnonzero(c["fresh"] | (minutes != 0))
            if len(rows):
                self._take(rows, at)
            if not self._spec.between.holds(self._zone.time_of_day(at)):
                self._learn()
        else:
            by_day = np.where(seen, np.int8(Verdict.CLEAR), np.int8(Verdict.UNKNOWN))
            rows = np.flatnonzero((c["fresh"] & (verdict != by_day)) | (minutes != 0))
            minutes[rows] = 0
        if not len(rows):
            return no_findings()
        return self._judge(rows, seen[rows], at)

    def _take(self, rows: NDArray[np.intp], at: int) -> None:
        """Move the windows of these rows on to `at`, and add what was seen last."""
        c, looked = self._columns, self._c("looked")
        now, last, bed = at // MINUTE, c["last_sign"][rows], c["value"][self._bed, rows]
        passed = np.minimum((now - looked[rows].astype(np.int64)) % SPAN, 63).astype(np.uint64)
        minutes = (self._c("minutes")[rows] << passed) & self._mask
        ago = np.where(last == NEVER, self._window, (at - np.where(last == NEVER, at, last)) // MINUTE)
        settled = self._c("settled")
        fresh = c["fresh"][rows]
        up = fresh & settled[rows] & ~(bed > 0) & (ago >= 0) & (ago < self._window)
        minutes[up] |= SIGN << ago[up].astype(np.uint64)
        quiet = (last != NEVER) & (at - np.where(last == NEVER, at, last) >= self._spec.settled_after)
        settled[rows] |= fresh & ((bed > 0) | quiet)
        self._c("minutes")[rows] = minutes
        looked[rows] = now % SPAN
        peak = self._c("peak")
        peak[rows] = np.maximum(peak[rows], np.bitwise_count(minutes))

    def _learn(self) -> None:
        """The end of a night: its busiest window, at most the limit that held, and all begins anew."""
        rows, peak, nights = np.flatnonzero(self._c("settled")), self._c("peak"), self._c("nights")
        rate = np.maximum(RATE, 1 / (PRIOR_COUNT + nights[rows]))
        mean, spread = self._c("usual")[rows].astype(np.float64), self._c("spread")[rows].astype(np.float64)
        off = np.minimum(peak[rows], self._limit(rows)) - self._prior - mean
        self._c("usual")[rows] = mean + rate * off
        self._c("spread")[rows] = (1 - rate) * (spread + rate * off**2)
        nights[rows] += nights[rows] < np.iinfo(np.uint8).max
        for name in ("settled", "peak"):
            self._c(name)[:] = 0

    def _judge(self, rows: NDArray[np.intp], known: NDArray[np.bool_], at: int) -> FindingBatch:
        level, minutes = self._c("level")[rows], self._c("minutes")[rows]
        count, limit = np.bitwise_count(minutes), self._limit(rows)
        reached = count >= limit
        # A window that grows quiet ends an alert only while something in the home still talks.
        firing = known & reached
        if level.any():
            firing |= known & (level > Level.NONE) & ~self._talks(at)[rows]
        new = np.where(firing, np.maximum(level, LEVELS[self._rule.priority]), np.int8(Level.NONE)).astype(np.int8)
        new[firing & self._door(rows, at)] = Level.HIGH
        old = (self._c("verdict"), self._c("level"))
        return changed(
            rows, rule=self._index, old=old,
            verdict=judged(firing=firing, pending=count >= limit * self._spec.pending_at, known=known), level=new,
            since=_began(minutes, at), score=count.astype(np.float64), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip

    def _talks(self, at: int) -> NDArray[np.bool_]:
        """(n,) bool: a device of it was heard in this minute."""
        c = self._columns
        talks = np.zeros(len(c["out"]), bool)
        talks[c["device_home"][c["heard"] > at - MINUTE]] = True
        return talks

    def _can_see(self) -> NDArray[np.bool_]:
        """(n,) bool: has a sensor of motion or of the bed that is not silent."""
        c = self._columns
        same = all(map(np.array_equal, self._asked, (c["silent"], c["channel"])))
        if self._asked and same and len(self._seen) == len(c["out"]):
            return self._seen
        sees = ((c["channel"] == MOTION) | (c["channel"] == BED)) & ~c["silent"]
        self._seen = np.bincount(c["device_home"][sees], minlength=len(c["out"])) > 0
        self._asked = (c["silent"].copy(), c["channel"].copy())
        return self._seen

    def _limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(n,) minutes in a window."""
        usual, spread = (self._c(n)[rows].astype(np.float64) for n in ("usual", "spread"))
        own = self._prior + usual + ABOVE * np.sqrt(spread)
        limit: NDArray[np.float64] = np.clip(own, self.own.of("lowest_limit", rows), self.own.of("highest_limit", rows))
        return limit

    def _door(self, rows: NDArray[np.intp], at: int) -> NDArray[np.bool_]:
        """(n,) bool: the front door was used in this window."""
        door = self._columns["last_door"][rows]
        used: NDArray[np.bool_] = (door != NEVER) & (at - np.where(door == NEVER, at, door) < self._spec.window)
        return used

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        count, usual = np.bitwise_count(self._c("minutes")[rows]), self._c("usual")[rows].astype(np.float64)
        usual = np.maximum(usual + self._prior, 0)
        window = np.full(len(rows), self._window)
        return np.column_stack([
            count, self._limit(rows), usual, window, self._door(rows, at), self.own.apart(rows)
        ])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        verdict, minutes = self._c("verdict"), self._c("minutes")
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=self._c("level"),
            since=_began(minutes, at), score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip


def _began(minutes: NDArray[np.uint64], at: int) -> NDArray[np.int64]:
    """(n,) ns: the beginning of the oldest minute that counts; NEVER if none."""
    highest = np.frexp(minutes.astype(np.float64))[1]  # one more than its bit; windows are shorter than 53 minutes
    return np.where(minutes == 0, NEVER, at - highest.astype(np.int64) * MINUTE)
