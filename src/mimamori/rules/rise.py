"""Still in bed, long after the time at which this household usually rises.

May import model and rules. Rising is the first time of the day that the bed stays empty for a while; its usual time is
learned as a mean and a variance that forget, a lie-in counting for no more than three standard deviations. After a time
in which the bed sensor was silent, rising may have been missed: nobody is late before `margin` has passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, no_findings
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, Nanos
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean
from mimamori.rules.latest import BED, Sensors, Shared, mark_silent
from mimamori.rules.own import Own
from mimamori.rules.spec import Condition, Rise, Rule

CELL = 5 * MINUTE
FACTS = ("minutes", "limit_minutes", "usual_minutes", "own")
Z99 = 2.326  # 99th percentile of the normal law
PRIOR_COUNT, PRIOR_SPREAD = 5.0, 45.0  # mornings; minutes
RATE = 0.05  # weight of a new morning once the first ones are in
FURTHEST = 3.0  # standard deviations that one morning can count for
AWAKE_BEFORE = 2 * HOUR  # who left the bed longer before the part of the day begins did not sleep in it
HIGH = int(Level.HIGH)


class Home(NamedTuple):
    """The shared columns that are looked at, whole."""

    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    own: NDArray[np.uint16]


class Kept(NamedTuple):
    """The rule's columns, whole."""

    left: NDArray[np.int64]
    up: NDArray[np.int64]
    unheard: NDArray[np.int64]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    mornings: NDArray[np.int16]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule, in minutes but for up_for and unseen_for in ns; latest is (sets,)."""

    bed: int
    up_for: int
    unseen_for: int  # so long after a bed sensor that was silent nobody is late
    prior: float
    margin: float
    latest: NDArray[np.float64]
    high_after: float
    priority: int


class Moment(NamedTuple):
    """Five minutes that end at `at`; minutes of the day, when the part of the day began (ns), whether it is on."""

    at: int
    minutes: float
    begin: int
    morning: bool


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    limits: Limits
    silent: NDArray[np.bool_]  # (n,) a bed sensor of theirs is silent


@lean
def _judge(m: Moment, s: Everything, found: Rows) -> int:
    """Five minutes of all households; how many of them, in `found`, changed verdict or level."""
    verdicts, levels, n = s.kept.verdict, s.kept.level, 0
    for h in range(len(found)):
        bed = s.home.value[s.limits.bed, h]
        _follow(h, m, bed, s)
        known = not (np.isnan(bed) or s.silent[h])
        if s.silent[h]:
            s.kept.unheard[h] = m.at
        seen = known and s.kept.unheard[h] <= m.at - s.limits.unseen_for
        level = _level(h, m, seen and m.morning and s.kept.up[h] < m.begin, s) if bed > 0 else 0
        verdict = FIRING if level > 0 else CLEAR
        if not known:
            verdict = UNKNOWN
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _follow(h: int, m: Moment, bed: float, s: Everything) -> None:
    """Left the bed, came back to it, or has risen."""
    left, up = s.kept.left, s.kept.up
    if bed > 0:
        left[h] = NEVER
    elif bed == 0 and left[h] == NEVER:
        left[h] = s.home.taken[s.limits.bed, h]
    if m.morning and up[h] < m.begin and left[h] != NEVER and left[h] <= m.at - s.limits.up_for:
        if left[h] >= m.begin - AWAKE_BEFORE:
            _learn(h, m, s)
        up[h] = max(left[h], m.begin)


@inlined
def _level(h: int, m: Moment, late: bool, s: Everything) -> int:
    """The level reached in bed; late: has not risen today."""
    before, level = s.kept.level[h], 0
    if before > 0 or late:
        over = m.minutes - _limit(h, s)
        if before > 0 or over >= 0:
            level = HIGH if m.morning and over >= s.limits.high_after else max(before, s.limits.priority)
    return level


@inlined
def _learn(h: int, m: Moment, s: Everything) -> None:
    """Risen since `left`."""
    mean, spread, mornings = np.float64(s.kept.mean[h]), np.float64(s.kept.spread[h]), s.kept.mornings[h]
    rate = max(RATE, 1 / (PRIOR_COUNT + mornings))
    furthest = FURTHEST * math.sqrt(spread)
    minutes = m.minutes - (m.at - s.kept.left[h]) / MINUTE
    off = min(max(minutes - s.limits.prior - mean, -furthest), furthest)
    s.kept.mean[h] = mean + rate * off
    s.kept.spread[h] = (1 - rate) * (spread + rate * off**2)
    s.kept.mornings[h] = min(mornings + 1, 1000)


@inlined
def _limit(h: int, s: Everything) -> float:
    """Minutes after midnight."""
    own = s.limits.prior + s.kept.mean[h] + Z99 * math.sqrt(s.kept.spread[h]) + s.limits.margin
    limit: float = min(own, s.limits.latest[s.home.own[h]])
    return limit


@lean
def _limits(rows: Rows, s: Everything, limit: NDArray[np.float64]) -> None:
    """Sets the limit (r,) of those rows, minutes after midnight."""
    for i in range(len(rows)):
        limit[i] = _limit(rows[i], s)


class RiseDetector:
    """`kind = "rise"`."""

    every = CELL
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Rise)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self.metric: int | None = shared.metrics.index("in_bed")
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])

    def _derive(self, sets: Sequence[Condition]) -> None:
        spec, latest = self._spec, np.array([c.latest / MINUTE for c in sets if isinstance(c, Rise)])
        assert self.metric is not None
        self._limits = Limits(
            self.metric, spec.up_for, spec.margin, (spec.start_limit - spec.margin) / MINUTE - Z99 * PRIOR_SPREAD,
            spec.margin / MINUTE, latest, spec.high_after / MINUTE, int(LEVELS[self._rule.priority]),
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("left", "i8", NEVER, "ns, since when the bed is empty"),
            Column("up", "i8", NEVER, "ns, when last risen"),
            Column("unheard", "i8", NEVER, "ns, when a bed sensor was last silent"),
            Column("mean", "f4", 0, "minutes, departure from the prior"),
            Column("spread", "f4", PRIOR_SPREAD**2, "variance of minutes"),
            Column("mornings", "i2", 0, "learned from"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the five minutes that end at `at` (ns)."""
        hear, judge, sensors, everything, found = self._ready()
        hear(sensors, BED, everything.silent)
        changed = judge(self._moment(at), everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _moment(self, at: int) -> Moment:
        between, time_of_day = self._spec.between, self._zone.time_of_day(at - 1) + 1
        begin = at - (time_of_day - between.begin)
        return Moment(at, time_of_day / MINUTE, begin, between.holds(time_of_day - 1))

    def _prepare(self) -> tuple[Callable[..., None], Callable[..., int], Sensors, Everything, Rows]:
        """The two loops, and all that they are given at each cell."""
        c, found = self._columns, self._columns.room()
        sensors = Sensors(*(c[name] for name in Sensors._fields))
        everything = Everything(
            Home(*c.bundle(Home._fields)), Kept(*c.bundle(Kept._fields, f"{self._rule.name}.")), self._limits,
            np.zeros(len(found), np.bool_),
        )  # fmt: skip
        hear = bound(mark_silent, sensors, BED, everything.silent)
        return hear, bound(_judge, self._moment(0), everything, found), sensors, everything, found

    def _usual(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(r,) minutes after midnight."""
        usual: NDArray[np.float64] = self._limits.prior + self._c("mean")[rows].astype(np.float64)
        return usual

    def _usual_at(self, rows: NDArray[np.intp], at: int) -> Nanos:
        """(r,) ns: this day's usual time of rising; NEVER before the first minute."""
        if at == NEVER:  # nothing was ever judged
            return np.full(len(rows), NEVER)
        midnight = at - (self._zone.time_of_day(at - 1) + 1)
        return midnight + np.clip(self._usual(rows) * MINUTE, 0, DAY).astype(np.int64)

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        facts = self._facts(rows, at)
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=self._usual_at(rows, at), score=np.maximum(facts[:, 0] - facts[:, 1], 0), facts=lambda _: facts,
            home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        minutes, limit = (self._zone.time_of_day(max(at, 1) - 1) + 1) / MINUTE, np.empty(len(rows))
        _limits(rows, self._ready()[3], limit)
        return np.column_stack([np.full(len(rows), minutes), limit, self._usual(rows), self.own.apart(rows)])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
