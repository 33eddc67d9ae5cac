"""Limits for a time against a naive twin: one household, plain Python, a loop over all it ever told."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import MINUTE, SECOND
from mimamori.rules.spec import Band, Rule

from .conftest import METRICS, MIDNIGHT, Heard, changes, heard, rule_of, run, told


@dataclass(slots=True)
class BandTwin:
    """The docstrings of band.py for one household: a list of the judged minutes."""

    spec: Band
    readings: list[Heard]
    minutes: list[dict[str, bool]] = field(default_factory=list)  # is it bad, by priority; newest last
    good: int = 0
    firing: int = 0
    since: int = -(2**63)
    told_at: int | None = None
    seen: int = 0
    bed: float | None = None
    moved: int | None = None

    def __call__(self, at: int) -> tuple[int, int, int]:
        values = []
        while self.seen < len(self.readings) and self.readings[self.seen].at <= at:
            r = self.readings[self.seen]
            self.seen += 1
            if r.metric == "in_bed":
                self.bed = r.value
            if r.metric == "body_movement" and r.value >= 10:
                self.moved = max(r.taken, self.moved or r.taken)
            if r.metric == self.spec.metric:
                values.append(r.value)
        if values and self.backed(at):
            self.judge(min(values) if self.spec.of == "least" else sum(values) / len(values), at)
        known = self.told_at is not None and at - self.told_at <= self.spec.unknown_after
        if not known and self.told_at is not None:
            self.minutes, self.good = [], 0
        verdict = Verdict.FIRING if self.firing else Verdict.PENDING if self.any_bad() else Verdict.CLEAR
        return (verdict if known else Verdict.UNKNOWN), self.firing, self.since

    def backed(self, at: int) -> bool:
        if self.spec.backed_by == "nothing":
            return True
        if self.bed is not None:
            return self.bed > 0
        return self.moved is not None and at - self.moved <= 5 * MINUTE

    def any_bad(self) -> bool:
        return any(any(m.values()) for m in self.minutes)

    def judge(self, value: float, at: int) -> None:
        self.told_at = at
        quiet_before = not self.any_bad()
        limits = {p: (self.spec.low.get(p, -np.inf), self.spec.high.get(p, np.inf)) for p in ("low", "medium", "high")}
        bad = {p: value <= low or value >= high for p, (low, high) in limits.items()}
        self.minutes = [*self.minutes, bad][-(self.spec.out_of // MINUTE) :]
        if quiet_before and self.any_bad() and not self.firing:
            self.since = at - MINUTE
        low, high = max(v[0] for v in limits.values()), min(v[1] for v in limits.values())
        self.good = self.good + 1 if low + self.spec.clear_margin < value < high - self.spec.clear_margin else 0
        for level, priority in ((1, "low"), (2, "medium"), (3, "high")):
            if sum(m[priority] for m in self.minutes) >= self.spec.hold // MINUTE:
                self.firing = max(self.firing, level)
        if self.good >= self.spec.clear_after // MINUTE:
            self.firing = 0


def nights(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three beds, the third without a mat: pulses that wander out of the limits, holes, empty beds."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    pulse, bed, moves = (METRICS.index(n) for n in ("heart_rate", "in_bed", "body_movement"))
    for home in range(3):
        device = homes.add_device(f"A-0{home}", "bed")
        level, lies, hole = 70.0, 1.0, 0
        for second in range(0, 6 * 3600, 20):
            at = MIDNIGHT + second * SECOND + int(rng.integers(0, 3 * SECOND))
            if rng.random() < 0.01:
                level = float(rng.choice([70, 70, 122, 134, 39, 116]))
            if rng.random() < 0.005:
                lies, hole = float(rng.integers(0, 2)), int(rng.integers(0, 60))
            hole -= 1
            if hole < 0:
                rows.append((home, device, pulse, round(level + rng.normal(0, 4), 1), at, at, 0))
                if home < 2:
                    rows.append((home, device, bed, lies, at, at, 0))
                elif rng.random() < 0.05:
                    rows.append((home, device, moves, float(rng.integers(0, 40)), at, at, 0))
    return homes, reading_batch(rows)


def assert_twins_agree(rule: Rule, seed: int) -> None:
    assert isinstance(rule.condition, Band)
    homes, batch = nights(seed)
    findings, minutes = run(rule, batch, homes)
    assert set(findings.verdict.tolist()) == set(Verdict)
    for home in range(len(homes)):
        assert told(findings, home, "home") == changes(BandTwin(rule.condition, heard(batch, home)), minutes)


@pytest.mark.parametrize("seed", range(3))
def test_a_band_of_the_least_value_equals_its_twin(seed: int) -> None:
    rule = rule_of("heart-rate", {
        "kind": "band", "metric": "heart_rate", "of": "least", "low": {"high": 34, "medium": 62}, "hold": "5m",
        "out_of": "20m", "clear_margin": 2, "clear_after": "5m", "unknown_after": "10m",
    })  # fmt: skip
    assert_twins_agree(rule, seed)


@pytest.mark.parametrize("backed_by", ["bed or movement", "nothing"])
@pytest.mark.parametrize("seed", range(3))
def test_band_equals_its_twin(seed: int, backed_by: str) -> None:
    rule = rule_of("heart-rate", {
        "kind": "band", "metric": "heart_rate", "low": {"high": 40}, "high": {"high": 131, "medium": 120, "low": 115},
        "hold": "5m", "out_of": "6m", "clear_margin": 5, "clear_after": "5m", "unknown_after": "10m",
        "backed_by": backed_by,
    })  # fmt: skip
    assert_twins_agree(rule, seed)
