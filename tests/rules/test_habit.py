"""Hazards, exposure and threshold of the habit against a naive twin: one household, plain Python."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from mimamori.model.times import DAY
from mimamori.rules import habit
from mimamori.rules.columns import Columns
from mimamori.rules.habit import Habits, habit_columns

PRIOR = [0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1, 0.1]
LONGER = [2, 4, 7, 13, 25, 49, 97]
MOTION = 1  # pattern of kinds of sign


class Homes:
    """Some households whose cells go by one after the other."""

    def __init__(self, homes: int) -> None:
        self.columns = Columns(habit_columns("r"), capacity=homes)
        self.columns.fit(homes=homes, devices=0)
        self.columns["r.first_seen"][:] = 0
        self.columns["r.peak_at"][:] = 0
        self.habits = Habits(*self.columns.bundle(Habits._fields, "r."))
        self.worked, self.slot, self.hazard = habit.nothing_worked(homes), -1, np.empty(5)

    def hazards(self, h: int, slot: int, run: int) -> tuple[float, float]:
        """(of motion, base)"""
        if slot != self.slot:
            habit.begin_slot(len(self.worked.stale), slot, self.habits, self.worked)
            self.slot = slot
        base = habit.hazards(h, slot, run, MOTION, self.habits, self.worked, self.hazard)
        assert self.hazard[1:].tolist() == [0] * 4
        return self.hazard[0], base

    def learn(self, h: int, slot: int, run: int, *, sign: bool) -> None:
        habit.learn_activity(h, slot, sign, self.habits)
        if run >= 1:
            hazard, base = self.hazards(h, slot, run)
            habit.learn_quiet_cell(h, slot, run, base, hazard, self.habits)
            if sign:
                habit.learn_end(h, slot, run, MOTION, self.habits, self.worked)
                habit.end_spell(h, slot, run // 6 + 1, self.habits, self.worked)


class Twin:
    """Motion alone; proportional hazards of slot of day and run length, fitted in turns, learned as each quiet ends."""

    def __init__(self) -> None:
        self.ended, self.exposed = [0.0] * 48, [0.0] * 48
        self.run_ended, self.run_exposed = [0.0] * 8, [0.0] * 8
        self.spell: list[tuple[int, int, float, float]] = []

    def hazard(self, slot: int, run: int) -> tuple[float, float]:
        prior, base = PRIOR[0], 0.0
        for b in range(1 + sum(edge <= run for edge in LONGER)):
            base = (self.run_ended[b] + 60 * prior) / (self.run_exposed[b] + 60)
            prior = base * PRIOR[min(b + 1, 7)] / PRIOR[b]
        weights = list(zip((0.25, 0.75, 1, 0.75, 0.25), range(slot - 2, slot + 3), strict=True))
        usual = 0.25 if slot < 10 else 0.6 if slot < 14 else 1.2 if slot < 42 else 0.8
        ended = sum(w * self.ended[s % 48] for w, s in weights) + 3 * usual
        return min(0.95, base * ended / (sum(w * self.exposed[s % 48] for w, s in weights) + 3)), base

    def learn(self, slot: int, run: int, *, sign: bool) -> None:
        if run >= 1:
            hazard, base = self.hazard(slot, run)
            bucket = sum(edge <= run for edge in LONGER)
            self.spell.append((slot, bucket, base, hazard / base))
            if sign:
                self.ended[slot] += 1
                self.run_ended[bucket] += 1
        if sign:
            for s, b, base, relative in self.spell:
                self.exposed[s] += base
                self.run_exposed[b] += relative
            self.spell = []


def test_hazards_equal_the_naive_twin() -> None:
    random = np.random.default_rng(3)
    homes, twins, run = Homes(3), [Twin() for _ in range(3)], [0, 0, 0]
    for cell in range(5 * 288):
        slot = cell // 6 % 48
        signs = (random.random(3) < (0.3 if 14 <= slot < 44 else 0.01)).tolist()
        for h, (twin, sign) in enumerate(zip(twins, signs, strict=True)):
            assert homes.hazards(h, slot, run[h]) == pytest.approx(twin.hazard(slot, run[h]), rel=1e-3)
            homes.learn(h, slot, run[h], sign=sign)
            twin.learn(slot, run[h], sign=sign)
            run[h] = 0 if sign else run[h] + 1
    assert homes.columns["r.ended"][0].sum() > 100
    assert homes.columns["r.active"][30].min() > 0.05


def test_silence_does_not_excuse_itself() -> None:
    homes = Homes(1)
    first = homes.hazards(0, 24, 50)
    for run in range(1, 60):
        homes.learn(0, 24, run, sign=False)
    assert homes.hazards(0, 24, 50) == first
    assert homes.columns["r.spell_exposed"][24, 0] > 0


def test_what_is_worked_out_stays_true_when_the_slot_fades() -> None:
    homes, other = Homes(2), Homes(2)
    for run in range(1, 9):
        homes.learn(0, 0, run, sign=run % 4 == 0)
    homes.hazards(1, 0, 3)
    habit.fade(2, 0, 0.9, homes.habits, homes.worked)
    habit.begin_slot(2, 0, homes.habits, homes.worked)
    for name in Habits._fields:
        np.copyto(getattr(other.habits, name), getattr(homes.habits, name))
    for h in range(2):
        assert homes.hazards(h, 0, 3) == other.hazards(h, 0, 3)


def test_the_threshold_is_that_of_an_exponential_tail() -> None:
    homes = Homes(1)
    peaks, excess, days, weight, before = 9.0, 3.6, 3.0, 4.0, 0
    habit.set_threshold(0, 0, 1 / 45, homes.habits)
    for day, peak in ((1, 15.0), (10, 2.5), (11, 0.7), (12, 3.0), (20, 1.4)):
        usual = float(homes.columns["r.threshold"][0]) - 6 * max(0.0, 1 - day / 7)
        habit.record_peak(0, peak, day * DAY, 1 / 45, homes.habits)
        keep = 0.98 ** (day - before)
        late = day >= 3
        held = min(peak, usual)
        counted = late and held > 1
        peaks, weight = peaks * keep + counted, weight * keep + counted
        excess = excess * keep + (held - 1 if counted else 0)
        days = days * keep + (day - before if late else 0)
        before = day
        expected = max(1 + excess / weight * log(peaks / days * 45), 2.5) + 6 * max(0.0, 1 - day / 7)
        assert homes.columns["r.threshold"][0] == pytest.approx(expected, rel=1e-3)
