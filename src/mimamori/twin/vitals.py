"""Twins of the kinds about measured values of a minute: band, usual, absent."""

from __future__ import annotations

from math import inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from mimamori.model.findings import Level, Verdict
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules import absent, usual
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import Absent, Band, Rule, Usual

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin

Judged = tuple[int, int, int]


def single(value: float) -> float:
    """As the engine keeps it: in single precision."""
    return float(np.float32(value))


class BandTwin:
    """`kind = "band"`: a list of the judged minutes."""

    every = MINUTE

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, Band)
        self.spec = spec = rule.condition
        self.limits = [(spec.low.get(p, -inf), spec.high.get(p, inf)) for p in ("low", "medium", "high")]
        self.inside = (
            max(low for low, _ in self.limits) + spec.clear_margin,
            min(high for _, high in self.limits) - spec.clear_margin,
        )
        self.minutes: list[list[bool]] = []  # is it bad, by priority; newest last
        self.good = self.firing = 0
        self.since = self.told_at = NEVER

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        value = home.mean(self.spec.metric) if self.spec.of == "mean" else home.least(self.spec.metric)
        if value is not None and self.backed(home, at):
            self.take(value, at)
        if self.told_at == NEVER:
            return None
        if at - self.told_at > self.spec.unknown_after:
            self.minutes, self.good = [], 0
            return Verdict.UNKNOWN, self.firing, self.since
        bad = any(map(any, self.minutes))
        verdict = Verdict.FIRING if self.firing else Verdict.PENDING if bad else Verdict.CLEAR
        return verdict, self.firing, self.since

    def begin_anew(self, _: int) -> None:
        self.minutes, self.good, self.firing = [], 0, 0
        self.since = self.told_at = NEVER

    def backed(self, home: HomeTwin, at: int) -> bool:
        if self.spec.backed_by == "nothing":
            return True
        if "in_bed" in home.value:
            return home.value["in_bed"] > 0
        return home.moved != NEVER and at - home.moved <= 5 * MINUTE

    def take(self, value: float, at: int) -> None:
        self.told_at = at
        quiet_before = not any(map(any, self.minutes))
        bad = [value <= low or value >= high for low, high in self.limits]
        self.minutes = [*self.minutes, bad][-(self.spec.out_of // MINUTE) :]
        if quiet_before and any(bad) and not self.firing:
            self.since = at - MINUTE
        self.good = self.good + 1 if self.inside[0] < value < self.inside[1] else 0
        for level in (1, 2, 3):
            if sum(m[level - 1] for m in self.minutes) >= self.spec.hold // MINUTE:
                self.firing = max(self.firing, level)
        if self.good >= self.spec.clear_after // MINUTE:
            self.firing = 0


class UsualTwin:
    """`kind = "usual"`: mean and variance of the own minutes in bed."""

    every = MINUTE

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Usual)
        self.spec, self.zone, self.level = rule.condition, home.zone, int(LEVELS[rule.priority])
        self.mean, self.variance = 0.0, single((usual.PRIOR_SPREAD * self.spec.at_least) ** 2)
        self.minutes = 0
        self.odd: list[bool] = []
        self.told_at = self.since = NEVER
        self.firing = False

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        mean = home.mean(self.spec.metric) if home.value.get("in_bed", 0) > 0 else None
        if mean is not None:
            self.take(mean, at)
        elif self.told_at == NEVER:
            return None
        if at - self.told_at > self.spec.unknown_after:
            self.odd = []
            return Verdict.UNKNOWN, self.level * self.firing, self.since
        many, clear = sum(self.odd), self.spec.clear_below // MINUTE
        if mean is not None:
            self.firing = many >= (clear if self.firing else self.spec.hold // MINUTE)
        verdict = Verdict.FIRING if self.firing else Verdict.PENDING if many >= clear else Verdict.CLEAR
        return verdict, self.level * self.firing, self.since

    def begin_anew(self, _: int) -> None:
        self.odd, self.firing = [], False
        self.told_at = self.since = NEVER

    def take(self, value: float, at: int) -> None:
        self.told_at = at
        if not self.minutes:
            self.mean = single(value)
        half = max(self.spec.deviations * sqrt(self.variance), self.spec.at_least)
        by_day = self.spec.by_day.holds(self.zone.time_of_day(at - 1))
        outside = abs(value - self.mean) >= half * (self.spec.wider_by_day if by_day else 1.0)
        if outside and not any(self.odd):
            self.since = at - MINUTE
        self.odd = [*self.odd, outside][-usual.WINDOW :]
        if not self.firing:
            furthest = usual.FURTHEST * sqrt(self.variance)
            off = min(max(value - self.mean, -furthest), furthest)
            self.mean = single(self.mean + max(usual.RATE, 1 / (self.minutes + usual.MEAN_MINUTES)) * off)
            rate = max(usual.RATE, 1 / (self.minutes + usual.PRIOR_MINUTES))
            self.variance = single((1 - rate) * (self.variance + rate * off**2))
            self.minutes = min(self.minutes + 1, 60_000)


class AbsentTwin:
    """`kind = "absent"`: the last sign of the body, and the longest loss of it that ended by itself."""

    every = MINUTE

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, Absent)
        self.spec, self.level = rule.condition, int(LEVELS[rule.priority])
        self.firing = False
        self.since = NEVER
        self.missed, self.gone, self.longest = 0, 0, single(2.0 * MINUTE)
        self.waits = False  # for the first word after an absence

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        self.waits = self.waits and not home.fresh
        if "in_bed" not in home.taken or self.waits:
            return None
        sign = max(home.taken.get("heart_rate", NEVER), home.taken.get("respiration_rate", NEVER), home.stirred)
        talking = at - home.taken["in_bed"] <= self.spec.sensor_within
        in_bed, gone = home.value["in_bed"] > 0, 0 if sign == NEVER else at - sign
        self.learn(gone, watched=talking and in_bed)
        limit = min(max(self.longest * absent.MARGIN, self.spec.confirm), self.spec.confirm_at_most)
        self.missed = self.missed if sign == self.since else 0
        self.missed += len(home.minute.get("in_bed", ())) * min(gone, MINUTE) // MINUTE
        self.since = sign
        lost = limit <= gone <= self.spec.seen_within and self.missed >= absent.MISSED
        if talking and in_bed and lost:
            self.firing = True
        if talking and (not in_bed or (sign != NEVER and gone < limit)):
            self.firing = False
        verdict = Verdict.UNKNOWN if not talking else Verdict.FIRING if self.firing else Verdict.CLEAR
        return verdict, self.level if self.firing else int(Level.NONE), sign

    def begin_anew(self, _: int) -> None:
        self.firing, self.waits = False, True
        self.since, self.missed, self.gone = NEVER, 0, 0

    def learn(self, gone: int, *, watched: bool) -> None:
        if watched:
            self.longest = single(self.longest * absent.FADES)
            if gone < self.gone <= self.spec.seen_within:
                self.longest = single(max(min(self.gone, self.spec.confirm_at_most), self.longest))
        self.gone = gone if watched else 0
