"""Hazards, exposure and threshold of the habit against a naive twin: one household, plain Python."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from mimamori.model.times import DAY
from mimamori.rules.columns import Columns
from mimamori.rules.habit import Habit, habit_columns

PRIOR = [0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1, 0.1]
LONGER = [2, 4, 7, 13, 25, 49, 97]


def habit_of(homes: int) -> tuple[Columns, Habit]:
    columns = Columns(habit_columns("r"), capacity=homes)
    columns.fit(homes=homes, devices=0)
    columns["r.first_seen"][:] = 0
    columns["r.peak_at"][:] = 0
    return columns, Habit(columns, "r", false_alarm_every=45 * DAY, forget_after=35 * DAY)


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
    columns, habit = habit_of(3)
    twins, run = [Twin() for _ in range(3)], np.zeros(3, np.int32)
    has = np.zeros((5, 3), np.bool_)
    has[0] = True
    for cell in range(5 * 288):
        slot = cell // 6 % 48
        signs = has & (random.random(3) < (0.3 if 14 <= slot < 44 else 0.01))
        hazard, base = habit.hazards(slot=slot, run=run, has=has)
        expected = [twin.hazard(slot, r) for twin, r in zip(twins, run.tolist(), strict=True)]
        assert hazard[0].tolist() == pytest.approx([h for h, _ in expected], rel=1e-3)
        assert base.tolist() == pytest.approx([b for _, b in expected], rel=1e-3)
        habit.learn(slot=slot, run=run, base=base, hazard=hazard, signs=signs, rows=has[0])
        habit.end_spells(np.flatnonzero(signs[0] & (run >= 1)))
        for twin, r, sign in zip(twins, run.tolist(), signs[0].tolist(), strict=True):
            twin.learn(slot, r, sign=sign)
        run = np.where(signs[0], 0, run + 1).astype(np.int32)
    assert columns["r.ended"][0].sum() > 100


def test_silence_does_not_excuse_itself() -> None:
    columns, habit = habit_of(1)
    has = np.array([[True], [False], [False], [False], [False]])
    first, _ = habit.hazards(slot=24, run=np.array([50], np.int32), has=has)
    for run in range(1, 60):
        now = np.array([run], np.int32)
        hazard, base = habit.hazards(slot=24, run=now, has=has)
        habit.learn(slot=24, run=now, base=base, hazard=hazard, signs=~has & has, rows=has[0])
    after, _ = habit.hazards(slot=24, run=np.array([50], np.int32), has=has)
    assert after[0, 0] == first[0, 0]
    assert columns["r.spell_exposed"][24, 0] > 0


def test_the_threshold_is_that_of_an_exponential_tail() -> None:
    columns, habit = habit_of(1)
    rows = np.array([0])
    peaks, excess, days, weight, before = 9.0, 3.6, 3.0, 4.0, 0
    habit.set_thresholds(rows, 0)
    for day, peak in ((1, 15.0), (10, 2.5), (11, 0.7), (12, 3.0), (20, 1.4)):
        usual = float(columns["r.threshold"][0]) - 6 * max(0.0, 1 - day / 7)
        habit.record_peaks(rows, np.array([peak]), day * DAY)
        keep = 0.98 ** (day - before)
        late = day >= 3
        held = min(peak, usual)
        counted = late and held > 1
        peaks, weight = peaks * keep + counted, weight * keep + counted
        excess = excess * keep + (held - 1 if counted else 0)
        days = days * keep + (day - before if late else 0)
        before = day
        expected = max(1 + excess / weight * log(peaks / days * 45), 2.5) + 6 * max(0.0, 1 - day / 7)
        assert columns["r.threshold"][0] == pytest.approx(expected, rel=1e-3)
