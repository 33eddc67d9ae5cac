"""Still in bed in the morning, against a naive twin: one household, a list of all it has ever told."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from mimamori.model.findings import FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules import rise as rise_module
from mimamori.rules.engine import Engine
from mimamori.rules.explain import explain_of
from mimamori.rules.spec import Rule, read_rules

METRICS, ZONE = Metrics(), zone_table("Asia/Tokyo")
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
BED = METRICS.index("in_bed")
RULES = Path(__file__).parents[2] / "rules"
DAYS = 12
PRIOR = 11 * 60 - 60 - rise_module.Z99 * 45


def rule_of() -> Rule:
    table = {
        "title": {"ja": "x", "en": "x"}, "why": {"ja": "x", "en": "x"}, "category": "resident", "priority": "medium",
        "condition": {"kind": "rise", "between": "04:00-14:00", "up_for": "30m", "margin": "60m", "start_limit": "11h",
                      "latest": "13h"},
        "example": [{"name": "e", "readings": [], "expect": ["00:01 clear", "00:02 firing"]}],
    }  # fmt: skip
    rules, errors = read_rules({"not-up-yet": table}, METRICS)
    assert errors == []
    return rules[0]


@dataclass(slots=True)
class Twin:
    """The docstrings of rise.py for one household, looked at every five minutes."""

    told: list[tuple[int, float]]  # time, in_bed
    mean: float = PRIOR
    variance: float = 45.0**2
    mornings: int = 0
    risen_on: int = -1
    empty: int | None = None
    level: int = 0

    def __call__(self, at: int) -> tuple[int, int]:
        while len(self.told) > 1 and self.told[1][0] <= at:
            self.told.pop(0)
        time, lies = self.told[0]
        if time > at:
            return Verdict.UNKNOWN, 0
        self.empty = None if lies else time if self.empty is None else self.empty
        day, since = divmod(at - MIDNIGHT - 1, DAY)
        minute = (since + 1) / MINUTE
        morning = 4 * 60 < minute <= 14 * 60
        if morning:
            self._rise(at, day)
        limit = min(self.mean + rise_module.Z99 * sqrt(self.variance) + 60, 13 * 60)
        if not lies:
            self.level = 0
        elif self.level or (morning and self.risen_on != day and minute >= limit):
            high = morning and minute >= limit + 120
            self.level = Level.HIGH if high else max(self.level, Level.MEDIUM)
        return (Verdict.FIRING if self.level else Verdict.CLEAR), self.level

    def _rise(self, at: int, day: int) -> None:
        if self.empty is None or at - self.empty < 30 * MINUTE or self.risen_on == day:
            return
        self.risen_on = day
        if self.empty >= MIDNIGHT + day * DAY + 2 * HOUR:
            self._learn((self.empty - MIDNIGHT - day * DAY) / MINUTE)

    def _learn(self, minute: float) -> None:
        rate = max(0.05, 1 / (5 + self.mornings))
        furthest = 3 * sqrt(self.variance)
        off = min(max(minute - self.mean, -furthest), furthest)
        self.mean = float(np.float32(self.mean - PRIOR + rate * off)) + PRIOR
        self.variance = float(np.float32((1 - rate) * (self.variance + rate * off**2)))
        self.mornings += 1


def mornings(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three beds over some days: rising about half past six, toilets at night, lie-ins, nights elsewhere."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    for home in range(3):
        mat = homes.add_device(f"A-0{home}", "bed")
        state = np.zeros(DAYS * 1440)
        for day in range(DAYS):
            up = int(rng.normal(390, 25)) + (int(rng.integers(240, 500)) if rng.random() < 0.25 else 0)
            if rng.random() < 0.9:
                state[max(day * 1440 - 120, 0) : day * 1440 + up] = 1
            for _ in range(3):
                begin = day * 1440 + int(rng.integers(0, 1440))
                state[begin : begin + int(rng.integers(2, 45))] = rng.integers(0, 2)
        for minute in range(0, len(state), 2):
            at = MIDNIGHT + minute * MINUTE + 10 * SECOND
            rows.append((home, mat, BED, float(state[minute]), at, at, 0))
    return homes, reading_batch(rows)


def told(findings: FindingBatch, home: int) -> list[tuple[int, int, int]]:
    mine = findings.take(findings.home == home)
    return list(zip(mine.at.tolist(), mine.verdict.tolist(), mine.level.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(2))
def test_rise_equals_its_twin(seed: int) -> None:
    rule = rule_of()
    homes, batch = mornings(seed)
    engine, end = Engine(homes, [rule], METRICS, ZONE, capacity=1), int(batch.got.max()) + 1
    findings = engine.step(batch, end)
    assert {Level.NONE, Level.MEDIUM, Level.HIGH} <= set(findings.level.tolist())
    for home in range(3):
        mine = batch.take(batch.home == home)
        twin = Twin(list(zip(mine.taken.tolist(), mine.value.tolist(), strict=True)))
        expected, old = [], (int(Verdict.UNKNOWN), 0)
        for at in range(MIDNIGHT + 5 * MINUTE, end, 5 * MINUTE):
            now = twin(at)
            if now != old:
                expected.append((at, int(now[0]), int(now[1])))
                old = (int(now[0]), int(now[1]))
        assert told(findings, home) == expected


def test_after_a_silence_of_the_bed_sensor_nobody_is_late_for_an_hour() -> None:
    homes, rows = Homes(), []
    mat, hall = homes.add_device("A-00", "bed"), homes.add_device("A-00", "hall")
    for minute in range(0, 13 * 60, 2):
        at = MIDNIGHT + minute * MINUTE + 10 * SECOND
        rows.append((0, hall, METRICS.index("heartbeat"), 1.0, at, at, 0))
        if not 6 * 60 <= minute < 11 * 60 + 30:
            rows.append((0, mat, BED, 1.0, at, at, 0))
    silent, errors = read_rules({"device-silent": tomllib.loads((RULES / "device-silent.toml").read_text())}, METRICS)
    assert errors == []
    engine = Engine(homes, [*silent, rule_of()], METRICS, ZONE, capacity=1)
    findings = engine.step(reading_batch(rows), MIDNIGHT + 13 * HOUR)
    mine = findings.take(findings.rule == 1)
    verdicts = [(int((at - MIDNIGHT) / MINUTE), Verdict(v)) for at, v in zip(mine.at, mine.verdict, strict=True)]
    assert [v for _, v in verdicts] == [Verdict.CLEAR, Verdict.UNKNOWN, Verdict.CLEAR, Verdict.FIRING]
    heard, fired = verdicts[2][0], verdicts[3][0]
    assert 11 * 60 + 30 <= heard <= 11 * 60 + 40
    assert fired - heard == 55  # last silent five minutes before


def test_the_sentence_names_the_usual_and_the_limit() -> None:
    facts = {"minutes": 560.0, "limit_minutes": 555.0, "usual_minutes": 390.4}
    ja, en = explain_of(rule_of(), ZONE, METRICS)(facts, 0, 0)
    assert ja == "09:20になっても在床のままです。ふだんは06:30ごろ起床します（目安09:15）。"
    assert en == "Still in bed at 09:20; usually up around 06:30 (limit 09:15)."
