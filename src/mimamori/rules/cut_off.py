"""A whole home that says nothing: its gateway, its line or its power. One technical state instead of one a sensor.

May import model and rules. A home is judged once its devices have sent heartbeats enough to keep time by; before that,
and where its own pauses are longer than the rule allows, its silence may be its resident's and tells nothing here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, Verdict, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.cause import ITSELF, cut, keeps_time, rejoin, silence
from mimamori.rules.changes import LEVELS, NOT_DUE, changed, findings_of
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import CutOff, Rule

FACTS = ("minutes", "limit_minutes", "pause_minutes", "offline")


class CutOffDetector:
    """`kind = "cut-off"`: one row a household."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, CutOff)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns

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
        c, name, spec = self._columns, self._rule.name, self._spec
        rows = np.flatnonzero(c["fresh"] | (c[f"{name}.due"] <= at))
        if not len(rows):
            return no_findings()
        spoken, pause, gone = c["spoken"][rows], c["pause"][rows], c["gone"][rows]
        known = (spoken != NEVER) & keeps_time(c, rows) & (pause * spec.periods <= spec.at_most)
        quiet, limit = silence(c, rows, at), self._limit(rows)
        alone = known & ((quiet > limit) | (gone & (quiet >= spec.offline_for)))
        was, others = c[f"{name}.verdict"][rows] == Verdict.FIRING, c["cause"][rows] > ITSELF
        firing = alone & (was | ~others | (quiet >= spec.held_for))
        back = was & ~firing
        cut(c, rows[firing & ~was], ITSELF)
        rejoin(c, rows[back], at)
        verdict = np.where(firing, np.int8(Verdict.FIRING), np.int8(Verdict.CLEAR))
        verdict[alone & ~firing] = Verdict.PENDING  # a larger cause is being told
        verdict[~known & ~firing] = Verdict.UNKNOWN
        level = np.where(firing, np.int8(LEVELS[self._rule.priority]), np.int8(Level.NONE))
        level[firing & (quiet >= spec.medium_after)] = max(Level.MEDIUM, LEVELS[self._rule.priority])
        c[f"{name}.due"][rows] = self._due(rows, known, firing, alone, limit)
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]), verdict=verdict.astype(np.int8),
            level=level.astype(np.int8), since=spoken, score=quiet / MINUTE, facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip

    def _due(
        self, rows: NDArray[np.intp], known: NDArray[np.bool_], firing: NDArray[np.bool_], alone: NDArray[np.bool_],
        limit: NDArray[np.float64],
    ) -> NDArray[np.int64]:  # fmt: skip
        """(r,) ns: when the next change comes by silence alone."""
        c, spec = self._columns, self._spec
        wait = np.where(c["gone"][rows], np.minimum(limit, spec.offline_for), limit)
        wait = np.where(firing, spec.medium_after, np.where(alone, spec.held_for, wait)).astype(np.int64)
        began = np.maximum(c["spoken"][rows], c["counts_from"][rows])
        over = firing & (c[f"{self._rule.name}.level"][rows] >= Level.MEDIUM)
        return np.where(known & ~over, began + wait, NOT_DUE)

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
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"], since=c["spoken"],
            score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
