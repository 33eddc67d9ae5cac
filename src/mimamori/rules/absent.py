"""In bed, and neither breathing nor heartbeat nor movement is seen, by a sensor that saw them minutes ago.

May import model and rules. The sensor must still be talking: if it is not, nothing is known, and that is said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Verdict
from mimamori.model.times import MINUTE, NEVER, Nanos
from mimamori.rules.changes import LEVELS, changed, findings_of, judged, leveled
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Absent, Rule

FACTS = ("seconds", "confirm_seconds", "last_heart_rate", "last_respiration_rate")
MISSED = 6  # values in a row in which it saw nobody: a slow sensor that lost two of them has told nothing
MARGIN, FADES = 1.5, 0.9995  # times the longest own loss; how much of it stays after each later minute in bed


class AbsentDetector:
    """`kind = "absent"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Absent)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest = shared.columns, shared.latest
        self.metric: int | None = shared.metrics.index("in_bed")
        self._heart = shared.metrics.index("heart_rate")
        self._breath = shared.metrics.index("respiration_rate")

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("firing", "?", 0, ""),
            Column("watched", "?", 0, "in bed, and the sensor talks"),
            Column("since", "i8", NEVER, "ns, last sign of the body"),
            Column("missed", "i2", 0, "values told since the minute of that sign"),
            Column("gone", "i8", 0, "ns without one, at the last minute in bed"),
            Column("longest", "f4", float(2 * MINUTE), "ns, longest loss of signal that ended by itself, faded"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        c, name = self._columns, self._rule.name
        rows = np.flatnonzero(c["fresh"] | c[f"{name}.watched"] | (c[f"{name}.verdict"] != Verdict.UNKNOWN))
        signs = self._last_signs(rows)
        told = c["taken"][self.metric][rows]
        talking = (told != NEVER) & (at - np.where(told == NEVER, at, told) <= self._spec.sensor_within)
        in_bed = c["value"][self.metric][rows] > 0
        gone = np.where(signs == NEVER, 0, at - np.where(signs == NEVER, at, signs))
        self._learn(rows, gone, talking & in_bed)
        limit = self._limit(rows)
        missed = np.where(signs == c[f"{name}.since"][rows], c[f"{name}.missed"][rows], 0)
        missed += np.where(gone < MINUTE, 0, self._latest.minute(self.metric)[1][rows])
        c[f"{name}.missed"][rows] = np.minimum(missed, 30_000)
        # A sensor that has seen nobody for long has lost them for another reason: it never begins an alert then.
        begins = talking & in_bed & (gone >= limit) & (gone <= self._spec.seen_within) & (missed >= MISSED)
        ends = talking & (~in_bed | ((signs != NEVER) & (gone < limit)))
        firing = (c[f"{name}.firing"][rows] | begins) & ~ends
        c[f"{name}.firing"][rows] = firing
        c[f"{name}.watched"][rows] = talking & in_bed
        c[f"{name}.since"][rows] = signs
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]),
            verdict=judged(firing=firing, pending=np.zeros(len(firing), bool), known=talking),
            level=leveled(firing, LEVELS[self._rule.priority]), since=signs, score=gone / MINUTE,
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _learn(self, rows: NDArray[np.intp], gone: Nanos, watched: NDArray[np.bool_]) -> None:
        """Losses of signal that end by themselves are this sensor's own: it is given a little longer than those."""
        c, name = self._columns, self._rule.name
        before, longest = c[f"{name}.gone"][rows], c[f"{name}.longest"]
        longest[rows[watched]] *= FADES
        back = watched & (gone < before) & (before <= self._spec.seen_within)  # longer: not lost, but not yet seen
        ended = rows[back]
        longest[ended] = np.maximum(np.minimum(before[back], self._spec.confirm_at_most), longest[ended])
        c[f"{name}.gone"][rows] = np.where(watched, gone, 0)

    def _limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(n,) ns."""
        limit: NDArray[np.float64] = np.clip(
            self._columns[f"{self._rule.name}.longest"][rows] * MARGIN, self._spec.confirm, self._spec.confirm_at_most
        )
        return limit

    def _last_signs(self, rows: NDArray[np.intp]) -> Nanos:
        """(n,) ns: last heartbeat, breath or stirring told; NEVER if none."""
        c = self._columns
        taken = c["taken"]
        last: Nanos = np.maximum(np.maximum(taken[self._heart][rows], taken[self._breath][rows]), c["stirred"][rows])
        return last

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, signs = self._columns, self._last_signs(rows)
        seconds = np.where(signs == NEVER, 0, at - np.where(signs == NEVER, at, signs)) / MINUTE * 60
        confirm = self._limit(rows) / MINUTE * 60
        return np.column_stack([seconds, confirm, c["value"][self._heart, rows], c["value"][self._breath, rows]])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.since"], score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip
