"""A slow change of a daily figure against the household's own weeks. A note to look at, not an alarm.

May import model and rules. The figure is the mean of a metric over a part of the day; a week is seven such days and
counts by its median. Departures from the own weeks add up in both directions (Page's CUSUM, 1954).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import DAY, MINUTE, NEVER
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, PENDING, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean, number, pattern
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Drift, Rule

FACTS = ("value", "usual", "spread", "weeks")
EVERY = 10 * MINUTE
WEEK = 7  # days
SLACK = 0.5  # spreads a week that are no change
MOST = 3.0  # spreads that one week may count: no single odd week makes a note
LEARNED = 1.5  # spreads: what a week departs beyond it is not learned from (Huber)
RATE = 0.1  # weight of a new week once the first ones are in


class Home(NamedTuple):
    """What is looked at of the households, each (n,): the metric's newest value, when it was taken, in_bed."""

    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    bed: NDArray[np.float64]


class Kept(NamedTuple):
    """The rule's columns, whole; the half-precision ones as their patterns."""

    sum: NDArray[np.float32]
    seen: NDArray[np.uint16]
    figures: NDArray[np.uint16]
    days: NDArray[np.uint8]
    last: NDArray[np.uint16]
    usual: NDArray[np.uint16]
    spread: NDArray[np.uint16]
    weeks: NDArray[np.uint8]
    cusum: NDArray[np.uint16]
    run: NDArray[np.uint8]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule; holds: ns for which a value holds, enough: samples of a day, week: (7,) to work in."""

    holds: int
    anywhere: bool  # not in bed alone
    enough: float
    least_change: float
    learn_weeks: int
    note_at: float
    priority: int
    week: NDArray[np.float64]


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    limits: Limits


@lean
def _judge(at: int, ends: bool, s: Everything, found: Rows) -> int:  # noqa: FBT001
    """Ten minutes of all households; how many of them, in `found`, changed verdict or level. ends: so does the day."""
    home, kept, limits, n = s.home, s.kept, s.limits, 0
    for h in range(len(found)):
        told = home.taken[h]
        told = at - limits.holds < told <= at and (limits.anywhere or home.bed[h] > 0)
        if told:
            kept.sum[h] += home.value[h]
            kept.seen[h] += 1
        known = told and kept.verdict[h] == UNKNOWN  # somebody of whom nothing was known
        if ends:
            known = kept.seen[h] >= limits.enough
            if known:
                _end_day(h, s)
            kept.sum[h] = kept.seen[h] = 0
        elif not known:
            continue
        most = max(number(kept.cusum[0, h]), number(kept.cusum[1, h]))
        firing = known and most >= limits.note_at
        level = limits.priority if firing else 0
        verdict = FIRING if firing else PENDING if most >= limits.note_at / 2 else CLEAR
        if not known:
            verdict = UNKNOWN
        if verdict != kept.verdict[h] or level != kept.level[h]:
            kept.verdict[h], kept.level[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _end_day(h: int, s: Everything) -> None:
    """A day that was seen: its figure is the mean of its samples."""
    kept = s.kept
    kept.figures[kept.days[h], h] = pattern(np.float64(kept.sum[h]) / kept.seen[h])
    kept.days[h] += 1
    if kept.days[h] == WEEK:
        _end_week(h, _median(h, s), s)


@inlined
def _median(h: int, s: Everything) -> float:
    """Of the days of this week."""
    week = s.limits.week
    for day in range(WEEK):
        value, k = np.float64(number(s.kept.figures[day, h])), day
        while k > 0 and week[k - 1] > value:
            week[k] = week[k - 1]
            k -= 1
        week[k] = value
    median: float = week[WEEK // 2]
    return median


@inlined
def _end_week(h: int, figure: float, s: Everything) -> None:
    """The week's departure from the own weeks adds up, and is learned from as far as it is not odd."""
    kept, limits, weeks = s.kept, s.limits, np.int64(s.kept.weeks[h])
    own = np.float64(number(kept.spread[h]))
    spread, known = max(own, limits.least_change), weeks >= limits.learn_weeks
    mean = figure if weeks == 0 else np.float64(number(kept.usual[h]))
    within = off = figure - mean
    departs = 0.0
    if known:
        departs = min(max(off / spread, -MOST), MOST)
        within = min(max(off, -LEARNED * spread), LEARNED * spread)
    adds = False
    for i in range(2):
        one = np.float64(number(kept.cusum[i, h])) + (departs if i == 0 else -departs) - SLACK
        kept.cusum[i, h] = pattern(max(one, 0.0))
        adds = adds or kept.cusum[i, h] != 0
    kept.run[h] = kept.run[h] + (kept.run[h] < 255) if adds else 0
    rate = max(RATE, 1 / (1.0 + weeks))
    kept.usual[h] = pattern(mean + rate * within)
    kept.spread[h] = pattern(math.sqrt((1 - rate) * (own**2 + rate * within**2)))
    kept.last[h] = pattern(figure)
    kept.weeks[h] += kept.weeks[h] < 255
    kept.days[h] = 0


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
        state = shared.metrics[self._figure].nature == "state"
        self._limits = Limits(
            DAY if state else EVERY, state, condition.between.length * condition.seen_at_least / EVERY,
            float(condition.least_change), condition.learn_weeks, float(condition.note_at),
            int(LEVELS[rule.priority]), np.empty(WEEK),
        )  # fmt: skip
        self._ready = Once(shared.columns, self._prepare)

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
        judge, everything, found = self._ready()
        changed = judge(at, self._zone.time_of_day(at) == between.end % DAY, everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], Everything, Rows]:
        """The loop, and all that it is given at each sample."""
        c, found = self._columns, self._columns.room()
        value = c.whole("value")
        home = Home(value[self._figure], c.whole("taken")[self._figure], value[self._bed])
        everything = Everything(home, Kept(*c.bundle(Kept._fields, f"{self._rule.name}.")), self._limits)
        return bound(_judge, 0, False, everything, found), everything, found

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=self._began(rows, at), score=self._c("cusum")[:, rows].astype(np.float64).max(0), facts=self._facts,
            home=None, at=at,
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
        return self._findings(np.arange(self._columns.rows["home"]), at)
