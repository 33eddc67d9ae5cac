"""A value unlike this household's own nights: outside its usual band for most of half an hour in bed.

May import model and rules. The band is the mean and spread of the minutes in bed, learned minute by minute with
forgetting; a single minute counts for no more than three standard deviations, and nothing is learned while firing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level
from mimamori.model.times import MINUTE
from mimamori.rules.changes import (
    LEVELS,
    NO_MINUTE,
    NOT_DUE_MINUTE,
    changed,
    findings_of,
    instant,
    judged,
    minutes_since,
)  # fmt: skip
from mimamori.rules.columns import Column
from mimamori.rules.kernel import Rows, compiled
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Rule, Usual

FACTS = ("value", "low", "high", "usual", "minutes")
WINDOW = 32  # minutes looked back at: a bit each
PRIOR_MINUTES, PRIOR_SPREAD = 1200.0, 0.75  # weight of the first spread, which is so many times the least half width
MEAN_MINUTES = 60.0  # weight of the first value
RATE = 1 / 6000  # weight of a minute once two weeks of nights are in
FURTHEST = 3.0  # standard deviations


class Kept(NamedTuple):
    """The columns that one minute changes."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    minutes: NDArray[np.uint16]
    odd: NDArray[np.uint32]
    value: NDArray[np.float32]
    since: NDArray[np.int32]
    level: NDArray[np.int8]


@compiled
def _judge(rows: Rows, values: NDArray[np.float64], kept: Kept, width: tuple[float, float], now: int) -> None:
    """One minute of the households `rows`, whose means are `values` (same length).

    width: deviations, and at least. now: minutes since 1970.
    """
    mean, spread, minutes, odd = kept.mean, kept.spread, kept.minutes, kept.odd
    for i in range(len(rows)):
        h, value = rows[i], values[i]
        if minutes[h] == 0:
            mean[h] = value
            spread[h] = (PRIOR_SPREAD * width[1]) ** 2
        centre, variance = np.float64(mean[h]), np.float64(spread[h])
        outside = abs(value - centre) >= max(width[0] * np.sqrt(variance), width[1])
        if outside and odd[h] == 0:
            kept.since[h] = now - 1
        odd[h] = np.uint32((np.int64(odd[h]) << 1 | outside) & 0xFFFFFFFF)
        kept.value[h] = value
        if kept.level[h] != 0:  # firing: not one of the own nights
            continue
        furthest = FURTHEST * np.sqrt(variance)
        off = min(max(value - centre, -furthest), furthest)
        mean[h] = centre + max(RATE, 1 / (minutes[h] + MEAN_MINUTES)) * off
        rate = max(RATE, 1 / (minutes[h] + PRIOR_MINUTES))
        spread[h] = (1 - rate) * (variance + rate * off**2)
        minutes[h] = min(minutes[h] + 1, 60_000)


class UsualDetector:
    """`kind = "usual"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Usual)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest = shared.columns, shared.latest
        self.metric: int | None = shared.metrics.index(condition.metric)
        self._bed = shared.metrics.index("in_bed")
        self._hold, self._clear = condition.hold // MINUTE, condition.clear_below // MINUTE

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("mean", "f4", 0, "of the metric, minutes in bed"),
            Column("spread", "f4", 0, "variance of them"),
            Column("minutes", "u2", 0, "learned from"),
            Column("odd", "u4", 0, "a bit a minute, newest lowest"),
            Column("value", "f4", np.nan, "of the metric, last minute in bed"),
            Column("since", "i4", NO_MINUTE, "minutes since 1970, first odd one"),
            Column("due", "i4", NOT_DUE_MINUTE, "minutes since 1970, when nothing is known any more"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[np.float64]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name, due = self._columns, self._rule.name, self._columns[f"{self._rule.name}.due"]
        total, count = self._latest.minute(self.metric)
        rows = np.flatnonzero((count > 0) & (c["value"][self._bed] > 0))
        value = total[rows] / count[rows]
        kept = Kept(*[c[f"{name}.{field}"] for field in Kept._fields])
        _judge(rows, value, kept, (float(self._spec.deviations), float(self._spec.at_least)), at // MINUTE)
        due[rows] = at // MINUTE + self._spec.unknown_after // MINUTE + 1
        lost = np.flatnonzero(due <= at // MINUTE)
        c[f"{name}.odd"][lost] = 0  # a hole says nothing of before or after it
        due[lost] = NOT_DUE_MINUTE
        rows = np.concatenate([rows, lost])
        level = c[f"{name}.level"]
        odd = np.bitwise_count(c[f"{name}.odd"][rows])
        firing = ((level[rows] > 0) & (odd >= self._clear)) | (odd >= self._hold)
        firing |= (level[rows] > 0) & (due[rows] == NOT_DUE_MINUTE)  # gone from bed: not known to be over
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], level),
            verdict=judged(firing=firing, pending=odd >= self._clear, known=due[rows] != NOT_DUE_MINUTE),
            level=np.where(firing, np.int8(LEVELS[self._rule.priority]), np.int8(Level.NONE)).astype(np.int8),
            since=instant(c[f"{name}.since"][rows]), score=self._c("value")[rows].astype(np.float64),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _band(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) mean and half width."""
        half = self._spec.deviations * np.sqrt(self._c("spread")[rows].astype(np.float64))
        return self._c("mean")[rows].astype(np.float64), np.maximum(half, self._spec.at_least)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        mean, half = self._band(rows)
        minutes = minutes_since(self._columns[f"{self._rule.name}.since"][rows], at)
        return np.column_stack([self._c("value")[rows], mean - half, mean + half, mean, minutes])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=instant(c[f"{name}.since"]), score=np.nan_to_num(self._c("value")).astype(np.float64),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
