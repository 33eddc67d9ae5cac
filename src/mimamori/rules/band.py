"""A measured value outside limits for a time, backed by someone being there.

May import model and rules. Judged once a minute on the minute's mean: a bit a minute, so many bad of the last so many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import NO_MINUTE, NOT_DUE_MINUTE, changed, findings_of, instant, judged, minutes_since
from mimamori.rules.columns import Column
from mimamori.rules.kernel import Rows, bits_of, compiled
from mimamori.rules.latest import Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Band, Condition, Rule

FACTS = ("value", "low", "high", "minutes", "hold_minutes", "own")
MOST = 30_000  # minutes counted
ORDER = ("low", "medium", "high")  # as in Level


class Kept(NamedTuple):
    """The columns that one minute changes."""

    bad: NDArray[np.uint32]
    good: NDArray[np.int16]
    firing: NDArray[np.int8]
    since: NDArray[np.int32]
    told_at: NDArray[np.int32]
    mean: NDArray[np.float32]


class Limits(NamedTuple):
    """The rule: outside is (sets, priorities, low and high); a minute inside lies between `low` and `high` (sets,)."""

    outside: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mask: int
    hold: int
    clear: int


@compiled
def _judge(  # noqa: PLR0917 - compiled code takes no names
    rows: Rows, means: NDArray[np.float64], own: NDArray[np.uint16], kept: Kept, limits: Limits, now: int
) -> None:
    """One minute of the households `rows`, whose means are `means` and whose sets of limits `own` (same length).

    now: minutes since 1970.
    """
    bad, good, firing = kept.bad, kept.good, kept.firing
    for i in range(len(rows)):
        h, value, before, after, reached, k = rows[i], means[i], False, False, 0, own[i]
        for p in range(limits.outside.shape[1]):
            before = before or bad[p, h] != 0
            outside = value <= limits.outside[k, p, 0] or value >= limits.outside[k, p, 1]
            word = (np.int64(bad[p, h]) << 1 | outside) & limits.mask
            bad[p, h] = np.uint32(word)
            after = after or word != 0
            if bits_of(word) >= limits.hold:
                reached = p + 1  # Level
        if after and not before and firing[h] == 0:
            kept.since[h] = now - 1
        good[h] = min(good[h] + 1, MOST) if limits.low[k] < value < limits.high[k] else 0
        firing[h] = max(firing[h], reached) if good[h] < limits.clear else 0
        kept.told_at[h] = now
        kept.mean[h] = value


class BandDetector:
    """`kind = "band"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Band)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest = shared.columns, shared.latest
        self.metric: int | None = shared.metrics.index(condition.metric)
        self._bed = shared.metrics.index("in_bed")
        self._hold, self._window = condition.hold // MINUTE, condition.out_of // MINUTE
        self._mask = (1 << self._window) - 1
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])

    def _derive(self, sets: Sequence[Condition]) -> None:
        low = np.array([[c.low.get(p, -np.inf) for p in ORDER] for c in sets])  # type: ignore[union-attr, call-overload]
        high = np.array([[c.high.get(p, np.inf) for p in ORDER] for c in sets])  # type: ignore[union-attr, call-overload]
        self._low, self._high, margin = low.max(1), high.min(1), self._spec.clear_margin
        self._limits = Limits(
            np.ascontiguousarray(np.stack([low, high], -1)), self._low + margin, self._high - margin, self._mask,
            self._hold, self._spec.clear_after // MINUTE,
        )  # fmt: skip

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("bad", "u4", 0, "a bit a minute, newest lowest", (len(ORDER),)),
            Column("good", "i2", 0, "minutes inside in a row"),
            Column("firing", "i1", 0, "Level"),
            Column("since", "i4", NO_MINUTE, "minutes since 1970, first bad one"),
            Column("told_at", "i4", NO_MINUTE, "minutes since 1970, last with a backed value"),
            Column("due", "i4", NOT_DUE_MINUTE, "minutes since 1970, when nothing is known any more"),
            Column("mean", "f4", np.nan, "of the metric"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name = self._columns, self._rule.name
        (total, count), told, due = self._latest.minute(self.metric), c[f"{name}.told_at"], c[f"{name}.due"]
        heard = np.flatnonzero(count)
        judged_now = heard[self._backed(heard, at)]
        self._judge(judged_now, total[judged_now] / count[judged_now], at)
        due[judged_now] = at // MINUTE + self._spec.unknown_after // MINUTE + 1
        lost = np.flatnonzero(due <= at // MINUTE)
        c[f"{name}.bad"][:, lost] = 0  # a hole says nothing of before or after it
        c[f"{name}.good"][lost] = 0
        due[lost] = NOT_DUE_MINUTE
        rows = np.concatenate([judged_now, lost])
        known = at - instant(told[rows]) <= self._spec.unknown_after
        firing = c[f"{name}.firing"][rows]
        pending = np.bitwise_or.reduce(c[f"{name}.bad"][:, rows]) > 0
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=firing > 0, pending=pending, known=known), level=firing,
            since=instant(c[f"{name}.since"][rows]), score=np.nan_to_num(c[f"{name}.mean"][rows]),
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
        kept = Kept(*[c[f"{name}.{field}"] for field in Kept._fields])
        _judge(rows, mean, self.own.sets(rows), kept, self._limits, at // MINUTE)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        minutes = minutes_since(c[f"{name}.since"][rows], at)
        sets, hold = self.own.sets(rows), np.full(len(rows), float(self._hold))
        return np.column_stack([c[f"{name}.mean"][rows], self._low[sets], self._high[sets], minutes, hold,
                                self.own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=instant(c[f"{name}.since"]), score=np.nan_to_num(c[f"{name}.mean"]),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
