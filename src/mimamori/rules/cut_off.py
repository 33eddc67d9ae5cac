"""A whole home that says nothing: its gateway, its line or its power. One technical state instead of one a sensor.

May import model and rules. A home is judged once its devices have sent heartbeats enough to keep time by; before that,
and where its own pauses are longer than the rule allows, its silence may be its resident's and tells nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.cause import ITSELF, KEEPS_TIME, cut, rejoin, silence
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, NOT_DUE, PENDING, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean
from mimamori.rules.latest import Shared
from mimamori.rules.spec import CutOff, Rule

FACTS = ("minutes", "limit_minutes", "pause_minutes", "offline")


MEDIUM = int(Level.MEDIUM)


class Home(NamedTuple):
    """The shared columns that are looked at, whole."""

    fresh: NDArray[np.bool_]
    spoken: NDArray[np.int64]
    pause: NDArray[np.int64]
    beaten: NDArray[np.uint8]
    gone: NDArray[np.bool_]
    cause: NDArray[np.int8]
    counts_from: NDArray[np.int64]


class Kept(NamedTuple):
    """The rule's columns, whole."""

    due: NDArray[np.int64]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule, spans in ns."""

    periods: float
    at_least: float
    at_most: float
    offline_for: float
    held_for: float
    medium_after: float
    priority: int


class Turned(NamedTuple):
    """Rows whose verdict or level changed, and of those that are cut off now or heard again; ns of silence, by row."""

    found: Rows
    cut: Rows
    back: Rows
    quiet: NDArray[np.int64]


@lean
def _judge(at: int, c: Home, kept: Kept, limits: Limits, turned: Turned) -> tuple[int, int, int]:
    """The minute that ends at `at`, of all households; how many are in `found`, `cut` and `back`."""
    verdicts, levels, quiet, n, cuts, backs = kept.verdict, kept.level, turned.quiet, 0, 0, 0
    for h in range(len(turned.found)):
        if not c.fresh[h] and kept.due[h] > at:
            continue
        limit = max(c.pause[h] * limits.periods, limits.at_least)
        known = c.spoken[h] != NEVER and c.beaten[h] >= KEEPS_TIME and c.pause[h] * limits.periods <= limits.at_most
        quiet[h] = at - max(c.spoken[h], c.counts_from[h]) if c.spoken[h] != NEVER else 0
        alone = known and (quiet[h] > limit or (c.gone[h] and quiet[h] >= limits.offline_for))
        was, others = verdicts[h] == FIRING, c.cause[h] > ITSELF
        firing = alone and (was or not others or quiet[h] >= limits.held_for)
        if firing and not was:
            turned.cut[cuts] = h
            cuts += 1
        if was and not firing:
            turned.back[backs] = h
            backs += 1
        kept.due[h] = _due(h, at, was and not firing, known, firing, alone, limit, c, kept, limits)
        level = 0
        if firing:
            level = max(MEDIUM, limits.priority) if quiet[h] >= limits.medium_after else limits.priority
        # Pending: a larger cause is being told.
        verdict = FIRING if firing else UNKNOWN if not known else PENDING if alone else CLEAR
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], turned.found[n] = verdict, level, h
            n += 1
    return n, cuts, backs


@inlined
def _due(
    h: int, at: int, back: bool, known: bool, firing: bool, alone: bool, limit: float, c: Home, kept: Kept,
    limits: Limits,
) -> int:  # fmt: skip
    """ns: when the next change comes by silence alone."""
    wait = limits.held_for if alone else limit
    if c.gone[h] and not alone:
        wait = min(limit, limits.offline_for)
    if firing:
        wait = limits.medium_after
    began = at if back else max(c.spoken[h], c.counts_from[h])
    due: int = NOT_DUE
    if known and not (firing and kept.level[h] >= MEDIUM):
        due = began + int(wait)
    return due


class CutOffDetector:
    """`kind = "cut-off"`: one row a household."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, CutOff)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns
        self._ready = Once(shared.columns, self._prepare)
        self._limits = Limits(
            float(condition.periods), float(condition.at_least), float(condition.at_most), float(condition.offline_for),
            float(condition.held_for), float(condition.medium_after), int(LEVELS[rule.priority]),
        )  # fmt: skip

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("due", "i8", NOT_DUE, "ns, when something changes if nothing more is heard"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge at `at` (ns, whole minute) every household that was heard, or whose time has come."""
        judge, arrays = self._ready()
        changed, cuts, backs = judge(at, *arrays)
        turned = arrays[-1]
        cut(self._columns, turned.cut[:cuts], ITSELF)
        rejoin(self._columns, turned.back[:backs], at)
        found = turned.found[:changed]
        return self._findings(found, turned.quiet[found], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., tuple[int, int, int]], tuple[Home, Kept, Limits, Turned]]:
        """The loop, and all that it is given at each minute."""
        c, rows = self._columns, self._columns.rows["home"]
        home, kept = Home(*c.bundle(Home._fields)), Kept(*c.bundle(Kept._fields, f"{self._rule.name}."))
        turned = Turned(c.room(), np.empty(rows, np.intp), np.empty(rows, np.intp), np.empty(rows, np.int64))
        arrays = home, kept, self._limits, turned
        return bound(_judge, 0, *arrays), arrays

    def _findings(self, rows: NDArray[np.intp], quiet: NDArray[np.int64], at: int) -> FindingBatch:
        c, name = self._columns, self._rule.name
        return findings_of(
            rows, rule=self._index, verdict=c[f"{name}.verdict"][rows], level=c[f"{name}.level"][rows],
            since=c["spoken"][rows], score=quiet / MINUTE, facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(r,) ns: some of its own longest recent pauses, and not too short."""
        limit: NDArray[np.float64] = np.maximum(self._columns["pause"][rows] * self._spec.periods, self._spec.at_least)
        return limit

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c = self._columns
        spoken = c["spoken"][rows]
        minutes = np.where(spoken == NEVER, 0, at - np.where(spoken == NEVER, at, spoken)) / MINUTE
        return np.column_stack([minutes, self._limit(rows) / MINUTE, c["pause"][rows] / MINUTE, c["gone"][rows]])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        rows = np.arange(self._columns.rows["home"])
        return self._findings(rows, silence(self._columns, rows, at), at)
