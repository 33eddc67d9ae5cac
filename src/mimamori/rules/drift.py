"""A slow change of a daily figure against the household's own weeks. A note to look at, not an alarm.

May import model and rules. The figure is the mean of a metric over a part of the day; a week is seven such days and
counts by its median. Departures from the own weeks add up in both directions (Page's CUSUM, 1954).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Verdict, no_findings
from mimamori.model.times import DAY, MINUTE, NEVER
from mimamori.rules.changes import LEVELS, changed, findings_of, judged, leveled
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Drift, Rule

FACTS = ("value", "usual", "spread", "weeks")
EVERY = 10 * MINUTE
WEEK = 7  # days
SLACK = 0.5  # spreads a week that are no change
MOST = 3.0  # spreads that one week may count: no single odd week makes a note
LEARNED = 1.5  # spreads: what a week departs beyond it is not learned from (Huber)
RATE = 0.1  # weight of a new week once the first ones are in


class DriftDetector:
    """`kind = "drift"`."""

    every = EVERY
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Drift)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self._figure = shared.metrics.index(condition.metric)
        self._bed = shared.metrics.index("in_bed")
        self.metric: int | None = None  # the newest value is all that is looked at
        self._state = shared.metrics[self._figure].nature == "state"
        self._enough = condition.between.length * condition.seen_at_least / EVERY

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("sum", "f4", 0, "of the metric, over the samples of this day"),
            Column("seen", "u2", 0, "samples of this day"),
            Column("figures", "f2", 0, "of the metric, the days of this week", (WEEK,)),
            Column("days", "u1", 0, "of this week"),
            Column("last", "f2", 0, "of the metric, the week before: its median"),
            Column("usual", "f2", 0, "of the metric, mean of the own weeks"),
            Column("spread", "f2", 0, "of the metric, standard deviation of the own weeks"),
            Column("weeks", "u1", 0, "learned from, at most 255"),
            Column("cusum", "f2", 0, "spreads: upwards, downwards", (2,)),
            Column("run", "u1", 0, "weeks since it began to add up"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Take a sample at `at` (ns, whole ten minutes); at the end of the part of the day, judge the day."""
        between = self._spec.between
        if not between.holds(self._zone.time_of_day(at - 1)):
            return no_findings()
        value, told = self._columns["value"][self._figure], self._columns["taken"][self._figure]
        holds = DAY if self._state else EVERY
        rows = np.flatnonzero(
            (told > at - holds) & (told <= at) & (self._state | (self._columns["value"][self._bed] > 0))
        )
        self._c("sum")[rows] += value[rows]
        self._c("seen")[rows] += 1
        if self._zone.time_of_day(at) != between.end % DAY:
            new = rows[self._c("verdict")[rows] == Verdict.UNKNOWN]
            return self._judge(new, np.ones(len(new), bool), at)
        seen = self._c("seen") >= self._enough
        self._end_day(np.flatnonzero(seen))
        self._c("sum")[:] = 0
        self._c("seen")[:] = 0
        return self._judge(np.arange(len(seen)), seen, at)

    def _end_day(self, rows: NDArray[np.intp]) -> None:
        days = self._c("days")
        self._c("figures")[days[rows], rows] = self._c("sum")[rows].astype(np.float64) / self._c("seen")[rows]
        days[rows] += 1
        self._end_week(rows[days[rows] == WEEK])

    def _end_week(self, rows: NDArray[np.intp]) -> None:
        if not len(rows):
            return
        weeks, usual, cusum = self._c("weeks"), self._c("usual"), self._c("cusum")
        figure = np.median(self._c("figures")[:, rows].astype(np.float64), axis=0)
        mean, own = usual[rows].astype(np.float64), self._c("spread")[rows].astype(np.float64)
        spread = self._spread(rows)
        known = weeks[rows] >= self._spec.learn_weeks
        off = np.where(weeks[rows] == 0, 0, figure - mean)
        mean = np.where(weeks[rows] == 0, figure, mean)
        departs = np.where(known, np.clip(off / spread, -MOST, MOST), 0)
        for i, sign in enumerate((1, -1)):
            cusum[i, rows] = np.maximum(cusum[i, rows].astype(np.float64) + sign * departs - SLACK, 0)
        run = self._c("run")
        adds = (cusum[:, rows] > 0).any(0)
        run[rows] = np.where(adds, np.minimum(run[rows].astype(np.int64) + 1, 255), 0)
        rate = np.maximum(RATE, 1 / (1.0 + weeks[rows]))
        within = np.where(known, np.clip(off, -LEARNED * spread, LEARNED * spread), off)
        usual[rows] = mean + rate * within
        self._c("spread")[rows] = np.sqrt((1 - rate) * (own**2 + rate * within**2))
        self._c("last")[rows] = figure
        weeks[rows] += weeks[rows] < np.iinfo(np.uint8).max
        self._c("days")[rows] = 0

    def _judge(self, rows: NDArray[np.intp], known: NDArray[np.bool_], at: int) -> FindingBatch:
        if not len(rows):
            return no_findings()
        most = self._c("cusum")[:, rows].astype(np.float64).max(0)
        firing = known & (most >= self._spec.note_at)
        return changed(
            rows, rule=self._index, old=(self._c("verdict"), self._c("level")),
            verdict=judged(firing=firing, pending=most >= self._spec.note_at / 2, known=known),
            level=leveled(firing, LEVELS[self._rule.priority]), since=self._began(rows, at), score=most,
            facts=self._facts, home=None, at=at,
        )  # fmt: skip

    def _spread(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(n,) of the metric: the standard deviation of the own weeks, at least what is worth a note."""
        own = self._c("spread")[rows].astype(np.float64)
        spread: NDArray[np.float64] = np.maximum(own, self._spec.least_change)
        return spread

    def _began(self, rows: NDArray[np.intp], at: int) -> NDArray[np.int64]:
        """(n,) ns: so many weeks ago; NEVER if nothing adds up."""
        run = self._c("run")[rows].astype(np.int64)
        return np.where(run == 0, NEVER, at - run * (WEEK * DAY))

    def _facts(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        columns = [self._c(n)[rows].astype(np.float64) for n in ("last", "usual", "run")]
        return np.column_stack([columns[0], columns[1], self._spread(rows), columns[2]])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        verdict = self._c("verdict")
        rows = np.arange(len(verdict))
        return findings_of(
            rows, rule=self._index, verdict=verdict, level=self._c("level"), since=self._began(rows, at),
            score=np.zeros(len(verdict)), facts=self._facts, home=None, at=at,
        )  # fmt: skip
