"""A value unlike this household's own nights: outside its usual band for most of half an hour in bed.

May import model and rules. The band is the mean and spread of the minutes in bed, learned minute by minute with
forgetting; a single minute counts for no more than three standard deviations, and nothing is learned while firing. By
day, when somebody in bed is seldom asleep, the band may be wider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import MINUTE
from mimamori.rules.changes import (
    CLEAR,
    FIRING,
    LEVELS,
    NO_MINUTE,
    NOT_DUE_MINUTE,
    PENDING,
    UNKNOWN,
    findings_of,
    instant,
    minutes_since,
)  # fmt: skip
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bits_of, bound, inlined, lean
from mimamori.rules.latest import Minute, Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Condition, Rule, Usual

FACTS = ("value", "low", "high", "usual", "minutes", "own")
WINDOW = 32  # minutes looked back at: a bit each
PRIOR_MINUTES, PRIOR_SPREAD = 1200.0, 0.75  # weight of the first spread, which is so many times the least half width
MEAN_MINUTES = 60.0  # weight of the first value
RATE = 1 / 6000  # weight of a minute once two weeks of nights are in
FURTHEST = 3.0  # standard deviations


class Kept(NamedTuple):
    """The rule's columns."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    minutes: NDArray[np.uint16]
    odd: NDArray[np.uint32]
    value: NDArray[np.float32]
    since: NDArray[np.int32]
    due: NDArray[np.int32]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule: half width of the band in deviations, and at least, both (sets,); the rest in minutes."""

    deviations: NDArray[np.float64]
    at_least: NDArray[np.float64]
    hold: int
    clear: int
    unknown_after: int
    priority: int


@lean
def _judge(
    now: int, wider: float, minute: Minute, own: NDArray[np.uint16], kept: Kept, limits: Limits, found: Rows
) -> int:
    """One minute of all households; how many of them, in `found`, changed verdict or level.

    now: minutes since 1970. wider: times the usual width at this time of day. own: (n,) the set that holds.
    """
    bed, count, total, due = minute.bed, minute.told, minute.sum, kept.due
    odd, verdicts, levels, n = kept.odd, kept.verdict, kept.level, 0
    for h in range(len(found)):
        if count[h] > 0 and bed[h] > 0:
            width = (wider * limits.deviations[own[h]], wider * limits.at_least[own[h]])
            _learn(h, total[h] / count[h], kept, width, PRIOR_SPREAD * limits.at_least[own[h]], now)
            due[h] = now + limits.unknown_after + 1
        elif due[h] <= now:
            odd[h] = 0  # a hole says nothing of before or after it
            due[h] = NOT_DUE_MINUTE
        else:
            continue
        many, fired, known = bits_of(odd[h]), levels[h] > 0, due[h] != NOT_DUE_MINUTE
        firing = many >= limits.hold or (fired and (many >= limits.clear or not known))  # gone from bed: not over
        level = limits.priority if firing else 0
        verdict = FIRING if firing else PENDING if many >= limits.clear else CLEAR
        if not known:
            verdict = UNKNOWN
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _learn(h: int, value: float, kept: Kept, width: tuple[float, float], prior: float, now: int) -> None:
    """A minute whose mean is `value`. width: half, in deviations, and at least; prior: the first deviation."""
    mean, spread, minutes = kept.mean, kept.spread, kept.minutes
    if minutes[h] == 0:
        mean[h] = value
        spread[h] = prior**2
    centre, variance = np.float64(mean[h]), np.float64(spread[h])
    outside = abs(value - centre) >= max(width[0] * np.sqrt(variance), width[1])
    if outside and kept.odd[h] == 0:
        kept.since[h] = now - 1
    kept.odd[h] = np.uint32((np.int64(kept.odd[h]) << 1 | outside) & 0xFFFFFFFF)
    kept.value[h] = value
    if kept.level[h] == 0:  # else firing: not one of the own nights
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
        self._columns, self._latest, self._zone = shared.columns, shared.latest, shared.zone
        self.metric: int | None = shared.metrics.index(condition.metric)
        self._bed = shared.metrics.index("in_bed")
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive((condition,))

    def _derive(self, conditions: Sequence[Condition]) -> None:
        spec, each = self._spec, [c for c in conditions if isinstance(c, Usual)]
        self._limits = Limits(
            np.array([c.deviations for c in each], float), np.array([c.at_least for c in each], float),
            spec.hold // MINUTE, spec.clear_below // MINUTE, spec.unknown_after // MINUTE,
            int(LEVELS[self._rule.priority]),
        )  # fmt: skip
        self._ready.drop()

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
        judge, arrays = self._ready()
        changed = judge(at // MINUTE, self._wider(at), *arrays)
        return self._findings(self._columns.room()[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], tuple[Minute, NDArray[np.uint16], Kept, Limits, Rows]]:
        """The loop, and all that it is given at each minute."""
        c = self._columns
        minute = Minute(c["value"][self._bed], *self._latest.minute(self.metric))
        kept = Kept(*c.bundle(Kept._fields, f"{self._rule.name}."))
        arrays = minute, c["own"], kept, self._limits, c.room()
        return bound(_judge, 0, 1.0, *arrays), arrays

    def _wider(self, at: int) -> float:
        return float(self._spec.wider_by_day) if self._spec.by_day.holds(self._zone.time_of_day(at - 1)) else 1.0

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        c, name = self._columns, self._rule.name
        return findings_of(
            rows, rule=self._index, verdict=c[f"{name}.verdict"][rows], level=c[f"{name}.level"][rows],
            since=instant(c[f"{name}.since"][rows]), score=np.nan_to_num(self._c("value")[rows]).astype(np.float64),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _band(self, rows: NDArray[np.intp], at: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) mean and half width."""
        half = self.own.of("deviations", rows) * np.sqrt(self._c("spread")[rows].astype(np.float64))
        least = self.own.of("at_least", rows)
        return self._c("mean")[rows].astype(np.float64), self._wider(at) * np.maximum(half, least)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        mean, half = self._band(rows, at)
        minutes = minutes_since(self._columns[f"{self._rule.name}.since"][rows], at)
        return np.column_stack([self._c("value")[rows], mean - half, mean + half, mean, minutes,
                                self.own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
