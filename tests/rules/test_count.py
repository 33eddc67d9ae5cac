"""Minutes up at night against a naive twin: one household, plain Python, a set of minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import pytest

from mimamori.model.findings import FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import MINUTE, NEVER, SECOND, parse_instant, zone_table
from mimamori.rules import count as count_module
from mimamori.rules.engine import Engine
from mimamori.rules.latest import CELL
from mimamori.rules.spec import Count, Rule
from mimamori.site import load_site

METRICS = Metrics()
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")


@dataclass(slots=True)
class CountTwin:
    """The docstrings of count.py for one household."""

    spec: Count
    up: set[int] = field(default_factory=set)  # minutes since 1970 at whose end a sign out of bed was seen
    bed: float | None = None
    bed_at: int | None = None
    sign: int | None = None
    door: int | None = None
    sees: bool = False
    settled: bool = False
    peak: int = 0
    level: int = 0
    usual: np.float16 = field(default_factory=lambda: np.float16(0))
    spread: np.float16 = field(default_factory=lambda: np.float16(count_module.PRIOR_SPREAD**2))
    nights: int = 0
    run: int = 0
    longest: int = 0
    over: np.float16 = field(default_factory=lambda: np.float16(0))

    def hear(self, cell: list[tuple[str, float, int]]) -> None:
        """All of one ten seconds, in the engine's order: a state is compared with the one before it."""
        before = self.bed
        for metric, value, taken in cell:
            alive = metric in {"motion", "button"} and value > 0
            alive |= metric == "door_open" or (metric == "body_movement" and value >= 10)
            if metric == "in_bed":
                alive = before is not None and value != before
                self.bed, self.bed_at = value, max(taken, taken if self.bed_at is None else self.bed_at)
            if metric == "door_open":
                self.door = max(taken, taken if self.door is None else self.door)
            self.sees |= metric in {"motion", "in_bed", "body_movement"}
            if alive:
                self.sign = max(taken, taken if self.sign is None else self.sign)

    def __call__(self, at: int, *, spoken: bool) -> tuple[int, int, int]:
        night, now = self.spec.between.holds(ZONE.time_of_day(at - 1)), at // MINUTE
        long = self.spec.window // MINUTE
        limit = self.limit()
        if night:
            self.up = {m for m in self.up if now - m < long}
            ago = long if self.sign is None else (at - self.sign) // MINUTE
            if spoken and self.settled and not self.bed and 0 <= ago < long:
                self.up.add(now - ago)
            rested = self.sign is not None and at - self.sign >= self.spec.settled_after
            rested = rested and (self.bed_at is None or at - self.bed_at >= self.spec.settled_after)
            self.settled |= spoken and (bool(self.bed) or rested)
            self.peak = max(self.peak, len(self.up))
            self.run = min(self.run + 1, 255) if len(self.up) >= limit else 0
            self.longest = max(self.longest, self.run)
            if not self.spec.between.holds(ZONE.time_of_day(at)):
                self.sleep_over(limit)
                limit = self.limit()
        else:
            self.up, self.run = set(), 0
        count = len(self.up)
        wait = min(count_module.MARGIN * float(self.over), count_module.LONGEST)
        gone = self.door is not None and self.sign is not None and self.sign <= self.door + count_module.SETTLES
        gone = gone and count_module.GONE <= at - (self.door or 0) < self.spec.window
        waited = self.level > 0 or self.run >= wait or gone
        firing = self.sees and ((count >= limit and waited) or (self.level > 0 and not spoken))
        door = self.door is not None and at - self.door < self.spec.window
        self.level = 0 if not firing else Level.HIGH if door else max(self.level, Level.MEDIUM)
        verdict = Verdict.FIRING if firing else Verdict.CLEAR
        if not firing and count >= limit * self.spec.pending_at:
            verdict = Verdict.PENDING
        since = (min(self.up) - 1) * MINUTE if self.up else NEVER
        return (verdict if self.sees else Verdict.UNKNOWN), self.level, since

    def prior(self) -> float:
        return self.spec.start_limit - count_module.ABOVE * count_module.PRIOR_SPREAD

    def limit(self) -> float:
        own = self.prior() + float(self.usual) + count_module.ABOVE * sqrt(float(self.spread))
        return min(max(own, self.spec.lowest_limit), self.spec.highest_limit)

    def sleep_over(self, limit: float) -> None:
        if self.settled:
            rate = max(count_module.RATE, 1 / (count_module.PRIOR_COUNT + self.nights))
            off = min(self.peak, limit) - self.prior() - float(self.usual)
            self.usual = np.float16(float(self.usual) + rate * off)
            self.spread = np.float16((1 - rate) * (float(self.spread) + rate * off**2))
            self.over = np.float16(max(self.longest, count_module.FADES * float(self.over)))
            self.nights = min(self.nights + 1, 255)
        self.settled, self.peak, self.longest = False, 0, 0


