"""Signs of life in a home whose resident is declared away: came home early, or somebody else is there. Asked once.

May import model and rules. The first hours of an absence do not count, since many leave later than they said; about
its end a sign is the return (rules.absences).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.rules.absences import AWAY, concerned
from mimamori.rules.cell import CELL
from mimamori.rules.changes import LEVELS, changed, findings_of, judged, leveled
from mimamori.rules.columns import Column
from mimamori.rules.latest import BED, POWER, Shared
from mimamori.rules.spec import Rule, Unexpected

FACTS = ("minutes", "least_minutes", "window_minutes", "kinds", "hours_left")


class UnexpectedDetector:
    """`kind = "unexpected"`."""

    every = CELL
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Unexpected)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns
        self._least, self._window = condition.least // CELL, condition.window // CELL

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("cells", "u2", 0, "a bit for each five minutes, newest lowest: with a sign of life"),
            Column("kinds", "u1", 0, "bits: kinds of sensor that gave one"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the five minutes that end at `at` (ns)."""
        c, name, rows = self._columns, self._rule.name, self._columns.room()
        rows = rows[: concerned(AWAY, c["absence"], c[f"{name}.verdict"], rows)]
        if not len(rows):
            return no_findings()
        away = (c["absence"][rows] == AWAY) & (at - c["absent_from"][rows] >= self._spec.leaves_within)
        cells, kinds = c[f"{name}.cells"], c[f"{name}.kinds"]
        seen = (c["signs"][:, rows] & away).T
        word = (cells[rows].astype(np.int64) << 1 | seen.any(1)) & ((1 << self._window) - 1)
        word[~away] = 0
        of = np.packbits(seen, axis=1, bitorder="little")[:, 0]
        of = np.where(word == 0, 0, kinds[rows] | of).astype(np.uint8)
        cells[rows], kinds[rows] = word, of
        firing = away & ((c[f"{name}.level"][rows] > 0) | ((np.bitwise_count(word) >= self._least) & self._sure(rows)))
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=firing, pending=word > 0, known=c["spoken"][rows] != NEVER),
            level=leveled(firing, LEVELS[self._rule.priority]), since=self._since(rows, at),
            score=np.bitwise_count(word) * (CELL / MINUTE), facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _sure(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(r,) the bed told it, or two kinds of sensor did; one, where the home has no other."""
        kinds, has = self._columns[f"{self._rule.name}.kinds"][rows], self._columns["has"][:, rows].copy()
        has[POWER] = False
        several = np.bitwise_count(kinds) >= np.minimum(2, has.sum(0))
        sure: NDArray[np.bool_] = (kinds >> BED & 1 > 0) | several
        return sure

    def _since(self, rows: NDArray[np.intp], at: int) -> NDArray[np.int64]:
        """(r,) ns: the beginning of the oldest five minutes that count; NEVER if none."""
        cells = self._columns[f"{self._rule.name}.cells"][rows]
        highest = np.frexp(cells.astype(np.float64))[1].astype(np.int64)
        return np.where(cells == 0, NEVER, at - highest * CELL)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        until = c["absent_until"][rows]
        left = np.where(until == NEVER, 0, np.maximum(np.maximum(until, 0) - at, 0)) / HOUR
        minutes = np.bitwise_count(c[f"{name}.cells"][rows]) * (CELL / MINUTE)
        fixed = [np.full(len(rows), n * CELL / MINUTE) for n in (self._least, self._window)]
        return np.column_stack([minutes, *fixed, np.bitwise_count(c[f"{name}.kinds"][rows]), left])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        rows = np.arange(c.rows["home"])
        return findings_of(
            rows, rule=self._index, verdict=c[f"{name}.verdict"].copy(), level=c[f"{name}.level"].copy(),
            since=self._since(rows, at), score=np.bitwise_count(c[f"{name}.cells"]) * (CELL / MINUTE),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
