"""No sign of life: evidence summed against this household's own habit, and the hard caps behind it.

May import model and rules. Every five minutes each quiet household gains -log(1 - hazard) nats, split among its kinds
of sensor, unless the bed tells that somebody lies in it and breathes; every half hour the level of its power adds its
own log-likelihood ratio, which may be negative; the sum never falls below zero, and a sure sign of life takes it there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER
from mimamori.rules.changes import LEVELS, changed, findings_of, judged, leveled
from mimamori.rules.columns import Column
from mimamori.rules.habit import ACTIVE_RATE, SLOTS, Habit, habit_columns, slot_of
from mimamori.rules.latest import BED, DOOR, POWER, Shared
from mimamori.rules.level import LEVEL_CELL, LOWEST_SUM, Level, level_columns
from mimamori.rules.spec import SIGNS, Evidence, Rule

CELL = 5 * MINUTE
FACTS = ("evidence", "threshold", "expected", *SIGNS, "quiet_hours", "out", "limit_hours")
WATCH_FROM = 0.6  # of the threshold: PENDING
LEFT_ON = 0.05  # chance that what was on stays on (assumed): power takes back at most -log of it
MOSTLY = 0.5
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
        self._columns, self._zone = shared.columns, shared.zone
        self._uses = np.array([s in condition.signs for s in SIGNS])[:, None]
        self._habit = Habit(
            shared.columns,
            rule.name,
            false_alarm_every=condition.one_false_alarm_in,
            forget_after=condition.forget_after,
        )
        self._bed = shared.metrics.index("in_bed")
        self._body = [shared.metrics.index(m) for m in ("heart_rate", "respiration_rate")]
        # Who is silent seldom changes: worked out from the columns when it does, not state.
        nobody = np.zeros(0, bool)
        self._asked: tuple[NDArray[Any], ...] = (nobody, nobody, nobody)
        self._answered: NDArray[np.float64] = np.zeros((len(SIGNS), 0))
        self._level = Level(shared.columns, rule.name, false_alarm_every=condition.power_alone_false_alarm_in)

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
        """Close the cell that ends at `at` (ns, multiple of 5 min) and tell what changed.

        Households with power alone are looked at when a half hour closes.
        """
        c, local = self._columns, self._zone.local(at - 1)
        slot, closes = slot_of(local), (local + 1) % LEVEL_CELL == 0
        if slot_of(local - CELL) != slot:
            self._habit.fade(slot=slot)
        has = c["has"] & self._uses
        by_events = self._by_events()
        if not closes and not by_events.any():
            return no_findings()
        working = self._working(has)
        known = np.maximum.reduce(working) > 0
        self._begin(known & (self._columns[f"{self._rule.name}.first_seen"] == NEVER), at)
        abed = self._abed(has[BED], working[BED] > 0, at, slot)
        in_all_along = ~c["out"] & ~self._columns[f"{self._rule.name}.was_out"] & ~abed
        if by_events.any():
            self._take_events(working, known & by_events, abed, at, slot)
        if closes:
            self._take_power(in_all_along & (working[POWER] > 0), at, slot)
        firing = self._columns[f"{self._rule.name}.firing"]
        before = firing.copy()
        found = self._tell(known & (by_events | self._level.ready()), by_events | closes, at)
        if closes:
            alarmed = np.flatnonzero(firing & ~before & ~by_events)
            self._level.end_slot(self._energy(), slot=slot, day=local // DAY, alarmed=alarmed)
        return found

    def _by_events(self) -> NDArray[np.bool_]:
        """(n,) bool: has a sensor that tells single signs of life, not the level of power alone."""
        has = self._columns["has"] & self._uses
        has[POWER] = False
        out: NDArray[np.bool_] = np.logical_or.reduce(has)
        return out

    def _abed(self, has: NDArray[np.bool_], works: NDArray[np.bool_], at: int, slot: int) -> NDArray[np.bool_]:
        """(n,) bool: in bed, and pulse or breath was told in this cell, and the body stirred.

        Then nothing is missing: whoever lies longer than usual is the business of the rules about rising. While the
        bed sensor is silent, whoever lies in bed at this time more often than not is taken to.
        """
        c = self._columns
        told = np.logical_or.reduce(c["taken"][self._body] > at - CELL)
        abed = told & (c["stirred"] > at - CELL) & (c["value"][self._bed] > 0)
        share = self._c("abed")[slot]
        share[works] += np.float16(ACTIVE_RATE) * (abed[works] - share[works])
        lies: NDArray[np.bool_] = np.where(has & ~works, share > MOSTLY, abed)
        return lies

    def _take_events(
        self, working: NDArray[np.float64], known: NDArray[np.bool_], abed: NDArray[np.bool_], at: int, slot: int
    ) -> None:
        """Five minutes with or without a sign of life, for households in `known` (n,) bool."""
        c, name = self._columns, self._rule.name
        has = c["has"] & self._uses
        has[POWER] = False
        signs = c["signs"] & self._uses
        sign = signs.any(0)
        home = known & ~c["out"] & ~c[f"{name}.was_out"] & ~abed
        run, firing = c[f"{name}.run"], c[f"{name}.firing"]
        hazard, base = self._habit.hazards(slot=slot, run=run, has=has)
        watched = known & ~c[f"{name}.was_out"] & ~abed & (sign | ~c["out"])
        self._habit.learn(slot=slot, run=run, base=base, hazard=hazard, signs=signs, rows=watched & ~firing)
        self._habit.end_spells(np.flatnonzero((sign | c["out"]) & (run >= 1)))
        self._add(hazard * working, home & ~sign & (run >= 1), slot)
        ended = np.flatnonzero(sign & (run >= 1))
        self._habit.record_peaks(ended, self._total()[ended], at)
        run[home & ~sign] += 1
        self._settle(sign | c["out"], signs[DOOR], at)

    def _take_power(self, home: NDArray[np.bool_], at: int, slot: int) -> None:
        """Half an hour of power, for households in `home` (n,) bool.

        Where there are other sensors too, whoever fell may have left on what was on: then power goes on as by day, and
        says nothing. The mixture of both keeps an iron from outweighing a day without a step.
        """
        c, name = self._columns, self._rule.name
        wh = self._energy()
        rows = np.flatnonzero(home & np.isfinite(wh))
        nats, own = c[f"{name}.nats"], c[f"{name}.level_sum"]
        alone = ~self._by_events()
        above = self._level.weigh(rows, wh[rows], lowest=np.where(alone[rows], 0.0, LOWEST_SUM), slot=slot)
        own[c["last_sign"] > at - LEVEL_CELL] = 0  # this half hour had a sure sign of life
        nats[POWER] = np.where(alone, own, np.log(LEFT_ON + (1 - LEFT_ON) * np.exp(own)))
        none = alone[rows] & (own[rows] <= 0)
        c[f"{name}.firing"][rows[none]] = False
        c[f"{name}.since"][rows[alone[rows] & (none | above)]] = at

    def _energy(self) -> NDArray[np.float64]:
        """(n,) Wh of the half hour; NaN unless every meter and plug of the household has told its power in it."""
        c = self._columns
        mine = c["channel"] == POWER
        n, home, told = len(c["out"]), c["device_home"][mine], c["watts_n"][mine] > 0
        watts = np.divide(c["watts_sum"][mine], c["watts_n"][mine], out=np.zeros(len(told)), where=told)
        wh = np.bincount(home, watts * (LEVEL_CELL / HOUR), minlength=n).astype(np.float64)
        some, missing = np.bincount(home, minlength=n) > 0, np.bincount(home, ~told, minlength=n) > 0
        wh[missing | ~some] = np.nan
        return wh

    def _working(self, has: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(k, n) share of each kind's devices that are not silent: a silent sensor contributes nothing."""
        c, n = self._columns, has.shape[1]
        now = (has, c["silent"], c["channel"])
        if all(np.array_equal(a, b) for a, b in zip(self._asked, now, strict=True)):
            return self._answered
        share: NDArray[np.float64] = np.zeros(has.shape)
        for k in np.flatnonzero(has.any(1)):
            mine = c["channel"] == k
            home = c["device_home"][mine]
            everyone = np.bincount(home, minlength=n)
            speaking = np.bincount(home, weights=~c["silent"][mine], minlength=n)
            share[k] = np.divide(speaking, everyone, out=np.zeros(n), where=everyone > 0)
        self._asked, self._answered = (has, c["silent"].copy(), c["channel"].copy()), share
        return share

    def _begin(self, new: NDArray[np.bool_], at: int) -> None:
        rows = np.flatnonzero(new)
        self._columns[f"{self._rule.name}.first_seen"][rows] = at
        self._columns[f"{self._rule.name}.since"][rows] = at
        self._columns[f"{self._rule.name}.peak_at"][rows] = at
        self._habit.set_thresholds(rows, at)

    def _add(self, hazard: NDArray[np.float64], rows: NDArray[np.bool_], slot: int) -> None:
        total = hazard.sum(0)
        a_unit = np.divide(-np.log1p(-total), total, out=np.zeros_like(total), where=rows & (total > 0))
        self._c("nats")[:] += hazard * a_unit
        self._c("expected")[:] += np.where(rows, self._c("active")[slot], 0)

    def _settle(self, alive: NDArray[np.bool_], door: NDArray[np.bool_], at: int) -> None:
        """A sign of life, or being out, takes the sum back to zero; an outing that ends is remembered."""
        c, name = self._columns, self._rule.name
        self._c("nats")[:, alive] = 0
        self._c("level_sum")[alive] = 0
        self._c("expected")[alive] = 0
        c[f"{name}.run"][alive] = 0
        c[f"{name}.firing"][alive & (~c["out"] | door)] = False
        c[f"{name}.since"][alive] = np.maximum(c[f"{name}.since"][alive], np.minimum(c["last_sign"][alive], at))
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

    def _total(self) -> NDArray[np.float64]:
        """(n,) nats; what power takes back never makes a debt."""
        total: NDArray[np.float64] = np.maximum(self._c("nats").sum(0), 0)
        return total

    def _threshold(self) -> NDArray[np.float64]:
        return np.where(self._by_events(), self._c("threshold"), self._c("level_threshold"))

    def _tell(self, known: NDArray[np.bool_], looked: NDArray[np.bool_], at: int) -> FindingBatch:
        """Judge the households in `looked` (n,) bool."""
        c, name, total = self._columns, self._rule.name, self._total()
        out, firing, threshold = c["out"], c[f"{name}.firing"], self._threshold()
        quiet = at - c[f"{name}.since"]
        seen = looked & known & (c[f"{name}.first_seen"] != NEVER)
        long = ~self._by_events() | (quiet >= self._spec.quiet_at_least)
        firing |= seen & ~out & (((total >= threshold) & long) | (quiet >= self._spec.at_most))
        firing |= seen & out & (at - c["last_door"] >= self._out_limit())
        old = c[f"{name}.verdict"], c[f"{name}.level"]
        verdict = judged(firing=firing, pending=total >= WATCH_FROM * threshold, known=seen)
        level = leveled(firing, LEVELS[self._rule.priority])
        # A night away that nobody was told of is worth a word by day, not a call at night.
        note = np.minimum(self._spec.out_high_after * self._out_limit(), self._spec.out_at_most)
        level[firing & out & (at - c["last_door"] < note)] = LEVELS["low"]
        rows = np.flatnonzero(looked)
        return changed(
            rows, rule=self._index, old=old, verdict=verdict[rows], level=level[rows], since=c[f"{name}.since"][rows],
            score=total[rows], facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        nats = self._c("nats")[:, rows]
        out = c["out"][rows]
        limit = np.where(out, self._out_limit()[rows], self._spec.at_most) / HOUR
        hours = (at - c[f"{name}.since"][rows]) / HOUR
        return np.column_stack([np.maximum(nats.sum(0), 0), self._threshold()[rows], self._c("expected")[rows], nats.T,
                                hours, out, limit])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        c, name = self._columns, self._rule.name
        verdict = c[f"{name}.verdict"]
        return findings_of(
            np.arange(len(verdict)), rule=self._index, verdict=verdict, level=c[f"{name}.level"],
            since=c[f"{name}.since"], score=self._total(), facts=lambda rows: self._facts(rows, at),
            home=None, at=at,
        )  # fmt: skip