def lines_of(twin: CountTwin, batch: ReadingBatch, home: int, minutes: range) -> list[tuple[int, ...]]:
    """What the twin says, minute by minute, where verdict or level changes."""
    names = METRICS.names()
    mine = batch.take(batch.home == home)
    ends = -(-mine.got // CELL) * CELL
    order = np.lexsort((mine.device, mine.value, mine.taken, mine.metric, ends))
    cells: dict[int, list[tuple[str, float, int]]] = {}
    for i in order.tolist():
        cells.setdefault(int(ends[i]), []).append((names[mine.metric[i]], float(mine.value[i]), int(mine.taken[i])))
    waiting = sorted(cells)
    old, out = (int(Verdict.UNKNOWN), 0), []
    for at in minutes:
        spoken = bool(waiting) and waiting[0] <= at
        while waiting and waiting[0] <= at:
            twin.hear(cells[waiting.pop(0)])
        verdict, level, since = twin(at, spoken=spoken)
        if (verdict, level) != old:
            old = (int(verdict), int(level))
            out.append((at, *old, since))
    return out


def run(rule: Rule, batch: ReadingBatch, homes: Homes) -> tuple[FindingBatch, range]:
    end = int(batch.got.max()) + 2 * MINUTE
    first = (-(-int(batch.got.min()) // CELL) * CELL - 1) // MINUTE * MINUTE + MINUTE
    findings = Engine(homes, [rule], METRICS, ZONE, capacity=1).step(batch, end)
    return findings, range(first, end, MINUTE)


def told(findings: FindingBatch, home: int) -> list[tuple[int, ...]]:
    mine = findings.take(findings.home == home)
    return list(zip(*(getattr(mine, n).tolist() for n in ("at", "verdict", "level", "since")), strict=True))


@pytest.fixture(scope="module")
def rule() -> Rule:
    return next(r for r in load_site().rules if isinstance(r.condition, Count))


def nights(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three homes over six nights, the last without a bed sensor: short trips, long walks, a door, dead hours."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    bed, motion, door, beat = (METRICS.index(n) for n in ("in_bed", "motion", "door_open", "heartbeat"))
    for home in range(3):
        mat, hall = homes.add_device(f"A-0{home}", "bed"), homes.add_device(f"A-0{home}", "hall")
        front = homes.add_device(f"A-0{home}", "front")
        lies, change, dumb = 1.0, 0.0, False
        for minute in range(20 * 60, 20 * 60 + 6 * 1440):
            if minute >= change:
                lies, dumb = 1 - lies, rng.random() < 0.1
                change = minute + (rng.lognormal(3.5, 0.9) if lies == 0 else rng.exponential(150))
            at = MIDNIGHT + minute * MINUTE + int(rng.integers(0, MINUTE))
            got = at + int(rng.integers(0, 90 * SECOND))
            if dumb:
                continue
            if home < 2:
                rows.append((home, mat, bed, lies, at, at, 0))
            if lies == 0 and rng.random() < 0.95:
                rows.append((home, hall, motion, float(rng.random() < 0.9), at, got, 0))
            if home > 0 and lies == 0 and rng.random() < 0.01:
                rows.append((home, front, door, 1.0, at, got, 0))
            if minute % 7 == 0:
                rows.append((home, hall, beat, 1.0, at, at, 0))
    return homes, reading_batch(rows)


@pytest.mark.parametrize("seed", range(2))
def test_count_equals_its_twin(rule: Rule, seed: int) -> None:
    assert isinstance(rule.condition, Count)
    homes, batch = nights(seed)
    findings, minutes = run(rule, batch, homes)
    assert {Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING} <= set(findings.verdict.tolist())
    assert {Level.MEDIUM, Level.HIGH} <= set(findings.level.tolist())
    for home in range(len(homes)):
        assert told(findings, home) == lines_of(CountTwin(rule.condition), batch, home, minutes)


def test_a_restless_household_gets_a_limit_of_its_own(rule: Rule) -> None:
    homes, rows = Homes(), []
    bed, motion = METRICS.index("in_bed"), METRICS.index("motion")
    for home, up in enumerate((3, 24)):
        mat, hall = homes.add_device(f"A-0{home}", "bed"), homes.add_device(f"A-0{home}", "hall")
        for minute in range(22 * 60, 22 * 60 + 12 * 1440):
            lies = not 120 <= minute % 1440 < 120 + up
            at = MIDNIGHT + minute * MINUTE
            rows.append((home, mat, bed, float(lies), at, at, 0))
            rows += [] if lies else [(home, hall, motion, 1.0, at, at, 0)]
    engine = Engine(homes, [rule], METRICS, ZONE)
    batch = reading_batch(rows)
    findings = engine.step(batch, int(batch.got.max()) + MINUTE)
    quiet, restless = engine.current().facts[:, 1].tolist()
    assert isinstance(rule.condition, Count)
    assert quiet == rule.condition.lowest_limit < rule.condition.start_limit < restless
    assert Verdict.FIRING not in findings.verdict
