"""A measured value outside limits for a time, backed by someone being there.

May import model and rules. Judged once a minute on the mean, or the least, of its values: a bit a minute, so many bad
of the last so many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import (
    CLEAR,
    FIRING,
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
from mimamori.rules.spec import Band, Condition, Rule

FACTS = ("value", "low", "high", "minutes", "hold_minutes", "own")
MOST = 30_000  # minutes counted
LATELY = 5 * MINUTE
ORDER = ("low", "medium", "high")  # as in Level


class Kept(NamedTuple):
    """The rule's columns, whole."""

    bad: NDArray[np.uint32]
    good: NDArray[np.int16]
    firing: NDArray[np.int8]
    since: NDArray[np.int32]
    told_at: NDArray[np.int32]
    due: NDArray[np.int32]
    mean: NDArray[np.float32]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule: outside is (sets, priorities, low and high); a minute inside lies between `low` and `high` (sets,)."""

    outside: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mask: int
    hold: int
    clear: int
    unknown_after: int
    backed: bool  # a value counts only with somebody there
    of_least: bool  # not the minute's mean but its least value is judged


class Everything(NamedTuple):
    """All that a step may read or write; moved and own are shared columns."""

    minute: Minute
    least: NDArray[np.float64]
    moved: NDArray[np.int64]
    own: NDArray[np.uint16]
    kept: Kept
    limits: Limits


@lean
def _judge(at: int, s: Everything, found: Rows) -> int:
    """The minute that ends at `at`, of all households; how many of them, in `found`, changed verdict or level."""
    told, total, least, due, firing = s.minute.told, s.minute.sum, s.least, s.kept.due, s.kept.firing
    bad, verdicts, levels, now, n = s.kept.bad, s.kept.verdict, s.kept.level, at // MINUTE, 0
    for h in range(len(found)):
        if told[h] > 0 and _backed(h, at, s):
            _take(h, least[h] if s.limits.of_least else total[h] / told[h], now, s)
            due[h] = now + s.limits.unknown_after + 1
        elif due[h] <= now:
            bad[:, h] = 0  # a hole says nothing of before or after it
            s.kept.good[h] = 0
            due[h] = NOT_DUE_MINUTE
        else:
            continue
        pending = False
        for p in range(len(bad)):
            pending = pending or bad[p, h] != 0
        verdict = FIRING if firing[h] > 0 else PENDING if pending else CLEAR
        if due[h] == NOT_DUE_MINUTE:
            verdict = UNKNOWN
        if verdict != verdicts[h] or firing[h] != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, firing[h], h
            n += 1
    return n


@inlined
def _backed(h: int, at: int, s: Everything) -> bool:
    """Whether a value counts: only when the bed is occupied or a body moved within the last minutes."""
    bed, moved = s.minute.bed[h], s.moved[h]
    lately: bool = moved != NEVER and at - moved <= LATELY
    return not s.limits.backed or bed > 0 or (np.isnan(bed) and lately)


@inlined
def _take(h: int, value: float, now: int, s: Everything) -> None:
    """A minute whose mean, or least, is `value`. now: minutes since 1970."""
    kept, limits, k = s.kept, s.limits, s.own[h]
    before, after, reached = False, False, 0
    for p in range(len(kept.bad)):
        before = before or kept.bad[p, h] != 0
        outside = value <= limits.outside[k, p, 0] or value >= limits.outside[k, p, 1]
        word = (np.int64(kept.bad[p, h]) << 1 | outside) & limits.mask
        kept.bad[p, h] = word
        after = after or word != 0
        if bits_of(word) >= limits.hold:
            reached = p + 1  # Level
    if after and not before and kept.firing[h] == 0:
        kept.since[h] = now - 1
    kept.good[h] = min(kept.good[h] + 1, MOST) if limits.low[k] < value < limits.high[k] else 0
    kept.firing[h] = max(kept.firing[h], reached) if kept.good[h] < limits.clear else 0
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
        self._hold = condition.hold // MINUTE
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])

    def _derive(self, sets: Sequence[Condition]) -> None:
        low = np.array([[c.low.get(p, -np.inf) for p in ORDER] for c in sets])  # type: ignore[union-attr, call-overload]
        high = np.array([[c.high.get(p, np.inf) for p in ORDER] for c in sets])  # type: ignore[union-attr, call-overload]
        self._low, self._high, margin = low.max(1), high.min(1), self._spec.clear_margin
        self._limits = Limits(
            np.ascontiguousarray(np.stack([low, high], -1)), self._low + margin, self._high - margin,
            (1 << self._spec.out_of // MINUTE) - 1, self._hold, self._spec.clear_after // MINUTE,
            self._spec.unknown_after // MINUTE, self._spec.backed_by != "nothing", self._spec.of == "least",
        )  # fmt: skip
        self._ready.drop()

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
            Column("mean", "f4", np.nan, "of the metric, or its least value"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        judge, everything, found = self._ready()
        changed = judge(at, everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], Everything, Rows]:
        """The loop, and all that it is given at each minute."""
        c, found = self._columns, self._columns.room()
        minute = Minute(c["value"][self._bed], *self._latest.minute(self.metric))
        kept = Kept(*c.bundle(Kept._fields, f"{self._rule.name}."))
        everything = Everything(minute, self._latest.least(self.metric), c["moved"], c["own"], kept, self._limits)
        return bound(_judge, 0, everything, found), everything, found

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=instant(self._c("since")[rows]), score=np.nan_to_num(self._c("mean")[rows]),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        minutes = minutes_since(c[f"{name}.since"][rows], at)
        sets, hold = self.own.sets(rows), np.full(len(rows), float(self._hold))
        return np.column_stack([c[f"{name}.mean"][rows], self._low[sets], self._high[sets], minutes, hold,
                                self.own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
