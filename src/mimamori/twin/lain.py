"""Twin of the kind about long stays in bed: stay."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from mimamori.model.findings import Verdict
from mimamori.model.times import DAY, HOUR, NEVER
from mimamori.rules import stay
from mimamori.rules.changes import LEVELS
from mimamori.rules.spec import Rule, Stay
from mimamori.twin.slow import half
from mimamori.twin.vitals import Judged

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin


class StayTwin:
    """`kind = "stay"`: the ten minutes of the last day in which somebody lay in bed, and what both sums usually are."""

    every = stay.CELL

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Stay)
        self.spec, self.zone = rule.condition, home.zone
        self.lain: set[int] = set()  # ten minutes since 1970 that end there
        self.seen = self.days = self.level = 0
        self.prior = (self.spec.start_by_day / HOUR, self.spec.start_in_all / HOUR)
        self.usual, self.spread = [0.0, 0.0], [stay.PRIOR_SPREAD**2] * 2
        self.beyond = dict.fromkeys(self.spec.more_by_day, 0)

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        bed, now = home.value.get("in_bed"), at // stay.CELL
        known = bed is not None and not home.bed_silent
        self.lain = {slot for slot in self.lain if now - slot < stay.SLOTS}
        if known and bed:
            self.lain.add(now)
        self.seen = min(self.seen + known, stay.SLOTS)
        by_day = sum(self.spec.by_day.holds(self.zone.time_of_day(slot * stay.CELL - 1)) for slot in self.lain)
        hours = [by_day / stay.AN_HOUR, len(self.lain) / stay.AN_HOUR]
        level = self.grade(hours, at, lies=bool(bed))
        if known:
            self.level = level
        if self.zone.time_of_day(at) // stay.CELL == self.spec.by_day.end % DAY // stay.CELL:
            self.learn(hours)
        if bed is None:
            return None
        run = next((k for k in range(stay.SLOTS) if now - k not in self.lain), stay.SLOTS)
        since = at - run * stay.CELL if self.level and run else NEVER
        verdict = Verdict.FIRING if self.level else Verdict.CLEAR
        return (verdict if known else Verdict.UNKNOWN), self.level, since

    def begin_anew(self, _: int) -> None:
        self.lain, self.seen, self.level = set(), 0, 0
        self.beyond = dict.fromkeys(self.beyond, 0)

    def deviation(self, part: int) -> float:
        return max(sqrt(self.spread[part]), stay.LEAST_SPREAD)

    def grade(self, hours: list[float], at: int, *, lies: bool) -> int:
        day, level = self.spec.by_day.holds(self.zone.time_of_day(at - 1)), 0
        more = [h - max(p + u, 0) for h, p, u in zip(hours, self.prior, self.usual, strict=True)]
        for priority in (p for p in stay.PRIORITIES if p in self.beyond):
            value = int(LEVELS[priority])
            margin = stay.ENDS_BELOW if self.level >= value else 0.0
            limits = self.spec.more_by_day[priority] / HOUR, self.spec.more_in_all[priority] / HOUR
            over = [more[k] >= max(limits[k], self.spec.deviations * self.deviation(k)) - margin for k in (0, 1)]
            beyond = over[1] or (over[0] and day)
            self.beyond[priority] = min(self.beyond[priority] + 1, 255) if beyond else 0
            begun = lies and self.beyond[priority] >= self.spec.hold // stay.CELL
            if beyond and (self.level >= value or begun):
                level = value
        return level

    def learn(self, hours: list[float]) -> None:
        if self.seen >= stay.SEEN * stay.SLOTS and hours[1] >= stay.SLEPT_HERE:
            rate = max(stay.RATE, 1 / (stay.PRIOR_COUNT + self.days))
            for k in (0, 1):
                furthest = stay.FURTHEST * self.deviation(k)
                off = min(max(hours[k] - self.prior[k] - self.usual[k], -furthest), furthest)
                self.usual[k] = half(self.usual[k] + rate * off)
                self.spread[k] = half((1 - rate) * (self.spread[k] + rate * off**2))
            self.days = min(self.days + 1, 255)
        self.seen = 0
