"""No sign of life: evidence summed against this household's own habit, and the hard caps behind it.

May import model and rules. Every five minutes each quiet household gains -log(1 - hazard) nats, split among its kinds
of sensor; a sure sign of life takes the sum back to zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.rules.changes import LEVELS, changed, findings_of, judged, leveled
from mimamori.rules.columns import Column
from mimamori.rules.habit import Habit, habit_columns, slot_of
from mimamori.rules.latest import DOOR, POWER, Shared
from mimamori.rules.spec import SIGNS, Evidence, Rule

CELL = 5 * MINUTE
FACTS = ("evidence", "threshold", "expected", *SIGNS, "quiet_hours", "out", "limit_hours")
NIGHT = (2 * HOUR, 5 * HOUR)
WATCH_FROM = 0.6  # of the threshold: PENDING
OUT_MARGIN, OUT_FADES = 1.5, 0.98  # own longest outing times, and how much of it stays with each later outing


class EvidenceDetector:
    """`kind = "evidence"`."""

    every = CELL
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Evidence)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest, self._zone = shared.columns, shared.latest, shared.zone
        self._uses = np.array([s in condition.signs for s in SIGNS])[:, None]
        self._habit = Habit(
            shared.columns,
            rule.name,
            false_alarm_every=condition.one_false_alarm_in,
            forget_after=condition.forget_after,
        )

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("nats", "f8", 0, "nats by kind of sign", (len(SIGNS),)),
            Column("expected", "f8", 0, "cells with a sign, if as usual"),
            Column("run", "i4", 0, "quiet cells"),
            Column("was_out", "?", 0, "out at the last cell"),
            Column("left_at", "i8", NEVER, "ns"),
            Column("longest_out", "i8", 0, "ns, faded"),
            Column("firing", "?", 0, ""),
            Column("since", "i8", NEVER, "ns, last sign of life"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        named = [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]
        return named + habit_columns(rule.name)

    def _c(self, name: str) -> NDArray[np.float64]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Close the cell that ends at `at` (ns, multiple of 5 min) and tell what changed."""
        c, local = self._columns, self._zone.local(at - 1)
        slot = slot_of(local)
        if slot_of(local - CELL) != slot:
            self._habit.fade(slot=slot)
        has = c["has"] & self._uses
        working = self._working(has)
        signs = c["signs"] & self._uses
        signs[POWER] |= self._power(local) & has[POWER]
        known = np.maximum.reduce(working) > 0
        self._begin(known & (self._columns[f"{self._rule.name}.first_seen"] == NEVER), at)
        sign = signs.any(0)
        home = known & ~c["out"] & ~self._columns[f"{self._rule.name}.was_out"]
        run = self._columns[f"{self._rule.name}.run"]
        hazard, base = self._habit.hazards(slot=slot, run=run, has=has)
        firing = self._columns[f"{self._rule.name}.firing"]
        self._habit.learn(slot=slot, run=run, base=base, signs=signs, rows=home & ~firing)
        self._add(hazard * working, home & ~sign & (run >= 1), slot)
        ended = np.flatnonzero(sign & (run >= 1))
        self._habit.record_peaks(ended, self._c("nats").sum(0)[ended], at)
        run[home & ~sign] += 1
        self._settle(sign | c["out"], signs[DOOR], at)
        self._latest.begin_evidence_cell()
        return self._tell(known, at)

    def _working(self, has: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(k, n) share of each kind's devices that are not silent: a silent sensor contributes nothing."""
        c, n = self._columns, has.shape[1]
        share = np.zeros(has.shape)
        for k in np.flatnonzero(has.any(1)):
            mine = c["channel"] == k
            home = c["device_home"][mine]
            everyone = np.bincount(home, minlength=n)
            speaking = np.bincount(home, weights=~c["silent"][mine], minlength=n)
            share[k] = np.divide(speaking, everyone, out=np.zeros(n), where=everyone > 0)
        return share

    def _power(self, local: int) -> NDArray[np.bool_]:
        c = self._columns
        told = np.flatnonzero(c["watts_n"] > 0)
        n = len(c["out"])
        if not len(told):
            watts = np.full(n, np.nan)
        else:
            home = c["device_home"][told]
            watts = np.bincount(home, c["watts_sum"][told] / c["watts_n"][told], minlength=n)
            watts[np.bincount(home, minlength=n) == 0] = np.nan
        part = local % (24 * HOUR)
        if NIGHT[0] <= part < NIGHT[1]:
            self._habit.add_night(watts, ~np.isnan(watts))
        elif NIGHT[1] <= part < NIGHT[1] + CELL:
            self._habit.end_night()
        return self._habit.lively(watts)

    def _begin(self, new: NDArray[np.bool_], at: int) -> None:
        rows = np.flatnonzero(new)
        self._columns[f"{self._rule.name}.first_seen"][rows] = at
        self._columns[f"{self._rule.name}.since"][rows] = at
        self._columns[f"{self._rule.name}.peak_at"][rows] = at
        self._habit.set_thresholds(rows, at)

    def _add(self, hazard: NDArray[np.float64], rows: NDArray[np.bool_], slot: int) -> None:
        total = hazard.sum(0)
        share = np.divide(hazard, total, out=np.zeros_like(hazard), where=total > 0)
        self._c("nats")[:, rows] += (share * -np.log1p(-total))[:, rows]
        self._c("expected")[rows] += self._c("active")[slot, rows]

    def _settle(self, alive: NDArray[np.bool_], door: NDArray[np.bool_], at: int) -> None:
        """A sign of life, or being out, takes the sum back to zero; an outing that ends is remembered."""
        c, name = self._columns, self._rule.name
        self._c("nats")[:, alive] = 0
        self._c("expected")[alive] = 0
        c[f"{name}.run"][alive] = 0
        c[f"{name}.firing"][alive & (~c["out"] | door)] = False
        c[f"{name}.since"][alive] = np.maximum(c[f"{name}.since"][alive], np.minimum(c["last_sign"][alive], at))
        seen_by_power = alive & ~c["out"] & (c["last_sign"] <= at - CELL)
        c[f"{name}.since"][seen_by_power] = at
        was, out, longest = c[f"{name}.was_out"], c["out"], c[f"{name}.longest_out"]
        left = c[f"{name}.left_at"]
        back = was & ~out
        spent = c["last_sign"][back] - left[back]
        longest[back] = np.maximum(spent, (longest[back] * OUT_FADES).astype(np.int64))
        left[out & ~was] = c["last_door"][out & ~was]
        was[:] = out

    def _out_limit(self) -> NDArray[np.float64]:
        own = self._c("longest_out") * OUT_MARGIN
        return np.clip(own, self._spec.out_at_least, self._spec.out_at_most)

    def _tell(self, known: NDArray[np.bool_], at: int) -> FindingBatch:
        c, name, total = self._columns, self._rule.name, self._c("nats").sum(0)
        out, firing = c["out"], c[f"{name}.firing"]
        quiet = at - c[f"{name}.since"]
        seen = c[f"{name}.first_seen"] != NEVER
        firing |= seen & known & ~out & ((total >= self._c("threshold")) | (quiet >= self._spec.at_most))
        firing |= seen & known & out & (at - c["last_door"] >= self._out_limit())
        verdict = judged(firing=firing, pending=total >= WATCH_FROM * self._c("threshold"), known=known & seen)
        level = leveled(firing, LEVELS[self._rule.priority])
        return changed(
            rule=self._index, old=(c[f"{name}.verdict"], c[f"{name}.level"]), verdict=verdict, level=level,
            since=c[f"{name}.since"], score=total, facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        nats = self._c("nats")[:, rows]
        out = c["out"][rows]
        limit = np.where(out, self._out_limit()[rows], self._spec.at_most) / HOUR
        hours = (at - c[f"{name}.since"][rows]) / HOUR
        return np.column_stack([nats.sum(0), self._c("threshold")[rows], self._c("expected")[rows], nats.T,
                                hours, out, limit])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.since"], score=self._c("nats").sum(0), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip
