"""Many homes that fall silent together: a power cut in a district, or nothing from anybody, which is our own side.

May import model and rules. One cause is told once, with the homes it has hit; what each home, and each sensor, would
have said of itself waits. As long as anybody is heard the broker and the line to it work; when nobody is, and no will
of a gateway came either, nothing can be said of any home.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, Verdict, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.cause import ALL, KEEPS_TIME, MANY, NOTHING, cut, keeps_time, rejoin, silence
from mimamori.rules.changes import FIRING, LEVELS, UNKNOWN, changed, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import bound, lean
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Outage, Rule

FACTS = ("households", "known", "minutes")
FEW_WILLS = 0.05  # share of the silent homes: with more, somebody delivered the wills, so the broker lives
MANY_WILLS = 0.2  # share of a district's silent homes that proves the same when nobody else is heard


class Home(NamedTuple):
    """The shared columns that are looked at, (n,) each."""

    spoken: NDArray[np.int64]
    beaten: NDArray[np.uint8]
    cause: NDArray[np.int8]


@lean
def _stirs(at: int, c: Home, verdict: NDArray[np.int8], quiet_for: int) -> bool:
    """Whether anything could change: somebody is hit, or new here, or silent for so long and nobody knows why."""
    before = at - quiet_for
    for h in range(len(verdict)):
        if verdict[h] == FIRING or (
            c.beaten[h] >= KEEPS_TIME and (verdict[h] == UNKNOWN or (c.spoken[h] < before and c.cause[h] == NOTHING))
        ):
            return True
    return False


class OutageDetector:
    """`kind = "outage"`: one row a household, told as one alert for all that it hits."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Outage)
        self._rule, self._index, self._spec, self._columns = rule, index, condition, shared.columns
        self._ready = Once(shared.columns, self._prepare)
        self.of_all = condition.of == "everybody"
        self._cause = ALL if self.of_all else MANY

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [Column("verdict", "i1", 3, "Verdict"), Column("level", "i1", 0, "Level")]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge at `at` (ns, whole minute) who fell silent together, and who is heard again."""
        stirs, home, verdict = self._ready()
        if not stirs(at, home, verdict, self._spec.quiet_for):
            return no_findings()
        c = self._columns
        keeps = keeps_time(c)
        hit = verdict == Verdict.FIRING
        back = self._back(hit, at) if hit.any() else np.zeros(0, np.intp)
        hit[back] = False
        rejoin(c, back[c["cause"][back] == self._cause], at)
        missing = self._missing(keeps, at)
        begin = self._everybody if self._cause == ALL else self._together
        new = begin(missing, keeps, hit, at) if len(missing) else missing
        cut(c, new, self._cause)
        hit[new] = True
        rows = np.flatnonzero((keeps & (verdict == Verdict.UNKNOWN)) | (hit != (verdict == Verdict.FIRING)))
        if not len(rows):
            return no_findings()
        told = np.where(hit[rows], np.int8(Verdict.FIRING), np.int8(Verdict.CLEAR))
        told[~hit[rows] & ~keeps[rows]] = Verdict.UNKNOWN
        level = np.where(hit[rows], np.int8(LEVELS[self._rule.priority]), np.int8(Level.NONE))
        return changed(
            rows, rule=self._index, old=(verdict, c[f"{self._rule.name}.level"]), verdict=told.astype(np.int8),
            level=level.astype(np.int8), since=c["spoken"][rows], score=silence(c, rows, at) / MINUTE,
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _prepare(self) -> tuple[Callable[..., bool], Home, NDArray[np.int8]]:
        """The loop, and what it is given at each minute."""
        home = Home(*(self._columns[field] for field in Home._fields))
        verdict = self._columns[f"{self._rule.name}.verdict"]
        return bound(_stirs, 0, home, verdict, self._spec.quiet_for), home, verdict

    def _back(self, hit: NDArray[np.bool_], at: int) -> NDArray[np.intp]:
        """Rows that are hit no longer: whoever is heard; where everybody was silent, all, once anybody is."""
        heard = self._columns["spoken"] > at - MINUTE
        if self._cause == ALL:
            return np.flatnonzero(hit) if heard.any() else np.zeros(0, np.intp)
        return np.flatnonzero(hit & heard)

    def _missing(self, keeps: NDArray[np.bool_], at: int) -> NDArray[np.intp]:
        """Rows that fell silent lately, for longer than their own pauses explain, and nobody knows why."""
        c, spec = self._columns, self._spec
        rows = np.flatnonzero(keeps & (c["spoken"] < at - spec.quiet_for) & (c["cause"] == NOTHING))
        quiet = silence(c, rows, at)
        limit = np.maximum(c["pause"][rows] * spec.periods, spec.quiet_for)
        return rows[(quiet > limit) & (quiet <= limit + spec.within)]

    def _everybody(
        self, missing: NDArray[np.intp], keeps: NDArray[np.bool_], hit: NDArray[np.bool_], at: int
    ) -> NDArray[np.intp]:
        """All rows ever heard, if nearly all are missing, nobody is heard, and no wills tell that the broker lives."""
        c, spec = self._columns, self._spec
        known = int((keeps & (c["cause"] == NOTHING)).sum())
        silent = bool((c["spoken"] <= at - spec.quiet_for).all())
        wills = int(c["gone"][missing].sum())
        if not (silent and len(missing) >= max(spec.households, spec.share * known) and not hit.any()):
            return np.zeros(0, np.intp)
        if wills > FEW_WILLS * len(missing):
            return np.zeros(0, np.intp)
        return np.flatnonzero((c["spoken"] != NEVER) & (c["cause"] == NOTHING))

    def _together(
        self, missing: NDArray[np.intp], keeps: NDArray[np.bool_], hit: NDArray[np.bool_], at: int
    ) -> NDArray[np.intp]:
        """The missing rows of districts in which many are missing, or were before; homes without one make one."""
        c, spec = self._columns, self._spec
        group = c["district"] + 1
        groups = int(group.max()) + 1
        known = np.bincount(group[keeps & (c["cause"] != ALL)], minlength=groups)
        lost, wills = (np.bincount(group[rows], minlength=groups) for rows in (missing, missing[c["gone"][missing]]))
        share = np.full(groups, spec.share)
        share[0] = spec.share_of_all
        lives = bool((c["spoken"] > at - spec.quiet_for).any()) | (wills >= np.maximum(MANY_WILLS * lost, 1))
        begins = (lost >= spec.households) & (lost >= share * known) & lives
        begun = np.bincount(group[hit], minlength=groups) > 0
        hit_now: NDArray[np.intp] = missing[(begins | begun)[group[missing]]]
        return hit_now

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c = self._columns
        group = np.zeros(len(c["cause"]), np.int64) if self._cause == ALL else c["district"].astype(np.int64) + 1
        hit = np.bincount(group[c[f"{self._rule.name}.verdict"] == Verdict.FIRING], minlength=int(group.max()) + 1)
        known = np.bincount(group[keeps_time(c)], minlength=len(hit))
        spoken = c["spoken"][rows]
        minutes = np.where(spoken == NEVER, 0, at - np.where(spoken == NEVER, at, spoken)) / MINUTE
        told = c[f"{self._rule.name}.verdict"][rows] == Verdict.FIRING  # of the others, others' silence says nothing
        counts = [np.where(told, n[group[rows]], 0) for n in (hit, np.maximum(known, hit))]
        return np.column_stack([*counts, minutes])

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"], since=c["spoken"],
            score=np.zeros(len(verdict)), facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip
