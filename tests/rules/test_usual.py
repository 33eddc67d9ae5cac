"""A value unlike this household's own nights, against a naive twin: one household, minute by minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules import usual as usual_module
from mimamori.rules.engine import Engine
from mimamori.rules.explain import explain_of
from mimamori.rules.spec import Rule, read_rules

METRICS, ZONE = Metrics(), zone_table("Asia/Tokyo")
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
HEART, BED = METRICS.index("heart_rate"), METRICS.index("in_bed")
HOURS = 60


def rule_of() -> Rule:
    table = {
        "title": {"ja": "x", "en": "x"}, "why": {"ja": "x", "en": "x"}, "category": "resident", "priority": "medium",
        "condition": {"kind": "usual", "metric": "heart_rate", "deviations": 2.81, "at_least": 12, "hold": "25m",
                      "clear_below": "8m", "unknown_after": "15m", "by_day": "12:00-14:00", "wider_by_day": 1.5},
        "example": [{"name": "e", "readings": [], "expect": ["00:01 clear", "00:02 firing"]}],
    }  # fmt: skip
    rules, errors = read_rules({"heart-rate-unusual": table}, METRICS)
    assert errors == []
    return rules[0]


@dataclass(slots=True)
class Twin:
    """The docstrings of usual.py, given the mean of each minute, or None of one that tells nothing."""

    mean: float = 0.0
    variance: float = (usual_module.PRIOR_SPREAD * 12) ** 2
    minutes: int = 0
    odd: list[bool] = field(default_factory=list)
    told: int = -(10**9)
    firing: bool = False

    def __call__(self, minute: int, value: float | None) -> tuple[int, int]:
        if value is not None:
            self.told = minute
            self.mean = self.mean if self.minutes else float(np.float32(value))
            half = max(2.81 * sqrt(self.variance), 12) * (1.5 if 12 <= minute / 60 % 24 < 14 else 1)
            self.odd = [*self.odd, abs(value - self.mean) >= half][-32:]
            if not self.firing:
                self.learn(value)
        if minute - self.told > 15:
            self.odd = []
            return Verdict.UNKNOWN, Level.MEDIUM if self.firing else 0
        if value is not None:
            self.firing = sum(self.odd) >= (8 if self.firing else 25)
        verdict = Verdict.FIRING if self.firing else Verdict.PENDING if sum(self.odd) >= 8 else Verdict.CLEAR
        return verdict, Level.MEDIUM if self.firing else 0

    def learn(self, value: float) -> None:
        off = min(max(value - self.mean, -3 * sqrt(self.variance)), 3 * sqrt(self.variance))
        self.mean = float(np.float32(self.mean + max(1 / 6000, 1 / (self.minutes + 60)) * off))
        rate = max(1 / 6000, 1 / (self.minutes + 1200))
        self.variance = float(np.float32((1 - rate) * (self.variance + rate * off**2)))
        self.minutes += 1


def nights(seed: int) -> tuple[Homes, ReadingBatch, np.ndarray]:
    """Three beds: pulses that rise for an hour now and then, holes, beds left; and the twins' minutes (homes, n)."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    means = np.full((3, HOURS * 60), np.nan)
    for home in range(3):
        bed, level, lies, hole, change = homes.add_device(f"A-0{home}", "bed"), 62.0, 1.0, False, 0.0
        for minute in range(HOURS * 60):
            if minute >= change:
                level, lies = rng.choice([62.0, 62.0, 62.0, 100.0]), float(rng.random() < 0.85)
                hole, change = rng.random() < 0.2, minute + rng.exponential(60)
            start = MIDNIGHT + minute * MINUTE
            rows.append((home, bed, BED, lies, start + SECOND, start + SECOND, 0))
            if not hole:
                pulse = np.round(rng.normal(level, 4, 2))
                times = [start + s * SECOND for s in (15, 45)]
                rows += [(home, bed, HEART, float(p), t, t, 0) for p, t in zip(pulse, times, strict=True)]
                means[home, minute] = pulse.mean() if lies else np.nan
    return homes, reading_batch(rows), means


@pytest.mark.parametrize("seed", range(2))
def test_usual_equals_its_twin(seed: int) -> None:
    homes, batch, means = nights(seed)
    engine = Engine(homes, [rule_of()], METRICS, ZONE, capacity=1)
    findings = engine.step(batch, MIDNIGHT + HOURS * 60 * MINUTE + 1)
    for home in range(3):
        mine = findings.take(findings.home == home)
        twin, old, expected = Twin(), (int(Verdict.UNKNOWN), 0), []
        for minute, value in enumerate(means[home].tolist()):
            now = twin(minute, None if np.isnan(value) else value)
            if now != old:
                expected.append((MIDNIGHT + (minute + 1) * MINUTE, int(now[0]), int(now[1])))
                old = (int(now[0]), int(now[1]))
        told = list(zip(mine.at.tolist(), mine.verdict.tolist(), mine.level.tolist(), strict=True))
        assert told == expected
        assert {Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING, Verdict.UNKNOWN} <= set(mine.verdict.tolist())


def test_the_sentence_names_the_own_band() -> None:
    facts = {"value": 88.0, "usual": 61.0, "low": 44.0, "high": 78.0, "minutes": 30.0}
    ja, en = explain_of(rule_of(), ZONE, METRICS)(facts, MIDNIGHT + 160 * MINUTE, MIDNIGHT + 190 * MINUTE)
    assert ja == "02:40から、心拍数がこの方のふだんの夜と違います。直近1分の平均は88（ふだん61、いつもの幅44〜78）。"
    assert en.startswith("Since 02:40 heart rate has been unlike this household's own nights; last minute's mean 88")
