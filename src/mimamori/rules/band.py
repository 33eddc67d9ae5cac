"""A measured value outside limits for a time, backed by someone being there.

May import model and rules. Judged once a minute on the minute's mean: a bit a minute, so many bad of the last so many.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import LEVELS, NOT_DUE, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Band, Rule

FACTS = ("value", "low", "high", "minutes", "hold_minutes")
ORDER = ("low", "medium", "high")


class BandDetector:
    """`kind = "band"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Band)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns
        self.metric: int | None = shared.metrics.index(condition.metric)
        self._bed = shared.metrics.index("in_bed")
        self._hold, self._window = condition.hold // MINUTE, condition.out_of // MINUTE
        self._mask = np.uint32((1 << self._window) - 1)
        self._low = [condition.low.get(p, -np.inf) for p in ORDER]  # type: ignore[call-overload]
        self._high = [condition.high.get(p, np.inf) for p in ORDER]  # type: ignore[call-overload]

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("bad", "u4", 0, "a bit a minute, newest lowest", (len(ORDER),)),
            Column("good", "i4", 0, "minutes inside in a row"),
            Column("firing", "i1", 0, "Level"),
            Column("since", "i8", NEVER, "ns, first bad minute"),
            Column("told_at", "i8", NEVER, "ns, last minute with a backed value"),
            Column("due", "i8", NOT_DUE, "ns, when nothing is known any more"),
            Column("mean", "f8", np.nan, "of the metric"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name = self._columns, self._rule.name
        count, told, due = c["count"][self.metric], c[f"{name}.told_at"], c[f"{name}.due"]
        heard = np.flatnonzero(count)
        judged_now = heard[self._backed(heard, at)]
        self._judge(judged_now, c["sum"][self.metric, judged_now] / count[judged_now], at)
        due[judged_now] = at + self._spec.unknown_after + 1
        lost = np.flatnonzero(due <= at)
        c[f"{name}.bad"][:, lost] = 0  # a hole says nothing of before or after it
        c[f"{name}.good"][lost] = 0
        due[lost] = NOT_DUE
        rows = np.concatenate([judged_now, lost])
        known = at - told[rows] <= self._spec.unknown_after
        firing = c[f"{name}.firing"][rows]
        pending = np.bitwise_or.reduce(c[f"{name}.bad"][:, rows]) > 0
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=firing > 0, pending=pending, known=known), level=firing,
            since=c[f"{name}.since"][rows], score=np.nan_to_num(c[f"{name}.mean"][rows]),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _backed(self, rows: NDArray[np.intp], at: int) -> NDArray[np.bool_]:
        """Whether a value counts: only when the bed is occupied or a body moved within the last minutes."""
        c = self._columns
        if self._spec.backed_by == "nothing":
            return np.ones(len(rows), bool)
        bed, moved = c["value"][self._bed][rows], c["moved"][rows]
        lately = (moved != NEVER) & (at - np.where(moved == NEVER, at, moved) <= 5 * MINUTE)
        backed: NDArray[np.bool_] = np.where(np.isnan(bed), lately, bed > 0)
        return backed

    def _judge(self, rows: NDArray[np.intp], mean: NDArray[np.float64], at: int) -> None:
        c, name = self._columns, self._rule.name
        bad, firing, since = c[f"{name}.bad"], c[f"{name}.firing"], c[f"{name}.since"]
        c[f"{name}.told_at"][rows] = at
        c[f"{name}.mean"][rows] = mean
        before = bad[:, rows].any(0)
        reached = np.zeros(len(rows), np.int8)
        for i, priority in enumerate(ORDER):
            outside = (mean <= self._low[i]) | (mean >= self._high[i])
            bad[i, rows] = ((bad[i, rows] << np.uint32(1)) | outside) & self._mask
            full = np.bitwise_count(bad[i, rows]) >= self._hold
            reached[full] = LEVELS[priority]
        after = bad[:, rows].any(0)
        begins = after & ~before & (firing[rows] == Level.NONE)
        since[rows[begins]] = at - MINUTE
        low, high = max(self._low), min(self._high)
        inside = (mean > low + self._spec.clear_margin) & (mean < high - self._spec.clear_margin)
        good = c[f"{name}.good"]
        good[rows] = np.where(inside, good[rows] + 1, 0)
        firing[rows] = np.maximum(firing[rows], reached)
        firing[rows[good[rows] >= self._spec.clear_after // MINUTE]] = Level.NONE

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        since = c[f"{name}.since"][rows]
        minutes = np.where(since == NEVER, 0, (at - np.where(since == NEVER, at, since)) / MINUTE)
        n = len(rows)
        return np.column_stack([c[f"{name}.mean"][rows], np.full(n, max(self._low)), np.full(n, min(self._high)),
                                minutes, np.full(n, float(self._hold))])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.since"], score=np.nan_to_num(c[f"{name}.mean"]),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
