"""Still in bed, long after the time at which this household usually rises.

May import model and rules. Rising is the first time of the day that the bed stays empty for a while; its usual time is
learned as a mean and a variance that forget, a lie-in counting for no more than three standard deviations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, Nanos
from mimamori.rules.changes import LEVELS, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import BED, Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Rise, Rule

CELL = 5 * MINUTE
FACTS = ("minutes", "limit_minutes", "usual_minutes", "own")
Z99 = 2.326  # 99th percentile of the normal law
PRIOR_COUNT, PRIOR_SPREAD = 5.0, 45.0  # mornings; minutes
RATE = 0.05  # weight of a new morning once the first ones are in
FURTHEST = 3.0  # standard deviations that one morning can count for
AWAKE_BEFORE = 2 * HOUR  # who left the bed longer before the part of the day begins did not sleep in it


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
        self.own = Own(shared.columns, condition)
        self._prior = (condition.start_limit - condition.margin) / MINUTE - Z99 * PRIOR_SPREAD

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("left", "i8", NEVER, "ns, since when the bed is empty"),
            Column("up", "i8", NEVER, "ns, when last risen"),
            Column("mean", "f4", 0, "minutes, departure from the prior"),
            Column("spread", "f4", PRIOR_SPREAD**2, "variance of minutes"),
            Column("mornings", "i2", 0, "learned from"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the five minutes that end at `at` (ns)."""
        c, name, spec = self._columns, self._rule.name, self._spec
        bed, left, up = c["value"][self.metric], c[f"{name}.left"], c[f"{name}.up"]
        left[bed > 0] = NEVER
        went = (bed == 0) & (left == NEVER)
        left[went] = c["taken"][self.metric][went]
        time_of_day = self._zone.time_of_day(at - 1) + 1
        begin = at - (time_of_day - spec.between.begin)
        morning = spec.between.holds(time_of_day - 1)
        if morning:
            rose = np.flatnonzero((left != NEVER) & (left <= at - spec.up_for) & (up < begin))
            self._learn(rose[left[rose] >= begin - AWAKE_BEFORE], at, time_of_day)
            up[rose] = np.maximum(left[rose], begin)
        known = (bed == bed) & ~self._silent()  # noqa: PLR0124 - NaN: never told
        old = c[f"{name}.level"]
        late = up < begin if morning else np.zeros(len(bed), bool)
        over = time_of_day / MINUTE - self._limit(slice(None))
        firing = ((old > 0) | (late & (over >= 0))) & (bed > 0) & (known | (old > 0))
        level = np.where(firing, np.maximum(old, np.int8(LEVELS[self._rule.priority])), np.int8(Level.NONE))
        if morning:
            level[firing & (over >= spec.high_after / MINUTE)] = Level.HIGH
        rows = np.arange(len(bed))
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], old),
            verdict=judged(firing=firing, pending=np.zeros(len(bed), bool), known=known), level=level.astype(np.int8),
            since=self._usual_at(rows, at), score=np.maximum(over, 0), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip

    def _silent(self) -> NDArray[np.bool_]:
        c = self._columns
        home = c["device_home"][c["silent"] & (c["channel"] == BED)]
        out: NDArray[np.bool_] = np.bincount(home, minlength=len(c["out"])) > 0
        return out

    def _learn(self, rows: NDArray[np.intp], at: int, time_of_day: int) -> None:
        c, name = self._columns, self._rule.name
        mean, spread = c[f"{name}.mean"][rows].astype(np.float64), c[f"{name}.spread"][rows].astype(np.float64)
        rate = np.maximum(RATE, 1 / (PRIOR_COUNT + c[f"{name}.mornings"][rows]))
        furthest = FURTHEST * np.sqrt(spread)
        minutes = (time_of_day - (at - c[f"{name}.left"][rows])) / MINUTE
        off = np.clip(minutes - self._prior - mean, -furthest, furthest)
        c[f"{name}.mean"][rows] = mean + rate * off
        c[f"{name}.spread"][rows] = (1 - rate) * (spread + rate * off**2)
        c[f"{name}.mornings"][rows] = np.minimum(c[f"{name}.mornings"][rows] + 1, 1000)

    def _usual(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """Minutes after midnight."""
        usual: NDArray[np.float64] = self._prior + self._columns[f"{self._rule.name}.mean"][rows].astype(np.float64)
        return usual

    def _limit(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float64]:
        """Minutes after midnight."""
        spread = np.sqrt(self._columns[f"{self._rule.name}.spread"][rows].astype(np.float64))
        own = self._usual(rows) + Z99 * spread + self._spec.margin / MINUTE
        limit: NDArray[np.float64] = np.minimum(own, self.own.of("latest", rows) / MINUTE)
        return limit

    def _usual_at(self, rows: NDArray[np.intp], at: int) -> Nanos:
        """(n,) ns: this day's usual time of rising; NEVER before the first minute."""
        if at == NEVER:  # nothing was ever judged
            return np.full(len(rows), NEVER)
        midnight = at - (self._zone.time_of_day(at - 1) + 1)
        return midnight + np.clip(self._usual(rows) * MINUTE, 0, DAY).astype(np.int64)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        minutes = (self._zone.time_of_day(max(at, 1) - 1) + 1) / MINUTE
        return np.column_stack(
            [np.full(len(rows), minutes), self._limit(rows), self._usual(rows), self.own.apart(rows)]
        )

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        rows = np.arange(len(verdict))
        return findings_of(
            rows, rule=self._index, verdict=verdict, level=c[f"{name}.level"], since=self._usual_at(rows, at),
            score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
