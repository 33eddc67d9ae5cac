"""In bed, and neither breathing nor heartbeat nor movement is seen, by a sensor that saw them minutes ago.

May import model and rules. The sensor must still be talking: if it is not, nothing is known, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import MINUTE, NEVER, SECOND, Nanos
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean
from mimamori.rules.latest import Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Absent, Condition, Rule

FACTS = ("seconds", "confirm_seconds", "last_heart_rate", "last_respiration_rate", "own")
MISSED = 6  # values in a row in which it saw nobody: a slow sensor that lost two of them has told nothing
MARGIN, FADES = 1.5, 0.9995  # times the longest own loss; how much of it stays after each later minute in bed


class Home(NamedTuple):
    """The shared columns that are looked at."""

    fresh: NDArray[np.bool_]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    stirred: NDArray[np.int64]
    own: NDArray[np.uint16]


class Kept(NamedTuple):
    """The rule's columns."""

    firing: NDArray[np.bool_]
    watched: NDArray[np.bool_]
    since: NDArray[np.int64]
    missed: NDArray[np.int16]
    gone: NDArray[np.int64]
    longest: NDArray[np.float32]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule: three metrics, spans in ns, its priority; confirm and confirm_at_most are (sets,)."""

    bed: int
    heart: int
    breath: int
    confirm: NDArray[np.int64]
    confirm_at_most: NDArray[np.int64]
    seen_within: int
    sensor_within: int
    priority: int


@lean
def _judge(at: int, home: Home, count: NDArray[np.uint16], kept: Kept, limits: Limits, found: Rows) -> int:
    """The minute that ends at `at`, of all households; how many of them, in `found`, changed verdict or level.

    count: (n,) how often the bed spoke in it.
    """
    verdicts, levels, n = kept.verdict, kept.level, 0
    for h in range(len(found)):
        if not (home.fresh[h] or kept.watched[h] or verdicts[h] != UNKNOWN):
            continue
        signs = _last_sign(h, home, limits)
        told, gone = home.taken[limits.bed, h], 0 if signs == NEVER else at - signs
        talking, in_bed = told != NEVER and at - told <= limits.sensor_within, home.value[limits.bed, h] > 0
        watched = talking and in_bed
        _learn(h, gone, watched, kept, limits, limits.confirm_at_most[home.own[h]])
        own = home.own[h]
        limit = min(max(kept.longest[h] * MARGIN, limits.confirm[own]), limits.confirm_at_most[own])
        missed = (kept.missed[h] if signs == kept.since[h] else 0) + count[h] * min(gone, MINUTE) // MINUTE
        kept.missed[h] = min(missed, 30_000)
        # A sensor that has seen nobody for long has lost them for another reason: it never begins an alert then.
        if watched and gone >= limit and gone <= limits.seen_within and missed >= MISSED:
            kept.firing[h] = True
        if talking and (not in_bed or (signs != NEVER and gone < limit)):
            kept.firing[h] = False
        kept.watched[h], kept.since[h] = watched, signs
        level = limits.priority if kept.firing[h] else 0
        verdict = UNKNOWN if not talking else FIRING if kept.firing[h] else CLEAR
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _last_sign(h: int, home: Home, limits: Limits) -> int:
    """ns: last heartbeat, breath or stirring told; NEVER if none."""
    last: int = max(home.taken[limits.heart, h], home.taken[limits.breath, h], home.stirred[h])
    return last


@inlined
def _learn(h: int, gone: int, watched: bool, kept: Kept, limits: Limits, at_most: int) -> None:
    """Losses of signal that end by themselves are this sensor's own: it is given a little longer than those."""
    before, longest = kept.gone[h], np.float64(kept.longest[h])
    if watched:
        longest = np.float64(np.float32(longest * FADES))
        if gone < before <= limits.seen_within:  # longer: not lost, but not yet seen
            longest = max(min(before, at_most), longest)
        kept.longest[h] = longest
    kept.gone[h] = gone if watched else 0


class AbsentDetector:
    """`kind = "absent"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Absent)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest = shared.columns, shared.latest
        self._bed = shared.metrics.index("in_bed")
        self.metric: int | None = self._bed
        self._heart = shared.metrics.index("heart_rate")
        self._breath = shared.metrics.index("respiration_rate")
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive((condition,))

    def _derive(self, conditions: Sequence[Condition]) -> None:
        spec, each = self._spec, [c for c in conditions if isinstance(c, Absent)]
        self._limits = Limits(
            self._bed, self._heart, self._breath, np.array([c.confirm for c in each], np.int64),
            np.array([c.confirm_at_most for c in each], np.int64), spec.seen_within, spec.sensor_within,
            int(LEVELS[self._rule.priority]),
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("firing", "?", 0, ""),
            Column("watched", "?", 0, "in bed, and the sensor talks"),
            Column("since", "i8", NEVER, "ns, last sign of the body"),
            Column("missed", "i2", 0, "values told since that sign"),
            Column("gone", "i8", 0, "ns without one, at the last minute in bed"),
            Column("longest", "f4", float(2 * MINUTE), "ns, longest loss of signal that ended by itself, faded"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        judge, arrays = self._ready()
        changed = judge(at, *arrays)
        return self._findings(self._columns.room()[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], tuple[Home, NDArray[np.uint16], Kept, Limits, Rows]]:
        """The loop, and all that it is given at each minute."""
        c = self._columns
        home, kept = Home(*c.bundle(Home._fields)), Kept(*c.bundle(Kept._fields, f"{self._rule.name}."))
        arrays = home, self._latest.minute(self.metric)[1], kept, self._limits, c.room()
        return bound(_judge, 0, *arrays), arrays

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=self._c("since")[rows], score=_gone(self._c("since")[rows], at) / MINUTE,
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, own = self._columns, self.own
        least, most = (own.of(name, rows) for name in ("confirm", "confirm_at_most"))
        confirm = np.clip(self._c("longest")[rows].astype(np.float64) * MARGIN, least, most)
        last = [c["value"][metric, rows] for metric in (self._heart, self._breath)]
        return np.column_stack([_gone(self._c("since")[rows], at) / SECOND, confirm / SECOND, *last,
                                own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)


def _gone(since: Nanos, at: int) -> Nanos:
    """(n,) ns since then; 0 where that is NEVER."""
    gone: Nanos = np.where(since == NEVER, 0, at - np.where(since == NEVER, at, since))
    return gone
