"""What the tests of single rules share: a rule of its own, readings as a naive twin hears them, findings in lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mimamori.model.findings import FindingBatch, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, MINUTE, parse_instant, zone_table
from mimamori.rules import latest as latest_module
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Rule, read_rules

METRICS = Metrics()
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")
TEXT = {"ja": "x", "en": "x"}


def rule_of(name: str, condition: dict[str, Any], priority: str = "high") -> Rule:
    table = {
        "title": TEXT, "why": TEXT, "category": "resident", "priority": priority, "condition": condition,
        "example": [{"name": "e", "readings": [], "expect": ["00:01 clear", "00:02 firing"]}],
    }  # fmt: skip
    rules, errors = read_rules({name: table}, METRICS)
    assert errors == []
    return rules[0]


@dataclass(frozen=True, slots=True)
class Heard:
    """One reading as the twins see it: `at` is the end of its cell."""

    at: int
    taken: int
    device: int
    metric: str
    value: float


def heard(batch: ReadingBatch, home: int) -> list[Heard]:
    names, cell = METRICS.names(), latest_module.CELL
    mine = [
        Heard(-(-int(got) // cell) * cell, int(taken), int(device), names[metric], float(value))
        for h, device, metric, value, taken, got in zip(
            batch.home, batch.device, batch.metric, batch.value, batch.taken, batch.got, strict=True
        )
        if h == home
    ]
    return sorted(mine, key=lambda r: (r.at, r.taken, METRICS.index(r.metric), r.value, r.device))


Line = tuple[int, int, int, int]  # at, verdict, level, since


def told(findings: FindingBatch, key: int, column: str) -> list[Line]:
    mine = findings.take(getattr(findings, column) == key)
    return list(zip(*(getattr(mine, n).tolist() for n in ("at", "verdict", "level", "since")), strict=True))


def changes(judge: Any, minutes: list[int]) -> list[Line]:
    """Verdicts minute by minute, only where verdict or level changes; a fresh household is unknown."""
    old, out = (int(Verdict.UNKNOWN), 0), []
    for at in minutes:
        verdict, level, since = judge(at)
        if (verdict, level) != old:
            old = (int(verdict), int(level))
            out.append((at, *old, since))
    return out


def run(rule: Rule, batch: ReadingBatch, homes: Homes) -> tuple[FindingBatch, list[int]]:
    engine = Engine(homes, [rule], METRICS, ZONE, capacity=1)
    end = int(batch.got.max()) + 2 * HOUR
    findings = engine.step(batch, end)
    first = (-(-int(batch.got.min()) // latest_module.CELL) * latest_module.CELL - 1) // MINUTE * MINUTE + MINUTE
    return findings, list(range(first, end, MINUTE))
