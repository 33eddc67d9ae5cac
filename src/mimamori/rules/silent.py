"""A device that says nothing for longer than its own cadence explains. A technical state, never the resident's.

May import model and rules. Writes the shared column `silent`, which tells every other detector whom not to believe.
In a home that is cut off (rules.cause) nothing is known of its sensors: only what was late before stays so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Verdict
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.cause import NOTHING
from mimamori.rules.changes import LEVELS, NOT_DUE, changed, findings_of, leveled
from mimamori.rules.columns import Column
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Rule, Silent

FACTS = ("minutes", "limit_minutes", "period_minutes", "offline")


class SilentDetector:
    """`kind = "silent"`: one row a device."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Silent)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each device."""
        own = [
            Column("due", "i8", NEVER, "ns, when it is late if nothing more is heard"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape, "device") for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge at `at` (ns, whole minute) every device that has spoken, or is late now."""
        c, name = self._columns, self._rule.name
        rows = np.flatnonzero(c["spoke"] | (c[f"{name}.due"] <= at))
        heard = c["heard"][rows]
        known = heard != NEVER
        home = c["device_home"][rows]
        since, limit = np.maximum(heard, c["late_from"][rows]), self._limit(rows)
        quiet = at - np.where(known, since, at)
        cut = c["cause"][home] != NOTHING
        late = known & ((quiet > limit) | (c["offline"][rows] & ~c["gone"][home])) & (c["late"][rows] | ~cut)
        silent = known & (late | cut)
        turned = rows[silent != c["silent"][rows]]
        c["fresh"][c["device_home"][turned]] = True  # others ask whom not to believe
        c["silent"][rows] = silent
        c["late"][rows] = late
        c[f"{name}.due"][rows] = np.where(known & ~silent, since + limit.astype(np.int64), NOT_DUE)
        verdict = np.where(late, np.int8(Verdict.FIRING), np.int8(Verdict.CLEAR))
        verdict[~known | (cut & ~late)] = Verdict.UNKNOWN
        return changed(
            rows, rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]), verdict=verdict.astype(np.int8),
            level=leveled(late, LEVELS[self._rule.priority]), since=heard, score=quiet / MINUTE,
            facts=lambda rows: self._facts(rows, at), home=c["device_home"], at=at,
        )  # fmt: skip

    def _limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """(d,) ns: some of its own longest recent pauses, within bounds."""
        return np.clip(self._columns["period"][rows] * self._spec.periods, self._spec.at_least, self._spec.at_most)

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c = self._columns
        heard = c["heard"][rows]
        minutes = np.where(heard == NEVER, 0, at - np.where(heard == NEVER, at, heard)) / MINUTE
        return np.column_stack([minutes, self._limit(rows) / MINUTE, c["period"][rows] / MINUTE, c["offline"][rows]])

    def current(self, at: int) -> FindingBatch:
        """Every device's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"], since=c["heard"],
            score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at), home=c["device_home"], at=at,
        )  # fmt: skip
