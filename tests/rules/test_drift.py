"""Slow changes against a naive twin: one household, plain Python, a list of days."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from statistics import median

import numpy as np
import pytest

from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, parse_instant, zone_table
from mimamori.rules import drift as drift_module
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Drift, Rule
from mimamori.site import load_site

METRICS = Metrics()
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")
RULES = [r for r in load_site().rules if isinstance(r.condition, Drift)]
half = np.float16


@dataclass(slots=True)
class DriftTwin:
    """The docstrings of drift.py for one household: at each ten minutes, its newest value is looked at."""

    spec: Drift
    today: list[float] = field(default_factory=list)
    days: list[float] = field(default_factory=list)
    weeks: int = 0
    usual: float = 0.0
    spread: float = 0.0
    up: float = 0.0
    down: float = 0.0
    run: int = 0
    verdict: int = Verdict.UNKNOWN

    def __call__(self, at: int, value: float | None) -> tuple[int, int, int] | None:
        """value: what is seen now; None if nothing."""
        time, between = ZONE.time_of_day(at), self.spec.between
        if not between.holds(ZONE.time_of_day(at - 1)):
            return None
        if value is not None:
            self.today.append(value)
        if time == between.end % DAY:
            known = len(self.today) >= between.length / drift_module.EVERY * self.spec.seen_at_least
            if known:
                self.end_day()
            self.today = []
        elif value is not None and self.verdict == Verdict.UNKNOWN:
            known = True
        else:
            return None
        most, note_at = max(self.up, self.down), self.spec.note_at
        verdict = Verdict.FIRING if most >= note_at else Verdict.PENDING if most >= note_at / 2 else Verdict.CLEAR
        before, self.verdict = self.verdict, verdict if known else Verdict.UNKNOWN
        if self.verdict == before:
            return None
        since = NEVER if self.run == 0 else at - self.run * 7 * DAY
        return at, int(self.verdict), since

    def end_day(self) -> None:
        total = np.float32(0)
        for value in self.today:
            total += np.float32(value)
        self.days.append(float(half(float(total) / len(self.today))))
        if len(self.days) < 7:
            return
        figure, self.days = median(self.days), []
        width = max(self.spread, self.spec.least_change)
        off = figure - self.usual if self.weeks else 0.0
        self.usual = self.usual if self.weeks else figure
        known = self.weeks >= self.spec.learn_weeks
        departs = min(max(off / width, -drift_module.MOST), drift_module.MOST) if known else 0.0
        self.up = float(half(max(self.up + departs - drift_module.SLACK, 0)))
        self.down = float(half(max(self.down - departs - drift_module.SLACK, 0)))
        self.run = self.run + 1 if self.up or self.down else 0
        if known:
            most = drift_module.LEARNED * width
            off = min(max(off, -most), most)
        rate = max(drift_module.RATE, 1 / (1.0 + self.weeks))
        self.usual = float(half(self.usual + rate * off))
        self.spread = float(half(sqrt((1 - rate) * (self.spread**2 + rate * off**2))))
        self.weeks += 1


def months(seed: int) -> tuple[Homes, ReadingBatch, dict[int, list[tuple[int, float, float | None]]]]:
    """Three homes over twelve weeks, one value of bed and heart each half hour: steps, slopes, dead days; and by home
    (taken, in_bed, heart rate or None).
    """
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    bed, heart = METRICS.index("in_bed"), METRICS.index("heart_rate")
    told: dict[int, list[tuple[int, float, float | None]]] = {}
    for home in range(3):
        device = homes.add_device(f"A-0{home}", "bed")
        told[home] = []
        level, hours, turn = 62.0, 8.0, int(rng.integers(30, 50))
        for day in range(84):
            level += rng.normal(0, 0.3) + (0.5 if home == 1 and day > turn else 0)
            hours += 2.5 if home == 0 and day == turn else 0
            dead = rng.random() < 0.06
            for slot in range(48):
                at = MIDNIGHT + day * DAY + slot * 30 * MINUTE
                lies = float(slot < 2 * (hours + rng.normal(0, 0.4)))
                if dead and slot > 3:
                    continue
                rate = round(level + rng.normal(0, 2), 1) if lies and rng.random() < 0.9 else None
                rows.append((home, device, bed, lies, at, at, 0))
                if rate is not None:
                    rows += [
                        (home, device, heart, rate, at + k * 10 * MINUTE, at + k * 10 * MINUTE, 0) for k in (0, 1, 2)
                    ]
                told[home].append((at, lies, rate))
    return homes, reading_batch(sorted(rows, key=lambda r: r[5])), told


def twin_lines(rule: Rule, told: list[tuple[int, float, float | None]], end: int) -> list[tuple[int, int, int]]:
    assert isinstance(rule.condition, Drift)
    twin, out, seen = DriftTwin(rule.condition), [], -1
    for at in range(MIDNIGHT, end, drift_module.EVERY):
        while seen + 1 < len(told) and told[seen + 1][0] <= at:
            seen += 1
        value = None
        if seen >= 0:
            taken, lies, rate = told[seen]
            if rule.condition.metric == "in_bed":
                value = lies if at - taken < DAY else None
            elif lies and at - taken < 30 * MINUTE:
                value = rate
        line = twin(at, value)
        out += [] if line is None else [line]
    return out


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_drift_equals_its_twin(rule: Rule) -> None:
    homes, batch, told = months(5)
    end = int(batch.got.max()) + HOUR
    findings = Engine(homes, [rule], METRICS, ZONE, capacity=1).step(batch, end)
    assert {Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING} <= set(findings.verdict.tolist())
    for home in range(3):
        mine = findings.take(findings.home == home)
        lines = list(zip(mine.at.tolist(), mine.verdict.tolist(), mine.since.tolist(), strict=True))
        assert lines == twin_lines(rule, told[home], end)


def test_a_household_that_only_varies_is_never_noted() -> None:
    rng, rule = np.random.default_rng(1), next(r for r in RULES if r.name == "drift-time-in-bed")
    homes, rows, bed = Homes(), [], METRICS.index("in_bed")
    for home in range(10):
        device = homes.add_device(f"A-{home:02}", "bed")
        for day in range(140):
            up, down = (int(rng.normal(mean, 40)) for mean in (7 * 60, 22 * 60))
            rows += [
                (
                    home,
                    device,
                    bed,
                    lies,
                    MIDNIGHT + day * DAY + minute * MINUTE,
                    MIDNIGHT + day * DAY + minute * MINUTE,
                    0,
                )
                for lies, minute in ((0.0, up), (1.0, down))
            ]
    batch = reading_batch(sorted(rows, key=lambda r: r[5]))
    findings = Engine(homes, [rule], METRICS, ZONE).step(batch, int(batch.got.max()) + HOUR)
    assert Verdict.CLEAR in findings.verdict
    assert Verdict.FIRING not in findings.verdict
