"""Left the bed at night and has not come back for longer than is usual for this household.

May import model and rules. The limit is the household's own 99th percentile of such absences, from the mean and spread
of their logarithm, held between two bounds. Leaving the bed about the own time of rising is given twice the time:
whoever sits down with a newspaper at five has not fallen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, no_findings
from mimamori.model.times import DAY, MINUTE, NEVER, Nanos
from mimamori.rules.changes import changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import BED, Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Away, Rule

FACTS = ("minutes", "limit_minutes", "usual_minutes", "no_sign_minutes", "own")
Z99 = 2.326  # 99th percentile of the normal law
PRIOR_COUNT, PRIOR_SPREAD = 5.0, 0.7
RATE = 0.05  # weight of a new absence once the first ones are in
Z95, RISE_SPREAD = 1.645, 30.0  # 95th percentile; minutes: prior spread of the time of rising, whose mean is the end
RISE_RATE = 0.1  # weight of a new morning
RISING = 2.0  # times as patient from the own 5th percentile of that time on
FURTHEST = 3.0  # standard deviations that one morning can count for


class AwayDetector:
    """`kind = "away"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Away)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self.metric: int | None = shared.metrics.index("in_bed")
        begin, end = condition.between.begin, condition.between.end
        self._length = (end - begin) % DAY
        self.own = Own(shared.columns, condition)
        self._prior_log = float(np.log(condition.start_limit / MINUTE)) - Z99 * PRIOR_SPREAD

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("bed", "f2", np.nan, "in_bed at the last minute"),
            Column("left", "i8", NEVER, "ns, when the bed was left"),
            Column("log_mean", "f8", 0, "ln minutes, departure from the prior"),
            Column("log_spread", "f8", PRIOR_SPREAD**2, "variance of ln minutes"),
            Column("rise", "f4", 0, "minutes, usual rising before the end of the part of day"),
            Column("rise_spread", "f4", RISE_SPREAD**2, "variance of minutes"),
            Column("absences", "u2", 0, "learned from"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at`."""
        c, name = self._columns, self._rule.name
        gone = c[f"{name}.left"]
        rows = np.flatnonzero(c["fresh"] | (gone != NEVER) | (c[f"{name}.level"] > 0))
        if not len(rows):
            return no_findings()
        bed, before, left = c["value"][self.metric][rows], c[f"{name}.bed"][rows], gone[rows]
        level, sign = c[f"{name}.level"][rows], c["last_sign"][rows]
        if self._spec.between.holds(self._zone.time_of_day(at - 1)):
            went = (before > 0) & (bed == 0)
            left[went] = c["taken"][self.metric, rows[went]]
        came = (bed > 0) & (left != NEVER)
        learns = came & (level == Level.NONE)
        self._learn(rows[learns], left[learns])
        left[came] = NEVER
        # Moving about long after leaving the bed is being up, not lying on the way back from the toilet.
        up = (left != NEVER) & (sign - np.where(left == NEVER, 0, left) >= self.own.of("shortest_limit", rows))
        self._learn_rise(rows[up], left[up], at)
        left[up] = NEVER
        known = (bed == bed) & ~self._silent()[rows]  # noqa: PLR0124 - NaN: never told
        absent = np.where(left == NEVER, 0, at - np.where(left == NEVER, at, left))
        quiet = at - np.maximum(sign, np.where(left == NEVER, at, left))
        patience = self._patience(rows, left, at)
        limit = self._limit(rows) * patience
        firing = (absent >= limit) & ((quiet >= self.own.of("no_sign_for", rows) * patience) | (level > 0))
        if not self._spec.between.holds(self._zone.time_of_day(at)):
            up = (left != NEVER) & ~firing  # morning: up and about
            self._learn_rise(rows[up], left[up], at)
            left[up] = NEVER
        new = np.where(firing, np.int8(Level.MEDIUM), np.int8(Level.NONE))
        new[firing & (absent >= limit * self._spec.high_after)] = Level.HIGH
        c[f"{name}.bed"][rows] = bed
        gone[rows] = left
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=firing, pending=left != NEVER, known=known), level=new.astype(np.int8),
            since=left, score=absent / MINUTE, facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _before_end(self, left: Nanos, at: int) -> NDArray[np.float64]:
        """(r,) minutes from leaving the bed to the end of the part of day."""
        begun = (self._zone.time_of_day(at - 1) + 1 - self._spec.between.begin) % DAY
        before: NDArray[np.float64] = (self._length - begun + (at - left)) / MINUTE
        return before

    def _patience(self, rows: NDArray[np.intp], left: Nanos, at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        spread = np.sqrt(c[f"{name}.rise_spread"][rows].astype(np.float64))
        earliest = c[f"{name}.rise"][rows].astype(np.float64) + Z95 * spread
        return np.where(self._before_end(np.where(left == NEVER, at, left), at) <= earliest, RISING, 1.0)

    def _learn_rise(self, rows: NDArray[np.intp], left: Nanos, at: int) -> None:
        """Who left the bed in the later half of the part of day and stayed up has risen."""
        c, name = self._columns, self._rule.name
        before = self._before_end(left, at)
        late = before <= self._length / MINUTE / 2
        rows, before = rows[late], before[late]
        mean, spread = c[f"{name}.rise"][rows].astype(np.float64), c[f"{name}.rise_spread"][rows].astype(np.float64)
        furthest = FURTHEST * np.sqrt(spread)
        off = np.clip(before - mean, -furthest, furthest)
        c[f"{name}.rise"][rows] = mean + RISE_RATE * off
        c[f"{name}.rise_spread"][rows] = (1 - RISE_RATE) * (spread + RISE_RATE * off**2)

    def _silent(self) -> NDArray[np.bool_]:
        c = self._columns
        home = c["device_home"][c["silent"] & (c["channel"] == BED)]
        out: NDArray[np.bool_] = np.bincount(home, minlength=len(c["out"])) > 0
        return out

    def _learn(self, rows: NDArray[np.intp], left: Nanos) -> None:
        if not len(rows):
            return
        c, name = self._columns, self._rule.name
        minutes = np.maximum((c["taken"][self.metric, rows] - left) / MINUTE, 0.5)
        rate = np.maximum(RATE, 1 / (PRIOR_COUNT + c[f"{name}.absences"][rows]))
        off = np.log(minutes) - self._prior_log - c[f"{name}.log_mean"][rows]
        c[f"{name}.log_mean"][rows] += rate * off
        c[f"{name}.log_spread"][rows] = (1 - rate) * (c[f"{name}.log_spread"][rows] + rate * off**2)
        c[f"{name}.absences"][rows] = np.minimum(c[f"{name}.absences"][rows], 60_000) + 1

    def _limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(n,) ns."""
        c, name = self._columns, self._rule.name
        minutes = np.exp(self._prior_log + c[f"{name}.log_mean"][rows] + Z99 * np.sqrt(c[f"{name}.log_spread"][rows]))
        limit: NDArray[np.float64] = np.clip(
            minutes * MINUTE, self.own.of("shortest_limit", rows), self.own.of("longest_limit", rows)
        )
        return limit

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        left = c[f"{name}.left"][rows]
        minutes = np.where(left == NEVER, 0, at - np.where(left == NEVER, at, left)) / MINUTE
        usual = np.exp(self._prior_log + c[f"{name}.log_mean"][rows])
        sign = c["last_sign"][rows]
        quiet = np.where(sign == NEVER, minutes, (at - np.where(sign == NEVER, at, sign)) / MINUTE)
        limit = self._limit(rows) * self._patience(rows, left, at) / MINUTE
        return np.column_stack([minutes, limit, usual, quiet, self.own.apart(rows)])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.left"], score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip
