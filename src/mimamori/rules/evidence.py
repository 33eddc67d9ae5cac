"""No sign of life: evidence summed against this household's own habit, and the hard caps behind it.

May import model and rules. Every five minutes each quiet household gains -log(1 - hazard) nats, split among its kinds
of sensor, unless the bed tells that somebody lies in it and breathes; every half hour the level of its power adds its
own log-likelihood ratio, which may be negative; the sum never falls below zero, and a sure sign of life takes it there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, concat_findings, no_findings
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.rules.cell import CELL, Cell, Devices, Everything, Home, Kept, Limits, Room
from mimamori.rules.changes import LEVELS, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.habit import SLOTS, Habits, Worked, begin_slot, fade, habit_columns, nothing_worked, slot_of
from mimamori.rules.kernel import bound
from mimamori.rules.later import Later
from mimamori.rules.latest import BED, MOTION, POWER, Shared
from mimamori.rules.level import (
    ALARM_RAISES,
    BINS,
    LEVEL_CELL,
    NIGHT_BEGINS,
    NIGHT_SLOTS,
    Levels,
    forget,
    learn_quiet,
    level_columns,
)  # fmt: skip
from mimamori.rules.own import Own
from mimamori.rules.quiet import CALLS_FROM, OUT_MARGIN, PARTS, close, sensors
from mimamori.rules.spec import SIGNS, Condition, Evidence, Rule

FACTS = ("evidence", "threshold", "expected", *SIGNS, "quiet_hours", "out", "limit_hours", "own")

OWN = ("at_most", "out_at_least", "out_at_most")  # spans that may be a household's own, beside one_false_alarm_in
QUIET_TICKS, FORGET_TICKS = 220, 900  # of a second: quiet nights are needed in five minutes, the rest in half an hour


class EvidenceDetector:
    """`kind = "evidence"`."""

    every = CELL
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Evidence)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self._uses = np.array([s in condition.signs for s in SIGNS])[:, None]
        self._keep = float(np.exp(-DAY / condition.forget_after))
        self._metrics = [shared.metrics.index(name) for name in ("in_bed", "heart_rate", "respiration_rate")]
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive((condition,))
        # Worked out from the columns, not state.
        self._version, self._slot, self._worked = -1, -1, nothing_worked(0)
        self._quiet, self._forgets = Later(QUIET_TICKS), Later(FORGET_TICKS)
        self.later: tuple[Later, ...] = (self._quiet, self._forgets)
        parts = [partial(self._close, part) for part in range(PARTS)]
        self.turns: tuple[Callable[[int], FindingBatch], ...] = (self._begin, *parts)

    def _derive(self, conditions: Sequence[Condition]) -> None:
        spec, each = self._spec, [c for c in conditions if isinstance(c, Evidence)]
        bed, heart, breath = self._metrics
        at_most, out_at_least, out_at_most = (np.array([getattr(c, name) for c in each], np.int64) for name in OWN)
        self._limits = Limits(
            self._uses[:, 0].copy(), bed, heart, breath, np.array([DAY / c.one_false_alarm_in for c in each]),
            float(spec.call_after), float(spec.call_after_with_bed),
            ALARM_RAISES * DAY / spec.power_alone_false_alarm_in / SLOTS, spec.quiet_at_least,
            at_most, out_at_least, out_at_most, float(spec.out_high_after), int(LEVELS[self._rule.priority]),
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("nats", "f4", 0, "nats by kind of sign", (len(SIGNS),)),
            Column("abed", "f2", 0, "share of cells in bed, seen alive", (SLOTS,)),
            Column("expected", "f4", 0, "cells with a sign, if as usual"),
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
        return named + habit_columns(rule.name) + level_columns(rule.name)

    def _c(self, name: str) -> NDArray[np.float64]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Close the cell that ends at `at` (ns, multiple of 5 min) and tell what changed, all turns at once.

        Households with power alone are looked at when a half hour closes.
        """
        return concat_findings([turn(at) for turn in self.turns])

    def _begin(self, at: int) -> FindingBatch:
        """Before any household: what could wait is done, and a slot of day that begins is made ready."""
        local = self._zone.local(at - 1)
        self._quiet.finish()
        if (local + 1) % LEVEL_CELL == 0:
            self._forgets.finish()
        slot, habits = slot_of(local), self._habits()
        if slot_of(local - CELL) != slot:
            fade(self._columns.rows["home"], slot, self._keep, habits, self._work(habits))
        self._begin_slot(slot, habits)
        return no_findings()

    def _close(self, part: int, at: int) -> FindingBatch:
        """Close the cell for every so manieth block of households."""
        local, rows = self._zone.local(at - 1), self._columns.rows["home"]
        slot, closes = slot_of(local), (local + 1) % LEVEL_CELL == 0
        count, close_cell, devices, everything = self._ready()
        self._begin_slot(slot, everything.habits)
        cell = Cell(at, slot, local // DAY, closes, *count(devices, rows, part, closes))
        changed = close_cell(rows, part, cell, everything)
        if part == PARTS - 1 and closes and slot == SLOTS - 1:
            self._forgets.put(lambda first, last: forget(first, last, self._levels()), rows)
        if part == PARTS - 1 and closes and slot == NIGHT_BEGINS + NIGHT_SLOTS - 1:
            self._quiet.put(lambda first, last: learn_quiet(first, last, self._levels()), rows)
        return self._findings(everything.room.found[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., Any], Callable[..., int], Devices, Everything]:
        """The two loops, and all that they are given at each cell."""
        c, habits = self._columns, self._habits()
        room = Room(c.room(), np.empty(len(SIGNS)), np.empty(len(SIGNS)), np.empty(BINS))
        devices = Devices(*(c[f] for f in Devices._fields))
        everything = Everything(
            Home(*c.bundle(Home._fields)), Kept(*c.bundle(Kept._fields, f"{self._rule.name}.")), habits,
            self._levels(), self._work(habits), self._limits, room,
        )  # fmt: skip
        cell = Cell(0, 0, 0, False, *sensors(devices, 0, PARTS, False))
        count = bound(sensors, devices, 0, 0, False)
        return count, bound(close, 0, 0, cell, everything), devices, everything

    def resume(self, gap: int) -> None:
        """Nobody watched for `gap` ns: that time is not counted as quiet. What fires already keeps its beginning."""
        since, firing = self._columns[f"{self._rule.name}.since"], self._columns[f"{self._rule.name}.firing"]
        since[(since != NEVER) & ~firing] += gap

    def _habits(self) -> Habits:
        return Habits(*self._columns.bundle(Habits._fields, f"{self._rule.name}."))

    def _begin_slot(self, slot: int, habits: Habits) -> None:
        """What is worked out of the habits, for this slot of day."""
        worked = self._work(habits)
        if self._slot != slot:
            begin_slot(self._columns.rows["home"], slot, habits, worked)
            self._slot = slot

    def _levels(self) -> Levels:
        return Levels(*self._columns.bundle(Levels._fields, f"{self._rule.name}.level_"))

    def _work(self, habits: Habits) -> Worked:
        """What was worked out of the habits; all anew when the rows are others."""
        if self._version != self._columns.version:
            if self._version == -1:  # their machine code is fetched now, not in the middle of a day
                learn_quiet(0, 0, self._levels())
                forget(0, 0, self._levels())
            self._version, self._slot = self._columns.version, -1
            self._worked = nothing_worked(len(habits.threshold))
        return self._worked

    def _by_events(self) -> NDArray[np.bool_]:
        """(n,) bool: has a sensor that tells single signs of life, not the level of power alone."""
        has = self._columns["has"] & self._uses
        has[POWER] = False
        out: NDArray[np.bool_] = np.logical_or.reduce(has)
        return out

    def _out_limit(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        own, most = self._c("longest_out")[rows] * OUT_MARGIN, self.own.of("out_at_most", rows)
        limit = np.clip(own, self.own.of("out_at_least", rows), most)
        calls = np.minimum(self._spec.out_high_after * np.maximum(limit, CALLS_FROM), most)
        has = self._columns["has"][:, rows] & self._uses
        return np.where(has[BED] & has[MOTION], calls, limit)

    def _total(self) -> NDArray[np.float64]:
        """(n,) nats; what power takes back never makes a debt."""
        total: NDArray[np.float64] = np.maximum(self._c("nats").sum(0), 0)
        return total

    def _threshold(self) -> NDArray[np.float64]:
        return np.where(self._by_events(), self._c("threshold"), self._c("level_threshold"))

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        c, name = self._columns, self._rule.name
        return findings_of(
            rows, rule=self._index, verdict=c[f"{name}.verdict"][rows], level=c[f"{name}.level"][rows],
            since=c[f"{name}.since"][rows], score=self._total()[rows], facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        nats = self._c("nats")[:, rows]
        out = c["out"][rows]
        limit = np.where(out, self._out_limit(rows), self.own.of("at_most", rows)) / HOUR
        hours = (at - c[f"{name}.since"][rows]) / HOUR
        return np.column_stack([np.maximum(nats.sum(0), 0), self._threshold()[rows], self._c("expected")[rows], nats.T,
                                hours, out, limit, self.own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
