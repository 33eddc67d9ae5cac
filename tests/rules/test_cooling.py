"""A cooling room against a naive twin: one household, plain Python, from noon to noon."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan, nan, sqrt

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND, parse_instant, zone_table
from mimamori.rules import cooling as cooling_module
from mimamori.rules.engine import Engine
from mimamori.rules.latest import CELL
from mimamori.rules.spec import Cooling, Rule
from mimamori.site import load_site

METRICS = Metrics()
MIDNIGHT = parse_instant("2026-01-15T00:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")
TEN = 10 * MINUTE
ROOM, POWER, BED, MOTION = (METRICS.index(m) for m in ("temperature", "power", "in_bed", "motion"))


def half(value: float) -> float:
    return float(np.float16(value))


@dataclass(slots=True)
class CoolingTwin:
    """The docstrings of cooling.py for one household without a door sensor."""

    spec: Cooling
    value: dict[int, float] = field(default_factory=dict)  # newest by metric
    taken: dict[int, int] = field(default_factory=dict)
    sign: int | None = None
    mean: list[float] = field(default_factory=lambda: [0.0, 0.0])
    spread: list[float] = field(default_factory=lambda: [cooling_module.PRIOR_SPREAD**2] * 2)
    days: list[int] = field(default_factory=lambda: [0, 0])
    coldest: float = nan
    warm: list[float] = field(default_factory=list)
    drawn: list[float] = field(default_factory=list)
    run: int = 0
    watts: float = 0.0
    usual_watts: float = 0.0
    before: float = nan
    fall: float = 0.0
    held: int = 0
    level: int = 0

    def __call__(self, at: int) -> tuple[int, int, int]:
        if ROOM not in self.value:
            return Verdict.UNKNOWN, 0, NEVER
        known = at - self.taken[ROOM] <= self.spec.unknown_after
        self.take(at, self.value[ROOM] if known else nan)
        self.judge(self.value[ROOM], at, known=known)
        if ZONE.time_of_day(at) // TEN == cooling_module.LEARN_AT // TEN:
            self.learn()
        verdict = Verdict.FIRING if self.level else Verdict.PENDING if self.held else Verdict.CLEAR
        return (verdict if known else Verdict.UNKNOWN), self.level, at - self.held * TEN if self.held else NEVER

    def take(self, at: int, room: float) -> None:
        if POWER in self.taken and self.taken[POWER] > at - cooling_module.POWER_TOLD:
            self.watts = half(self.watts + cooling_module.HOURLY * (self.value[POWER] - self.watts))
        up = self.sign is not None and self.sign > at - cooling_module.LAST_SIGN and not self.value.get(BED)
        self.run = min(self.run + 1, 255) if up else 0
        change = (room - self.before) * 6
        self.fall = 0.0 if isnan(change) else half(self.fall + cooling_module.SLOPE * (change - self.fall))
        self.before = half(room)
        if isnan(room):
            return
        self.coldest = half(room) if isnan(self.coldest) else min(self.coldest, half(room))
        if self.run >= cooling_module.WARM_AFTER and not self.level:
            self.warm.append(self.before)
            self.drawn.append(self.watts)

    def limits(self) -> list[float]:
        gone = self.usual_watts > 0 and self.watts < cooling_module.POWER_GONE * self.usual_watts
        least = self.spec.below_coldest, self.spec.drop_unheated if gone else self.spec.drop
        start = self.spec.start_coldest, self.spec.start_up
        return [s + m - max(x, 3 * sqrt(v)) for s, m, x, v in zip(start, self.mean, least, self.spread, strict=True)]

    def judge(self, room: float, at: int, *, known: bool) -> None:
        low, warm = self.limits()
        limit = max(low, warm) if self.run >= cooling_module.WARM_AFTER else low
        seen = self.value.get(BED) or (self.sign is not None and self.sign > at - cooling_module.AT_HOME)
        below = room <= self.spec.only_below and room <= limit and self.fall <= cooling_module.RISES and seen
        lasts = self.level > 0 and room < limit + cooling_module.ENDS_ABOVE
        self.held = min(self.held + 1, 255) if below or lasts else 0
        if not known:
            return
        firing = self.held > 0 and (self.level > 0 or self.held >= self.spec.hold // TEN)
        left = (self.before - cooling_module.TOWARDS) / max(-self.fall, 1e-3) if self.fall < 0 else 99.0
        high = room <= self.spec.high_below or left <= cooling_module.SOON
        self.level = 0 if not firing else Level.HIGH if high else max(self.level, Level.MEDIUM)

    def learn(self) -> None:
        start = self.spec.start_coldest, self.spec.start_up
        enough = len(self.warm) >= cooling_module.SEEN_UP
        value = [self.coldest, sum(self.warm) / len(self.warm) if enough else nan]
        for k in (0, 1):
            if isnan(value[k]):
                continue
            rate = max(cooling_module.RATE, 1 / (cooling_module.PRIOR_COUNT + self.days[k]))
            if k == 1:
                drawn = sum(self.drawn) / len(self.drawn)
                first = self.days[k] == 0
                self.usual_watts = half(drawn if first else self.usual_watts + rate * (drawn - self.usual_watts))
            furthest = cooling_module.ABOVE * max(sqrt(self.spread[k]), cooling_module.LEAST_SPREAD)
            off = min(max(value[k] - start[k] - self.mean[k], -furthest), furthest)
            self.mean[k] = half(self.mean[k] + rate * off)
            self.spread[k] = half((1 - rate) * (self.spread[k] + rate * off**2))
            self.days[k] = min(self.days[k] + 1, 255)
        self.coldest, self.warm, self.drawn = nan, [], []


def winter(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three rooms over eight days: heated by day, with hours without a word, and the heating broken now and then."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    for home in range(3):
        device = [homes.add_device(f"A-0{home}", name) for name in ("room", "meter", "bed", "hall")]
        warmth, broken, dumb = 18.0, 0, 0
        for minute in range(0, 8 * 1440, 5):
            clock = minute % 1440
            up = 400 < clock < 1350
            broken = broken - 1 if broken else int(rng.integers(100, 300)) * (rng.random() < 0.0015)
            dumb = dumb - 1 if dumb else int(rng.integers(5, 60)) * (rng.random() < 0.002)
            warmth += 0.03 * ((21 if up and not broken else -2 if broken else 14) - warmth) + rng.normal(0, 0.05)
            at = MIDNIGHT + minute * MINUTE + int(rng.integers(0, 200)) * SECOND
            if not dumb:
                rows.append((home, device[0], ROOM, round(warmth, 1), at, at, 0))
            if home < 2:
                rows.append(
                    (home, device[1], POWER, round(200 + 700 * (up and not broken) + rng.normal(0, 9)), at, at, 0)
                )
            rows.append((home, device[2], BED, float(not up), at, at, 0))
            if up and rng.random() < 0.5:
                rows.append((home, device[3], MOTION, 1.0, at + 1, at + 1, 0))
    return homes, reading_batch(sorted(rows, key=lambda r: r[5]))


@pytest.fixture(scope="module")
def rule() -> Rule:
    return next(r for r in load_site().rules if isinstance(r.condition, Cooling))


@pytest.mark.parametrize("seed", range(3))
def test_cooling_equals_its_twin(rule: Rule, seed: int) -> None:
    assert isinstance(rule.condition, Cooling)
    homes, batch = winter(seed)
    end = int(batch.got.max()) + HOUR
    findings = Engine(homes, [rule], METRICS, ZONE, capacity=1).step(batch, end)
    assert Level.HIGH in findings.level
    first = -(-(int(batch.got.min()) - CELL) // TEN) * TEN
    for home in range(len(homes)):
        mine = batch.take(batch.home == home)
        cells = (-(-mine.got // CELL) * CELL).tolist()
        twin, old, out, done, bed = CoolingTwin(rule.condition), (int(Verdict.UNKNOWN), 0), [], 0, None
        for at in range(first, end, TEN):
            while done < len(cells) and cells[done] <= at:
                metric, value, taken = int(mine.metric[done]), float(mine.value[done]), int(mine.taken[done])
                twin.value[metric], twin.taken[metric] = value, taken
                if metric == MOTION or (metric == BED and bed is not None and value != bed):
                    twin.sign = max(taken, twin.sign or taken)
                bed = value if metric == BED else bed
                done += 1
            verdict, level, since = twin(at)
            if (verdict, level) != old:
                old = (int(verdict), int(level))
                out.append((at, *old, since))
        said = findings.take(findings.home == home)
        told = zip(*(getattr(said, n).tolist() for n in ("at", "verdict", "level", "since")), strict=True)
        assert list(told) == out


def test_a_broken_heater_is_told_of_before_the_room_is_cold(rule: Rule) -> None:
    """Six ordinary days; on the seventh the heating stops at two in the afternoon, and the room loses 1.5 an hour."""
    homes, rows = Homes(), []
    room, hall = homes.add_device("A-00", "room"), homes.add_device("A-00", "hall")
    stops = 6 * 1440 + 14 * 60
    for minute in range(0, 6 * 1440 + 24 * 60, 10):
        clock, at = minute % 1440, MIDNIGHT + minute * MINUTE
        up = 400 <= clock < 1350
        night = max(16.0, 21 - (clock - 1350) % 1440 / 40)
        warmth = (21.0 if up else night) if minute < stops else 21 - (minute - stops) / 40
        rows.append((0, room, ROOM, warmth, at, at, 0))
        rows += [(0, hall, MOTION, 1.0, at, at, 0)] if up else []
    batch = reading_batch(rows)
    findings = Engine(homes, [rule], METRICS, ZONE).step(batch, int(batch.got.max()))
    fired = findings.take(findings.verdict == Verdict.FIRING)
    hours = [(at - MIDNIGHT) / HOUR - stops / 60 for at in fired.at.tolist()]
    assert 1.5 <= hours[0] <= 2.8  # at 17 to 19 degrees; the rule about cold would have waited for 16
    assert fired.level.tolist() == [Level.MEDIUM, Level.HIGH]  # 10 degrees are less than three hours away
    assert hours[1] <= 5


def test_the_usual_follows_a_home_that_lives_colder(rule: Rule) -> None:
    """A first mild day, then nights of 11 degrees: that is learned, and told of by nobody after some days."""
    homes, rows = Homes(), []
    room, mat = homes.add_device("A-00", "room"), homes.add_device("A-00", "bed")
    for minute in range(0, 20 * 1440, 10):
        day, clock = divmod(minute, 1440)
        at, lies = MIDNIGHT + minute * MINUTE, clock < 420 or clock > 1300
        night = 14.5 if day == 0 else 11.0 + 0.3 * (day % 3)
        rows += [(0, room, ROOM, night if lies else 19.0, at, at, 0), (0, mat, BED, float(lies), at, at, 0)]
    batch = reading_batch(rows)
    engine = Engine(homes, [rule], METRICS, ZONE)
    found = engine.step(batch, int(batch.got.max()))
    assert not (found.verdict[found.at > MIDNIGHT + 8 * 24 * HOUR] == Verdict.FIRING).any()
    assert 10.5 <= 13 + float(engine.view("heater-failed.mean")[0, 0]) <= 12.5
