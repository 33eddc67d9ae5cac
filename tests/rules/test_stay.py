"""Long in bed against a naive twin: one household, plain Python, a list of ten-minute slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, parse_instant, zone_table
from mimamori.rules import stay as stay_module
from mimamori.rules.engine import Engine
from mimamori.rules.latest import CELL
from mimamori.rules.spec import Rule, Stay
from mimamori.site import load_site

METRICS = Metrics()
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")
TEN = 10 * MINUTE
BED = METRICS.index("in_bed")


def half(value: float) -> float:
    return float(np.float16(value))


@dataclass(slots=True)
class StayTwin:
    """The docstrings of stay.py for one household."""

    spec: Stay
    slots: dict[int, bool] = field(default_factory=dict)  # ten minutes since 1970 that end there
    bed: float | None = None
    seen: int = 0
    usual: list[float] = field(default_factory=lambda: [0.0, 0.0])
    spread: list[float] = field(default_factory=lambda: [stay_module.PRIOR_SPREAD**2] * 2)
    days: int = 0
    beyond: dict[str, int] = field(default_factory=lambda: {"low": 0, "medium": 0})
    level: int = 0

    def __call__(self, at: int) -> tuple[int, int, int]:
        known, now = self.bed is not None, at // TEN
        self.slots[now] = bool(self.bed)
        self.seen = min(self.seen + known, 144)
        last = [now - k for k in range(144)]
        by_day = [s for s in last if self.spec.by_day.holds(ZONE.time_of_day(s * TEN - 1))]
        hours = [sum(self.slots.get(s, False) for s in part) / 6 for part in (by_day, last)]
        prior = [self.spec.start_by_day / HOUR, self.spec.start_in_all / HOUR]
        more = [h - max(p + u, 0) for h, p, u in zip(hours, prior, self.usual, strict=True)]
        deviation = [max(sqrt(s), stay_module.LEAST_SPREAD) for s in self.spread]
        level = 0
        for priority, value in (("low", Level.LOW), ("medium", Level.MEDIUM)):
            margin = stay_module.ENDS_BELOW if self.level >= value else 0
            limits = self.spec.more_by_day[priority] / HOUR, self.spec.more_in_all[priority] / HOUR
            over = [
                m >= max(x, self.spec.deviations * d) - margin for m, x, d in zip(more, limits, deviation, strict=True)
            ]
            at_day = self.spec.by_day.holds(ZONE.time_of_day(at - 1))
            beyond = over[1] or (over[0] and at_day)
            self.beyond[priority] = min(self.beyond[priority] + 1, 255) if beyond else 0
            if beyond and (self.level >= value or (self.bed and self.beyond[priority] >= self.spec.hold // TEN)):
                level = value
        self.level = level if known else self.level
        if ZONE.time_of_day(at) // TEN == self.spec.by_day.end % DAY // TEN:
            self.learn(hours, prior)
        run = next((k for k, s in enumerate(last) if not self.slots.get(s, False)), 144)
        since = at - run * TEN if self.level and run else NEVER
        verdict = Verdict.FIRING if self.level else Verdict.CLEAR
        return (verdict if known else Verdict.UNKNOWN), self.level, since

    def learn(self, hours: list[float], prior: list[float]) -> None:
        if self.seen >= stay_module.SEEN * 144 and hours[1] >= stay_module.SLEPT_HERE:
            rate = max(stay_module.RATE, 1 / (stay_module.PRIOR_COUNT + self.days))
            for k in (0, 1):
                furthest = stay_module.FURTHEST * max(sqrt(self.spread[k]), stay_module.LEAST_SPREAD)
                off = min(max(hours[k] - prior[k] - self.usual[k], -furthest), furthest)
                self.usual[k] = half(self.usual[k] + rate * off)
                self.spread[k] = half((1 - rate) * (self.spread[k] + rate * off**2))
            self.days = min(self.days + 1, 255)
        self.seen = 0


def lives(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three beds over twelve days: nights, naps, a day in bed now and then, hours without a word, a night elsewhere."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    for home in range(3):
        mat = homes.add_device(f"A-0{home}", "bed")
        for day in range(12):
            rise, bed = rng.normal(390, 30), rng.normal(1320, 30)
            nap, nap_for = rng.normal(800, 60), rng.choice([0, 0, 60, 150])
            kind = rng.choice(["plain", "ill", "dumb", "away"], p=[0.6, 0.2, 0.1, 0.1])
            for minute in range(0, 1440, 4):
                lies = minute < rise or minute > bed or nap < minute < nap + nap_for
                lies = lies or (kind == "ill" and minute % 300 > 60)
                if (kind == "dumb" and 300 < minute < 1200) or (home == 2 and day == 0):
                    continue
                at = MIDNIGHT + (day * 1440 + minute) * MINUTE + int(rng.integers(0, 200)) * SECOND
                rows.append((home, mat, BED, float(lies and kind != "away"), at, at, 0))
    return homes, reading_batch(sorted(rows, key=lambda r: r[5]))


@pytest.fixture(scope="module")
def rule() -> Rule:
    return next(r for r in load_site().rules if isinstance(r.condition, Stay))


@pytest.mark.parametrize("seed", range(3))
def test_stay_equals_its_twin(rule: Rule, seed: int) -> None:
    assert isinstance(rule.condition, Stay)
    homes, batch = lives(seed)
    end = int(batch.got.max()) + 30 * MINUTE
    findings = Engine(homes, [rule], METRICS, ZONE, capacity=1).step(batch, end)
    assert {Level.LOW, Level.MEDIUM} <= set(findings.level.tolist())
    first = -(-(int(batch.got.min()) - CELL) // TEN) * TEN
    for home in range(len(homes)):
        mine = batch.take(batch.home == home)
        cells = -(-mine.got // CELL) * CELL
        twin, old, out = StayTwin(rule.condition), (int(Verdict.UNKNOWN), 0), []
        for at in range(first, end, TEN):
            heard = np.flatnonzero(cells <= at)
            twin.bed = float(mine.value[heard[np.argmax(mine.taken[heard])]]) if len(heard) else None
            verdict, level, since = twin(at)
            if (verdict, level) != old:
                old = (int(verdict), int(level))
                out.append((at, *old, since))
        said = findings.take(findings.home == home)
        told = zip(*(getattr(said, n).tolist() for n in ("at", "verdict", "level", "since")), strict=True)
        assert list(told) == out


def test_who_naps_long_every_day_is_left_in_peace(rule: Rule) -> None:
    """Two households lie down from one to five: one on every day, the other on the last alone."""
    homes, rows = Homes(), []
    for home, naps in enumerate((range(15), range(14, 15))):
        mat = homes.add_device(f"A-0{home}", "bed")
        for minute in range(0, 15 * 1440, 5):
            day, clock = divmod(minute, 1440)
            lies = clock < 390 or clock > 1320 or (day in naps and 780 <= clock < 1020)
            at = MIDNIGHT + minute * MINUTE
            rows.append((home, mat, BED, float(lies), at, at, 0))
    batch = reading_batch(sorted(rows, key=lambda r: r[5]))
    findings = Engine(homes, [rule], METRICS, ZONE).step(batch, int(batch.got.max()))
    last = findings.take(findings.at > MIDNIGHT + 14 * DAY)
    assert last.home[last.verdict == Verdict.FIRING].tolist() == [1]
