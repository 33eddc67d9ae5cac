"""Heat and cold against a naive twin: one room, plain Python, a loop over every minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import reading_batch
from mimamori.model.times import MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules.climate import wbgt
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Climate, Rule
from mimamori.site import load_site

METRICS = Metrics()
START = parse_instant("2026-08-01T12:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")
PRIORITIES = {"low": Level.LOW, "medium": Level.MEDIUM, "high": Level.HIGH}


@dataclass
class Twin:
    """One room, as the module's text has it; minutes since the start."""

    rule: Climate
    told: int | None = None
    value: float = 0.0
    humidity: tuple[int, float] | None = None
    beyond: dict[str, int] = field(default_factory=dict)
    inside_since: int | None = None
    level: int = 0

    def minute(self, at: int, temperature: list[float], humidity: list[float], humid_at: float) -> tuple[int, int]:
        if humidity:
            self.humidity = humid_at, humidity[-1]
        unknown_after = self.rule.unknown_after // MINUTE
        if temperature:
            mean = sum(temperature) / len(temperature)
            if self.rule.measure == "temperature":
                self.take(at, mean)
            elif self.humidity and at - self.humidity[0] <= unknown_after:
                rh = self.humidity[1]
                self.take(at, 0.735 * mean + 0.0374 * rh + 0.00292 * mean * rh - 4.064)
        if self.told is None or at - self.told > unknown_after:
            self.level = 0
            return int(Verdict.UNKNOWN), 0
        if self.inside_since is not None and at - self.inside_since >= self.rule.clear_after // MINUTE:
            self.level = 0
        for priority, since in self.beyond.items():
            if at - since >= self.rule.hold[priority] // MINUTE:
                self.level = max(self.level, PRIORITIES[priority])
        verdict = Verdict.FIRING if self.level else Verdict.PENDING if self.beyond else Verdict.CLEAR
        return int(verdict), int(self.level)

    def take(self, at: int, value: float) -> None:
        self.told, self.value = at, value
        limits, cold = self.rule.high or self.rule.low, bool(self.rule.low)
        for priority, limit in limits.items():
            if (value <= limit) if cold else (value >= limit):
                self.beyond.setdefault(priority, at)
            else:
                self.beyond.pop(priority, None)
        margin = self.rule.clear_margin
        inside = value > max(limits.values()) + margin if cold else value < min(limits.values()) - margin
        self.inside_since = (self.inside_since if self.inside_since is not None else at) if inside else None


@pytest.fixture(scope="module")
def rules() -> dict[str, Rule]:
    return {r.name: r for r in load_site().rules if r.condition.kind == "climate"}


@pytest.mark.parametrize("name", ["heat", "cold"])
@pytest.mark.parametrize("seed", range(6))
def test_a_naive_twin_says_the_same(rules: dict[str, Rule], name: str, seed: int) -> None:
    rng, minutes, rule = np.random.default_rng(seed), 2000, rules[name]
    assert isinstance(rule.condition, Climate)
    warm = (29 if name == "heat" else 14) + 6 * np.sin(np.arange(minutes) / rng.integers(30, 200))
    rows: list[Any] = []
    told: list[tuple[list[float], list[float], float]] = [([], [], 0.0) for _ in range(minutes + 1)]
    hole = rng.integers(0, minutes - 200)
    for m in range(minutes):
        if m % 4 == seed % 4 and not hole <= m < hole + 130:
            t = START + m * MINUTE + 20 * SECOND
            temperature, humidity = round(float(warm[m] + rng.normal()), 1), float(rng.integers(50, 95))
            rows.append((0, 0, METRICS.index("temperature"), temperature, t, t, 0))
            told[m + 1][0].append(temperature)
            if rng.random() < 0.8 and not 600 <= m < 700:
                rows.append((0, 0, METRICS.index("humidity"), humidity, t, t, 0))
                told[m + 1] = (told[m + 1][0], [humidity], m + 1 / 3)
    homes = Homes()
    homes.add_device("h1", "room")
    engine = Engine(homes, (rule,), METRICS, ZONE)
    f = engine.step(reading_batch(rows), START + minutes * MINUTE + SECOND)
    assert isinstance(rule.condition, Climate)
    twin, old, expected = Twin(rule.condition), (int(Verdict.UNKNOWN), 0), []
    for m in range(1, minutes + 1):
        new = twin.minute(m, *told[m])
        if new != old:
            expected.append((m, *new))
            old = new
    got = [((at - START) // MINUTE, v, lv) for at, v, lv in zip(f.at.tolist(), f.verdict.tolist(), f.level.tolist(),
                                                                strict=True)]  # fmt: skip
    assert got == expected
    assert {v for _, v, _ in got} >= {Verdict.FIRING, Verdict.UNKNOWN, Verdict.PENDING}


def test_heat_index_is_near_its_definition() -> None:
    """Indoors (ISO 7243) 0.7 wet bulb + 0.3 globe, the globe as warm as the air; wet bulb by Stull (2011)."""
    t, rh = (a.ravel() for a in np.meshgrid(np.arange(24.0, 38.0), np.arange(40.0, 95.0, 5)))
    wet = (
        t * np.arctan(0.151977 * np.sqrt(rh + 8.313659)) + np.arctan(t + rh) - np.arctan(rh - 1.676331)
        + 0.00391838 * rh**1.5 * np.arctan(0.023101 * rh) - 4.686035
    )  # fmt: skip
    off = wbgt(t, rh) - (0.7 * wet + 0.3 * t)
    assert np.abs(off).max() < 1.0
    assert np.abs(off).mean() < 0.35
