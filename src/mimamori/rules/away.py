"""Left the bed at night and has not come back for longer than is usual for this household.

May import model and rules. The limit is the household's own 99th percentile of such absences, from the mean and spread
of their logarithm, held between two bounds. Leaving the bed about the own time of rising is given twice the time:
whoever sits down with a newspaper at five has not fallen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, no_findings
from mimamori.model.times import DAY, MINUTE, NEVER
from mimamori.rules.changes import CLEAR, FIRING, PENDING, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean
from mimamori.rules.latest import BED, Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Away, Condition, Rule

FACTS = ("minutes", "limit_minutes", "usual_minutes", "no_sign_minutes", "own")
Z99 = 2.326  # 99th percentile of the normal law
PRIOR_COUNT, PRIOR_SPREAD = 5.0, 0.7
RATE = 0.05  # weight of a new absence once the first ones are in
Z95, RISE_SPREAD = 1.645, 30.0  # 95th percentile; minutes: prior spread of the time of rising, whose mean is the end
RISE_RATE = 0.1  # weight of a new morning
STAYS_UP = 0.5  # of `shortest_limit`, at most: moving about so long after leaving the bed is rising, about that time
RISING = 2.0  # times as patient from the own 5th percentile of that time on
FURTHEST = 3.0  # standard deviations that one morning can count for
OWN = ("shortest_limit", "longest_limit", "no_sign_for")  # may be a household's own; the first of Limits
MEDIUM, HIGH = int(Level.MEDIUM), int(Level.HIGH)
TALKS, LATE, SILENT = range(3)  # a bed sensor, at worst
LATE_AFTER, LATE_AT_LEAST = 3, 3 * MINUTE  # of its own longest recent pauses


class Home(NamedTuple):
    """The shared columns that are looked at, whole."""

    fresh: NDArray[np.bool_]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    last_sign: NDArray[np.int64]
    own: NDArray[np.uint16]


class Devices(NamedTuple):
    """The shared columns of devices that are looked at, (d,) each, in ns."""

    device_home: NDArray[np.int32]
    channel: NDArray[np.int8]
    silent: NDArray[np.bool_]
    heard: NDArray[np.int64]
    period: NDArray[np.int64]


class Kept(NamedTuple):
    """The rule's columns, whole."""

    bed: NDArray[np.int8]
    left: NDArray[np.int64]
    log_mean: NDArray[np.float64]
    log_spread: NDArray[np.float64]
    rise: NDArray[np.float32]
    rise_spread: NDArray[np.float32]
    absences: NDArray[np.uint16]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule; the arrays are (sets,) in ns, length is in minutes, prior_log the log of minutes."""

    bed: int
    shortest: NDArray[np.float64]
    longest: NDArray[np.float64]
    no_sign_for: NDArray[np.float64]
    high_after: float
    length: float
    prior_log: float


class Moment(NamedTuple):
    """The minute that ends at `at`, and where it lies: in the part of the day, followed by more of it, since when."""

    at: int
    within: bool
    goes_on: bool
    begun: int  # ns since the part of the day began


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    limits: Limits
    sensor: NDArray[np.int8]  # (n,) TALKS, LATE or SILENT


@lean
def _judge(m: Moment, s: Everything, found: Rows) -> int:
    """One minute of all households; how many of them, in `found`, changed verdict or level."""
    fresh, gone, levels, verdicts, n = s.home.fresh, s.kept.left, s.kept.level, s.kept.verdict, 0
    for h in range(len(found)):
        if not (fresh[h] or gone[h] != NEVER or levels[h] > 0):
            continue
        bed = s.home.value[s.limits.bed, h]
        _follow(h, m, bed, s)
        level = _level(h, m, s)
        if not m.goes_on and gone[h] != NEVER and level == 0:
            _learn_rise(h, m, s)  # morning: up and about
        s.kept.bed[h] = 1 if bed > 0 else 0 if bed == 0 else -1
        verdict = FIRING if level > 0 else PENDING if gone[h] != NEVER else CLEAR
        if np.isnan(bed) or s.sensor[h] == SILENT:
            verdict = UNKNOWN
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _follow(h: int, m: Moment, bed: float, s: Everything) -> None:
    """Left the bed, came back to it, or is up."""
    left, sign = s.kept.left, s.home.last_sign[h]
    if m.within and s.kept.bed[h] > 0 and bed == 0:
        left[h] = s.home.taken[s.limits.bed, h]
    if bed > 0 and left[h] != NEVER:
        if s.kept.level[h] == 0:
            _learn(h, s)
        left[h] = NEVER
    # Moving about long after leaving the bed is being up, not lying on the way back from the toilet. About the own time
    # of rising, longer than a usual absence is long: who then sits still sits at breakfast, and the day's rules watch.
    if left[h] != NEVER and sign != NEVER:
        long = s.limits.shortest[s.home.own[h]]
        if _rises(h, left[h], Z99, m, s):
            long = min(STAYS_UP * long, math.exp(s.limits.prior_log + s.kept.log_mean[h]) * MINUTE)
        if sign - left[h] >= long:
            _learn_rise(h, m, s)


@inlined
def _level(h: int, m: Moment, s: Everything) -> int:
    """The level that the absence has reached. It begins only while the bed tells of a return: not in a power cut."""
    left, reached = s.kept.left[h], 0
    if left != NEVER:
        patience = _patience(h, left, m, s)
        limit, absent = _limit(h, s) * patience, m.at - left
        quiet = m.at - max(s.home.last_sign[h], left)
        begins = s.sensor[h] == TALKS and quiet >= s.limits.no_sign_for[s.home.own[h]] * patience
        if absent >= limit and (begins or s.kept.level[h] > 0):
            reached = HIGH if absent >= limit * s.limits.high_after else MEDIUM
    return reached


@inlined
def _before_end(left: int, m: Moment, s: Everything) -> float:
    """Minutes from leaving the bed to the end of the part of day."""
    return s.limits.length + (m.at - left - m.begun) / MINUTE


@inlined
def _patience(h: int, left: int, m: Moment, s: Everything) -> float:
    return RISING if _rises(h, left, Z95, m, s) else 1.0


@inlined
def _rises(h: int, left: int, z: float, m: Moment, s: Everything) -> bool:
    """Whether the bed was left no earlier than so many standard deviations before the own time of rising."""
    earliest = s.kept.rise[h] + z * math.sqrt(s.kept.rise_spread[h])
    rises: bool = _before_end(left, m, s) <= earliest
    return rises


@inlined
def _learn_rise(h: int, m: Moment, s: Everything) -> None:
    """Who left the bed in the later half of the part of day and stayed up has risen; nobody is missing any more."""
    before = _before_end(s.kept.left[h], m, s)
    if before <= s.limits.length / 2:
        mean, spread = np.float64(s.kept.rise[h]), np.float64(s.kept.rise_spread[h])
        furthest = FURTHEST * math.sqrt(spread)
        off = min(max(before - mean, -furthest), furthest)
        s.kept.rise[h] = mean + RISE_RATE * off
        s.kept.rise_spread[h] = (1 - RISE_RATE) * (spread + RISE_RATE * off**2)
    s.kept.left[h] = NEVER


@inlined
def _learn(h: int, s: Everything) -> None:
    """Back in bed: an absence more to learn from."""
    log_mean, log_spread, absences = s.kept.log_mean, s.kept.log_spread, s.kept.absences
    minutes = max((s.home.taken[s.limits.bed, h] - s.kept.left[h]) / MINUTE, 0.5)
    rate = max(RATE, 1 / (PRIOR_COUNT + absences[h]))
    off = math.log(minutes) - s.limits.prior_log - log_mean[h]
    log_mean[h] += rate * off
    log_spread[h] = (1 - rate) * (log_spread[h] + rate * off**2)
    absences[h] = min(absences[h], 60_000) + 1


@inlined
def _limit(h: int, s: Everything) -> float:
    """Ns."""
    minutes = math.exp(s.limits.prior_log + s.kept.log_mean[h] + Z99 * math.sqrt(s.kept.log_spread[h]))
    own = s.home.own[h]
    limit: float = min(max(minutes * MINUTE, s.limits.shortest[own]), s.limits.longest[own])
    return limit


@lean
def _tell(rows: Rows, m: Moment, s: Everything, table: NDArray[np.float64]) -> None:
    """The facts of those rows, but for the last: (r, facts), minutes."""
    for i in range(len(rows)):
        h = rows[i]
        left, sign = s.kept.left[h], s.home.last_sign[h]
        away = 0 if left == NEVER else m.at - left
        table[i, 0] = away / MINUTE
        table[i, 1] = _limit(h, s) * _patience(h, m.at - away, m, s) / MINUTE
        table[i, 2] = math.exp(s.limits.prior_log + s.kept.log_mean[h])
        table[i, 3] = (away if sign == NEVER else m.at - sign) / MINUTE


@lean
def _hear_sensors(at: int, c: Devices, worst: NDArray[np.int8]) -> None:
    """Sets `worst` (n,) to TALKS, LATE or SILENT: the worst of the household's bed sensors."""
    for h in range(len(worst)):
        worst[h] = TALKS
    for d in range(len(c.device_home)):
        if c.channel[d] == BED:
            h, late = c.device_home[d], at - c.heard[d] > max(LATE_AFTER * c.period[d], LATE_AT_LEAST)
            worst[h] = max(worst[h], SILENT if c.silent[d] else LATE if late else TALKS)


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
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])

    def _derive(self, sets: Sequence[Condition]) -> None:
        shortest, longest, no_sign_for = (np.array([float(getattr(c, name)) for c in sets]) for name in OWN)
        assert self.metric is not None
        spec = self._spec
        self._limits = Limits(
            self.metric, shortest, longest, no_sign_for, float(spec.high_after), spec.between.length / MINUTE,
            math.log(spec.start_limit / MINUTE) - Z99 * PRIOR_SPREAD,
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("bed", "i1", -1, "in_bed at the last minute: 1, 0, or -1 for never told"),
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

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at`."""
        hear, judge, devices, everything, found = self._ready()
        hear(at, devices, everything.sensor)
        changed = judge(self._moment(at), everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _moment(self, at: int) -> Moment:
        between, before = self._spec.between, self._zone.time_of_day(at - 1)
        goes_on = between.holds(self._zone.time_of_day(at))
        return Moment(at, between.holds(before), goes_on, (before + 1 - between.begin) % DAY)

    def _prepare(self) -> tuple[Callable[..., None], Callable[..., int], Devices, Everything, Rows]:
        """The two loops, and all that they are given at each minute."""
        c, found = self._columns, self._columns.room()
        devices = Devices(*(c[name] for name in Devices._fields))
        everything = Everything(
            Home(*c.bundle(Home._fields)), Kept(*c.bundle(Kept._fields, f"{self._rule.name}.")), self._limits,
            np.zeros(len(found), np.int8),
        )  # fmt: skip
        hear = bound(_hear_sensors, 0, devices, everything.sensor)
        return hear, bound(_judge, self._moment(0), everything, found), devices, everything, found

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        left = self._c("left")[rows]
        away = np.where(left == NEVER, 0, at - np.where(left == NEVER, at, left))
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows], since=left,
            score=away / MINUTE, facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        table = np.zeros((len(rows), len(FACTS)))
        if at != NEVER:  # else nothing was ever judged
            _tell(rows, self._moment(at), self._ready()[3], table)
        table[:, -1] = self.own.apart(rows)
        return table

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
