"""Twins of the kinds about getting up and lying down: away, rise, count."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import TYPE_CHECKING

from mimamori.model.findings import Level, Verdict
from mimamori.model.times import DAY, MINUTE, NEVER
from mimamori.rules import away, count, rise
from mimamori.rules.changes import LEVELS
from mimamori.rules.fold import SETTLES
from mimamori.rules.spec import Away, Count, Rise, Rule
from mimamori.twin.slow import half
from mimamori.twin.vitals import Judged, single

if TYPE_CHECKING:
    from mimamori.twin.home import HomeTwin


class AwayTwin:
    """`kind = "away"`: the log-minutes of its absences, one after another."""

    every = MINUTE

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Away)
        self.spec, self.zone = rule.condition, home.zone
        self.before: float | None = None
        self.left = NEVER
        self.level = self.count = 0
        self.mean = log(self.spec.start_limit / MINUTE) - away.Z99 * away.PRIOR_SPREAD
        self.variance = away.PRIOR_SPREAD**2
        self.rise, self.rise_variance = 0.0, away.RISE_SPREAD**2
        self.waits = False  # for the first word after an absence

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        bed = home.value.get("in_bed")
        self.waits = self.waits and not home.fresh
        if bed is None or self.waits:
            return None
        self.follow(home, bed, at)
        self.before = bed
        patience, limit = self.patience(at), self.limit()
        gone = 0 if self.left == NEVER else at - self.left
        quiet = at - max(self.left, home.sign)
        firing = self.left != NEVER and gone >= limit * patience
        begins = quiet >= self.spec.no_sign_for * patience and home.bed_talks(at)
        firing = firing and (begins or self.level > 0)
        self.level = int(Level.MEDIUM) if firing else int(Level.NONE)
        if firing and gone >= limit * patience * self.spec.high_after:
            self.level = int(Level.HIGH)
        if not firing and self.left != NEVER and not self.spec.between.holds(self.zone.time_of_day(at)):
            self.risen(at)
        verdict = Verdict.FIRING if firing else Verdict.CLEAR if self.left == NEVER else Verdict.PENDING
        return (Verdict.UNKNOWN if home.bed_silent else verdict), self.level, self.left

    def begin_anew(self, _: int) -> None:
        self.before, self.left, self.level, self.waits = None, NEVER, 0, True

    def follow(self, home: HomeTwin, bed: float, at: int) -> None:
        if self.before and bed == 0 and self.spec.between.holds(self.zone.time_of_day(at - 1)):
            self.left = home.taken["in_bed"]
        if bed > 0 and self.left != NEVER:
            if not self.level:
                self.learn(max((home.taken["in_bed"] - self.left) / MINUTE, 0.5))
            self.left = NEVER
        if NEVER not in {self.left, home.sign}:
            long = float(self.spec.shortest_limit)
            if self.rises(at, away.Z99):
                long = min(away.STAYS_UP * long, exp(self.mean) * MINUTE)
            if home.sign - self.left >= long:
                self.risen(at)  # up and about

    def learn(self, minutes: float) -> None:
        rate = max(away.RATE, 1 / (away.PRIOR_COUNT + self.count))
        off = log(minutes) - self.mean
        self.mean += rate * off
        self.variance = (1 - rate) * (self.variance + rate * off**2)
        self.count += 1

    def before_end(self, at: int) -> float:
        begun = (self.zone.time_of_day(at - 1) + 1 - self.spec.between.begin) % DAY
        return (self.spec.between.length - begun + at - self.left) / MINUTE

    def patience(self, at: int) -> float:
        return away.RISING if self.left != NEVER and self.rises(at, away.Z95) else 1.0

    def rises(self, at: int, z: float) -> bool:
        return self.before_end(at) <= self.rise + z * sqrt(self.rise_variance)

    def risen(self, at: int) -> None:
        before = self.before_end(at)
        if before <= self.spec.between.length / MINUTE / 2:
            furthest = away.FURTHEST * sqrt(self.rise_variance)
            off = min(max(before - self.rise, -furthest), furthest)
            self.rise = single(self.rise + away.RISE_RATE * off)
            self.rise_variance = single((1 - away.RISE_RATE) * (self.rise_variance + away.RISE_RATE * off**2))
        self.left = NEVER

    def limit(self) -> float:
        minutes = exp(self.mean + away.Z99 * sqrt(self.variance))
        return min(max(minutes * MINUTE, self.spec.shortest_limit), self.spec.longest_limit)


class RiseTwin:
    """`kind = "rise"`: mean and variance of the time of rising."""

    every = rise.CELL

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Rise)
        self.spec, self.zone, self.priority = rule.condition, home.zone, int(LEVELS[rule.priority])
        self.prior = (self.spec.start_limit - self.spec.margin) / MINUTE - rise.Z99 * rise.PRIOR_SPREAD
        self.mean, self.variance = 0.0, rise.PRIOR_SPREAD**2  # departure from the prior
        self.mornings = self.level = 0
        self.empty = self.up = self.unheard = NEVER

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        bed = home.value.get("in_bed")
        if home.bed_silent:
            self.unheard = at
        if bed is None:
            return None
        if bed > 0:
            self.empty = NEVER
        elif self.empty == NEVER:
            self.empty = home.taken["in_bed"]
        time_of_day = self.zone.time_of_day(at - 1) + 1
        begin = at - time_of_day + self.spec.between.begin
        morning = self.spec.between.holds(time_of_day - 1)
        if morning and self.up < begin and self.empty != NEVER and at - self.empty >= self.spec.up_for:
            self.rise(begin, time_of_day / MINUTE, at)
        limit = min(
            self.prior + self.mean + rise.Z99 * sqrt(self.variance) + self.spec.margin / MINUTE,
            self.spec.latest / MINUTE,
        )
        over = time_of_day / MINUTE - limit
        due = morning and self.up < begin and over >= 0 and self.unheard <= at - self.spec.margin
        if bed > 0 and (self.level or due):
            high = morning and over >= self.spec.high_after / MINUTE
            self.level = int(Level.HIGH) if high else max(self.level, self.priority)
        else:
            self.level = 0
        usual = min(max((self.prior + self.mean) * MINUTE, 0), DAY)
        verdict = Verdict.UNKNOWN if home.bed_silent else Verdict.FIRING if self.level else Verdict.CLEAR
        return verdict, self.level, at - time_of_day + int(usual)

    def begin_anew(self, at: int) -> None:
        self.empty, self.level = NEVER, 0
        self.up = at  # whoever comes home has risen today

    def rise(self, begin: int, minutes: float, at: int) -> None:
        if self.empty >= begin - rise.AWAKE_BEFORE:
            rate = max(rise.RATE, 1 / (rise.PRIOR_COUNT + self.mornings))
            furthest = rise.FURTHEST * sqrt(self.variance)
            off = minutes - (at - self.empty) / MINUTE - self.prior - self.mean
            off = min(max(off, -furthest), furthest)
            self.mean = single(self.mean + rate * off)
            self.variance = single((1 - rate) * (self.variance + rate * off**2))
            self.mornings = min(self.mornings + 1, 1000)
        self.up = max(self.empty, begin)


class CountTwin:
    """`kind = "count"`: the set of minutes up and about."""

    every = MINUTE

    def __init__(self, rule: Rule, home: HomeTwin) -> None:
        assert isinstance(rule.condition, Count)
        self.spec, self.zone, self.priority = rule.condition, home.zone, int(LEVELS[rule.priority])
        self.prior = self.spec.start_limit - count.ABOVE * count.PRIOR_SPREAD
        self.up: set[int] = set()  # minutes since 1970 at whose end a sign out of bed was seen
        self.settled = False
        self.peak = self.level = self.nights = 0
        self.usual, self.spread = 0.0, count.PRIOR_SPREAD**2
        self.run = self.longest = 0
        self.over = 0.0
        self.waits = False  # for the first word after an absence

    def judge(self, home: HomeTwin, at: int) -> Judged | None:
        spoken, window = bool(home.minute), self.spec.window // MINUTE
        self.waits = self.waits and not home.fresh
        if self.waits:
            return None
        if self.spec.between.holds(self.zone.time_of_day(at - 1)):
            self.take(home, at, window, spoken=spoken)
            if not self.spec.between.holds(self.zone.time_of_day(at)):
                self.end_night()
        else:
            self.up.clear()
            self.run = 0
        sees = any(kind in {"motion", "bed"} and device not in home.silent for device, kind in home.kind.items())
        many, limit = len(self.up), self.limit()
        wait = min(count.MARGIN * self.over, count.LONGEST)
        waited = self.level > 0 or self.run >= wait or self.gone(home, at)
        firing = sees and ((many >= limit and waited) or (self.level > 0 and not spoken))
        door = home.door != NEVER and at - home.door < self.spec.window
        self.level = 0 if not firing else int(Level.HIGH) if door else max(self.level, self.priority)
        pending = many >= limit * self.spec.pending_at
        verdict = Verdict.FIRING if firing else Verdict.PENDING if pending else Verdict.CLEAR
        verdict = verdict if sees else Verdict.UNKNOWN
        return verdict, self.level, (min(self.up) - 1) * MINUTE if self.up else NEVER

    def take(self, home: HomeTwin, at: int, window: int, *, spoken: bool) -> None:
        now, in_bed = at // MINUTE, home.value.get("in_bed", 0) > 0
        self.up = {m for m in self.up if now - m < window}
        if spoken and home.sign != NEVER:
            ago = (at - home.sign) // MINUTE
            if self.settled and not in_bed and 0 <= ago < window:
                self.up.add(now - ago)
            bed = home.taken.get("in_bed", NEVER)
            self.settled |= min(at - home.sign, at - bed) >= self.spec.settled_after
        self.settled |= spoken and in_bed
        self.peak = max(self.peak, len(self.up))
        self.run = min(self.run, 254) + 1 if len(self.up) >= self.limit() else 0
        self.longest = max(self.longest, self.run)

    def begin_anew(self, _: int) -> None:
        self.up, self.settled, self.waits = set(), False, True
        self.peak = self.run = self.longest = self.level = 0

    def gone(self, home: HomeTwin, at: int) -> bool:
        out = home.door != NEVER and count.GONE <= at - home.door < self.spec.window // MINUTE * MINUTE
        return out and home.sign <= home.door + SETTLES

    def end_night(self) -> None:
        if self.settled:
            rate = max(count.RATE, 1 / (count.PRIOR_COUNT + self.nights))
            off = min(self.peak, self.limit()) - self.prior - self.usual
            self.usual = half(self.usual + rate * off)
            self.spread = half((1 - rate) * (self.spread + rate * off**2))
            self.over = half(max(float(self.longest), count.FADES * self.over))
            self.nights = min(self.nights + 1, 255)
        self.settled, self.peak, self.longest = False, 0, 0

    def limit(self) -> float:
        own = self.prior + self.usual + count.ABOVE * sqrt(self.spread)
        return min(max(own, self.spec.lowest_limit), self.spec.highest_limit)
