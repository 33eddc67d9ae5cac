"""Twins of the kinds about what changes slowly: drift, climate."""

from __future__ import annotations

from math import sqrt
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from mimamori.model.findings import Verdict
from mimamori.model.times import DAY, MINUTE, NEVER
from mimamori.rules import drift
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import Climate, Drift, Rule

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin


def half(value: float) -> float:
    """As the engine keeps it: in half precision."""
    return float(np.float16(value))


class DriftTwin:
    """`kind = "drift"`: the newest value at each ten minutes, the days of the week, the weeks' mean and spread."""

    every = drift.EVERY

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Drift)
        self.spec, self.zone, self.level = rule.condition, home.zone, int(LEVELS[rule.priority])
        self.holds = DAY if home.nature[self.spec.metric] == "state" else drift.EVERY
        self.today: list[float] = []
        self.days: list[float] = []
        self.weeks = self.run = 0
        self.usual = self.spread = self.up = self.down = 0.0
        self.known = False

    def judge(self, home: HomeTwin, at: int) -> tuple[int, int, int] | None:
        between, told = self.spec.between, home.taken.get(self.spec.metric, NEVER)
        if not between.holds(self.zone.time_of_day(at - 1)):
            return None
        seen = told != NEVER and at - self.holds < told <= at
        seen = seen and (self.holds == DAY or home.value.get("in_bed", 0) > 0)
        if seen:
            self.today.append(home.value[self.spec.metric])
        if self.zone.time_of_day(at) == between.end % DAY:
            self.known = len(self.today) >= between.length / drift.EVERY * self.spec.seen_at_least
            if self.known:
                self.end_day()
            self.today = []
        elif seen and not self.known:
            self.known = True
        else:
            return None
        most = max(self.up, self.down)
        firing = self.known and most >= self.spec.note_at
        verdict = Verdict.FIRING if firing else Verdict.PENDING if most >= self.spec.note_at / 2 else Verdict.CLEAR
        since = NEVER if self.run == 0 else at - self.run * 7 * DAY
        return (verdict if self.known else Verdict.UNKNOWN), self.level if firing else 0, since

    def begin_anew(self, _: int) -> None:
        self.today, self.known = [], False

    def end_day(self) -> None:
        total = np.float32(0)
        for value in self.today:
            total += np.float32(value)
        self.days.append(half(float(total) / len(self.today)))
        if len(self.days) == drift.WEEK:
            self.end_week(median(self.days))
            self.days = []

    def end_week(self, figure: float) -> None:
        width, known = max(self.spread, self.spec.least_change), self.weeks >= self.spec.learn_weeks
        off = figure - self.usual if self.weeks else 0.0
        self.usual = self.usual if self.weeks else figure
        departs = min(max(off / width, -drift.MOST), drift.MOST) if known else 0.0
        self.up = half(max(self.up + departs - drift.SLACK, 0))
        self.down = half(max(self.down - departs - drift.SLACK, 0))
        self.run = min(self.run + 1, 255) if self.up or self.down else 0
        if known:
            off = min(max(off, -drift.LEARNED * width), drift.LEARNED * width)
        rate = max(drift.RATE, 1 / (1.0 + self.weeks))
        self.usual = half(self.usual + rate * off)
        self.spread = half(sqrt((1 - rate) * (self.spread**2 + rate * off**2)))
        self.weeks = min(self.weeks + 1, 255)


class ClimateTwin:
    """`kind = "climate"`: since when it has been beyond each limit."""

    every = MINUTE

    def __init__(self, rule: Rule, _: HomeTwin) -> None:
        assert isinstance(rule.condition, Climate)
        self.spec = rule.condition
        self.told_at = self.inside_since = self.began = NEVER
        self.beyond: dict[str, int] = {}
        self.level = 0

    def judge(self, home: HomeTwin, at: int) -> tuple[int, int, int] | None:
        mean = home.mean("temperature")
        if mean is not None:
            self.take(home, mean, at)
        if self.told_at == NEVER:
            return None
        if at - self.told_at > self.spec.unknown_after:
            self.level = 0
            return Verdict.UNKNOWN, 0, self.since()
        if self.inside_since != NEVER and at - self.inside_since >= self.spec.clear_after:
            self.level = 0
        for priority, since in self.beyond.items():
            if at - since >= self.spec.hold[priority]:  # type: ignore[index]
                self.level = max(self.level, int(LEVELS[priority]))
        verdict = Verdict.FIRING if self.level else Verdict.PENDING if self.beyond else Verdict.CLEAR
        return verdict, self.level, self.since()

    def begin_anew(self, _: int) -> None:
        self.told_at = self.inside_since = self.began = NEVER
        self.beyond, self.level = {}, 0

    def since(self) -> int:
        if self.beyond and self.began == NEVER:
            self.began = min(self.beyond.values())
        elif not self.beyond and not self.level:
            self.began = NEVER
        return self.began

    def take(self, home: HomeTwin, mean: float, at: int) -> None:
        value = mean
        if self.spec.measure == "wbgt":
            humid_at = home.taken.get("humidity", NEVER)
            if humid_at == NEVER or at - humid_at > self.spec.unknown_after:
                return
            rh = home.value["humidity"]
            value = 0.735 * mean + 0.0374 * rh + 0.00292 * mean * rh - 4.064
        self.told_at = at
        limits, cold = self.spec.high or self.spec.low, bool(self.spec.low)
        for priority, limit in limits.items():
            if (value <= limit) if cold else (value >= limit):
                self.beyond.setdefault(priority, at)
            else:
                self.beyond.pop(priority, None)
        margin = self.spec.clear_margin
        inside = value > max(limits.values()) + margin if cold else value < min(limits.values()) - margin
        if not inside:
            self.inside_since = NEVER
        elif self.inside_since == NEVER:
            self.inside_since = at
