"""A value unlike this household's own nights: outside its usual band for most of half an hour in bed.

May import model and rules. The band is the mean and spread of the minutes in bed, learned minute by minute with
forgetting; a single minute counts for no more than three standard deviations, and nothing is learned while firing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import LEVELS, NOT_DUE, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Rule, Usual

FACTS = ("value", "low", "high", "usual", "minutes")
WINDOW = 32  # minutes looked back at: a bit each
PRIOR_MINUTES, PRIOR_SPREAD = 1200.0, 0.75  # weight of the first spread, which is so many times the least half width
MEAN_MINUTES = 60.0  # weight of the first value
RATE = 1 / 6000  # weight of a minute once two weeks of nights are in
FURTHEST = 3.0  # standard deviations


class UsualDetector:
    """`kind = "usual"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Usual)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns
        self.metric: int | None = shared.metrics.index(condition.metric)
        self._bed = shared.metrics.index("in_bed")
        self._hold, self._clear = condition.hold // MINUTE, condition.clear_below // MINUTE

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("mean", "f4", 0, "of the metric, minutes in bed"),
            Column("spread", "f4", 0, "variance of them"),
            Column("minutes", "i4", 0, "learned from"),
            Column("odd", "u4", 0, "a bit a minute, newest lowest"),
            Column("value", "f4", np.nan, "of the metric, last minute in bed"),
            Column("since", "i8", NEVER, "ns, first odd minute"),
            Column("due", "i8", NOT_DUE, "ns, when nothing is known any more"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[np.float64]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name, due = self._columns, self._rule.name, self._columns[f"{self._rule.name}.due"]
        count = c["count"][self.metric]
        rows = np.flatnonzero((count > 0) & (c["value"][self._bed] > 0))
        self._judge(rows, c["sum"][self.metric, rows] / count[rows], at)
        due[rows] = at + self._spec.unknown_after + 1
        lost = np.flatnonzero(due <= at)
        c[f"{name}.odd"][lost] = 0  # a hole says nothing of before or after it
        due[lost] = NOT_DUE
        rows = np.concatenate([rows, np.setdiff1d(lost, rows)])
        level = c[f"{name}.level"]
        odd = np.bitwise_count(c[f"{name}.odd"][rows])
        firing = ((level[rows] > 0) & (odd >= self._clear)) | (odd >= self._hold)
        firing |= (level[rows] > 0) & (due[rows] == NOT_DUE)  # gone from bed: not known to be over
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], level),
            verdict=judged(firing=firing, pending=odd >= self._clear, known=due[rows] != NOT_DUE),
            level=np.where(firing, np.int8(LEVELS[self._rule.priority]), np.int8(Level.NONE)).astype(np.int8),
            since=c[f"{name}.since"][rows], score=self._c("value")[rows].astype(np.float64),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _judge(self, rows: NDArray[np.intp], value: NDArray[np.float64], at: int) -> None:
        c, name = self._columns, self._rule.name
        odd, minutes = c[f"{name}.odd"], c[f"{name}.minutes"]
        new = rows[minutes[rows] == 0]
        self._c("mean")[new] = value[minutes[rows] == 0]
        self._c("spread")[new] = (PRIOR_SPREAD * self._spec.at_least) ** 2
        mean, half = self._band(rows)
        outside = np.abs(value - mean) >= half
        c[f"{name}.since"][rows[outside & (odd[rows] == 0)]] = at - MINUTE
        odd[rows] = (odd[rows] << np.uint32(1)) | outside
        self._c("value")[rows] = value
        learns = c[f"{name}.level"][rows] == Level.NONE
        rows, value, mean = rows[learns], value[learns], mean[learns]
        spread = self._c("spread")[rows].astype(np.float64)
        furthest = FURTHEST * np.sqrt(spread)
        off = np.clip(value - mean, -furthest, furthest)
        self._c("mean")[rows] = mean + np.maximum(RATE, 1 / (minutes[rows] + MEAN_MINUTES)) * off
        rate = np.maximum(RATE, 1 / (minutes[rows] + PRIOR_MINUTES))
        self._c("spread")[rows] = (1 - rate) * (spread + rate * off**2)
        minutes[rows] = np.minimum(minutes[rows] + 1, 1_000_000)

    def _band(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) mean and half width."""
        half = self._spec.deviations * np.sqrt(self._c("spread")[rows].astype(np.float64))
        return self._c("mean")[rows].astype(np.float64), np.maximum(half, self._spec.at_least)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        mean, half = self._band(rows)
        since = self._columns[f"{self._rule.name}.since"][rows]
        minutes = np.where(since == NEVER, 0, (at - np.where(since == NEVER, at, since)) / MINUTE)
        return np.column_stack([self._c("value")[rows], mean - half, mean + half, mean, minutes])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.since"], score=np.nan_to_num(self._c("value")).astype(np.float64),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
