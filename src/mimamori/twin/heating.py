"""Twin of the kind about a failed heater: cooling."""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import TYPE_CHECKING

from mimamori.model.findings import Level, Verdict
from mimamori.model.times import HOUR, NEVER
from mimamori.rules import cooling
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import Cooling, Rule
from mimamori.twin.slow import half
from mimamori.twin.vitals import single

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin


class CoolingTwin:
    """`kind = "cooling"`: the room from noon to noon, and how warm it is while somebody is up."""

    every = cooling.CELL

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Cooling)
        self.spec, self.zone, self.priority = rule.condition, home.zone, int(LEVELS[rule.priority])
        self.start = self.spec.start_coldest, self.spec.start_up
        self.mean, self.spread, self.days = [0.0, 0.0], [cooling.PRIOR_SPREAD**2] * 2, [0, 0]
        self.coldest = self.before = nan
        self.warm = self.drawn = self.watts = self.usual_watts = self.fall = 0.0
        self.cells = self.run = self.held = self.level = 0

    def judge(self, home: HomeTwin, at: int) -> tuple[int, int, int] | None:
        if "temperature" not in home.taken:
            return None
        room, known = home.value["temperature"], at - home.taken["temperature"] <= self.spec.unknown_after
        self.take(home, at, room if known else nan)
        level = self.grade(home, at, room)
        if known:
            self.level = level
        if self.zone.time_of_day(at) // cooling.CELL == cooling.LEARN_AT // cooling.CELL:
            self.learn()
        verdict = Verdict.FIRING if self.level else Verdict.PENDING if self.held else Verdict.CLEAR
        since = at - self.held * cooling.CELL if self.held else NEVER
        return (verdict if known else Verdict.UNKNOWN), self.level, since

    def begin_anew(self, _: int) -> None:
        self.coldest = self.before = nan
        self.warm = self.drawn = self.fall = 0.0
        self.cells = self.run = self.held = self.level = 0

    def take(self, home: HomeTwin, at: int, room: float) -> None:
        told = home.taken.get("power", NEVER)
        if told != NEVER and told > at - cooling.POWER_TOLD:
            self.watts = half(self.watts + cooling.HOURLY * (home.value["power"] - self.watts))
        up = home.sign != NEVER and home.sign > at - cooling.LAST_SIGN
        up = up and not home.value.get("in_bed", 0) > 0 and not home.out
        self.run = min(self.run + 1, 255) if up else 0
        change = (room - self.before) * (HOUR // cooling.CELL)
        self.fall = 0.0 if isnan(change) else half(self.fall + cooling.SLOPE * (change - self.fall))
        self.before = half(room)
        if isnan(room):
            return
        self.coldest = self.before if isnan(self.coldest) else min(self.coldest, self.before)
        if self.run >= cooling.WARM_AFTER and not self.level:
            self.warm, self.drawn = single(self.warm + self.before), single(self.drawn + self.watts)
            self.cells = min(self.cells + 1, 255)

    def limit(self, which: int) -> float:
        least = self.spec.below_coldest
        if which == cooling.UP:
            gone = self.usual_watts > 0 and self.watts < cooling.POWER_GONE * self.usual_watts
            least = self.spec.drop_unheated if gone else self.spec.drop
        return self.start[which] + self.mean[which] - max(least, cooling.ABOVE * sqrt(self.spread[which]))

    def grade(self, home: HomeTwin, at: int, room: float) -> int:
        limit = self.limit(cooling.COLDEST)
        if self.run >= cooling.WARM_AFTER:
            limit = max(limit, self.limit(cooling.UP))
        lately = home.sign != NEVER and home.sign > at - cooling.AT_HOME
        seen = (home.value.get("in_bed", 0) > 0 or lately) and not home.out
        below = room <= self.spec.only_below and room <= limit and self.fall <= cooling.RISES and seen
        lasts = self.level > 0 and room < limit + cooling.ENDS_ABOVE
        self.held = min(self.held + 1, 255) if below or lasts else 0
        if not self.held or not (self.level or self.held >= self.spec.hold // cooling.CELL):
            return 0
        falls = self.fall < 0 and not isnan(self.before)
        left = max(self.before - cooling.TOWARDS, 0.0) / max(-self.fall, 1e-3) if falls else cooling.NEVER_SO
        danger = room <= self.spec.high_below or left <= cooling.SOON
        return int(Level.HIGH) if danger else max(self.level, self.priority)

    def learn(self) -> None:
        told = (not isnan(self.coldest), self.cells >= cooling.SEEN_UP)
        for k in (cooling.COLDEST, cooling.UP):
            if not told[k]:
                continue
            rate = max(cooling.RATE, 1 / (cooling.PRIOR_COUNT + self.days[k]))
            value = self.coldest if k == cooling.COLDEST else self.warm / self.cells
            furthest = cooling.ABOVE * max(sqrt(self.spread[k]), cooling.LEAST_SPREAD)
            off = min(max(value - (self.start[k] + self.mean[k]), -furthest), furthest)
            if k == cooling.UP:
                drawn = self.drawn / self.cells
                more = rate * (drawn - self.usual_watts)
                self.usual_watts = half(drawn if self.days[k] == 0 else self.usual_watts + more)
            self.mean[k] = half(self.mean[k] + rate * off)
            self.spread[k] = half((1 - rate) * (self.spread[k] + rate * off**2))
            self.days[k] = min(self.days[k] + 1, 255)
        self.coldest, self.warm, self.drawn, self.cells = nan, 0.0, 0.0, 0
