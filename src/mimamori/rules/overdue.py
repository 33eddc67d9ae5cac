"""A declared absence is over, and nobody has been seen to come home.

May import model and rules. Says nothing of those who are away as declared: rules.absences tells who is awaited.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER
from mimamori.rules.absences import AWAITED, concerned
from mimamori.rules.changes import LEVELS, changed, findings_of, judged
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Overdue, Rule

FACTS = ("hours_late", "limit_hours", "days_away")


class OverdueDetector:
    """`kind = "overdue"`."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Overdue)
        self._rule, self._index, self._columns = rule, index, shared.columns
        self._after = sorted((span, int(LEVELS[priority])) for priority, span in condition.after.items())

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        return [Column(f"{rule.name}.verdict", "i1", 3, "Verdict"), Column(f"{rule.name}.level", "i1", 0, "Level")]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name, rows = self._columns, self._rule.name, self._columns.room()
        rows = rows[: concerned(AWAITED, c["absence"], c[f"{name}.verdict"], rows)]
        if not len(rows):
            return no_findings()
        awaited = c["absence"][rows] == AWAITED
        late, level = self._late(rows, at), np.zeros(len(rows), np.int8)
        for after, reached in self._after:
            level[awaited & (late >= after)] = reached
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=level > 0, pending=awaited, known=c["spoken"][rows] != NEVER), level=level,
            since=c["absent_until"][rows], score=late / HOUR, facts=lambda rows: self._facts(rows, at), home=None,
            at=at,
        )  # fmt: skip

    def _late(self, rows: NDArray[np.intp], at: int) -> NDArray[np.int64]:
        """(r,) ns since the declared end; 0 before it, and of those who were never away."""
        until = self._columns["absent_until"][rows]
        return np.where(until == NEVER, 0, np.maximum(at - np.maximum(until, 0), 0))

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        begin, end = self._columns["absent_from"][rows], self._columns["absent_until"][rows]
        limit = np.full(len(rows), self._after[0][0] / HOUR)
        return np.column_stack([self._late(rows, at) / HOUR, limit, (end - begin) / DAY])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        rows = np.arange(c.rows["home"])
        return findings_of(
            rows, rule=self._index, verdict=c[f"{name}.verdict"].copy(), level=c[f"{name}.level"].copy(),
            since=c["absent_until"].copy(), score=self._late(rows, at) / HOUR,
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
