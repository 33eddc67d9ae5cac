"""Band, away, absent and silent against naive twins: one household, plain Python, a loop over all it ever told."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, sqrt
from typing import Any

import numpy as np
import pytest

from mimamori.model.findings import FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import HOUR, MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules import absent as absent_module
from mimamori.rules import away as away_module
from mimamori.rules import fold as fold_module
from mimamori.rules import latest as latest_module
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Absent, Away, Band, Rule, Silent, read_rules

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


# -- band ------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("seed", range(3))
def test_a_band_of_the_least_value_equals_its_twin(seed: int) -> None:
    rule = rule_of("heart-rate", {
        "kind": "band", "metric": "heart_rate", "of": "least", "low": {"high": 34, "medium": 62}, "hold": "5m",
        "out_of": "20m", "clear_margin": 2, "clear_after": "5m", "unknown_after": "10m",
    })  # fmt: skip
    assert isinstance(rule.condition, Band)
    homes, batch = nights(seed)
    findings, minutes = run(rule, batch, homes)
    assert set(findings.verdict.tolist()) == set(Verdict)
    for home in range(len(homes)):
        assert told(findings, home, "home") == changes(BandTwin(rule.condition, heard(batch, home)), minutes)


@pytest.mark.parametrize("backed_by", ["bed or movement", "nothing"])
@pytest.mark.parametrize("seed", range(3))
def test_band_equals_its_twin(seed: int, backed_by: str) -> None:
    rule = rule_of("heart-rate", {
        "kind": "band", "metric": "heart_rate", "low": {"high": 40}, "high": {"high": 131, "medium": 120, "low": 115},
        "hold": "5m", "out_of": "6m", "clear_margin": 5, "clear_after": "5m", "unknown_after": "10m",
        "backed_by": backed_by,
    })  # fmt: skip
    assert isinstance(rule.condition, Band)
    homes, batch = nights(seed)
    findings, minutes = run(rule, batch, homes)
    assert set(findings.verdict.tolist()) == set(Verdict)
    for home in range(len(homes)):
        assert told(findings, home, "home") == changes(BandTwin(rule.condition, heard(batch, home)), minutes)


# -- away ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class AwayTwin:
    """The docstrings of away.py for one household: the log-minutes of its absences, one after another."""

    spec: Away
    readings: list[Heard]
    seen: int = 0
    now: float | None = None
    taken: int = 0
    before: float | None = None
    left: int | None = None
    sign: int | None = None
    level: int = 0
    mean: float = field(init=False)
    variance: float = away_module.PRIOR_SPREAD**2
    count: int = 0
    rise: float = 0.0  # minutes before the end of the night
    mat_heard: int = 0  # end of the last cell with a word of the mat
    pause: int = 0  # its longest recent one
    rise_variance: float = away_module.RISE_SPREAD**2

    def __post_init__(self) -> None:
        self.mean = log(self.spec.start_limit / MINUTE) - away_module.Z99 * away_module.PRIOR_SPREAD

    def __call__(self, at: int) -> tuple[int, int, int]:
        self.listen(at)
        if self.spec.between.holds(ZONE.time_of_day(at - 1)) and self.before and self.now == 0:
            self.left = self.taken
        if self.now and self.left is not None:
            if not self.level:
                self.learn(max((self.taken - self.left) / MINUTE, 0.5))
            self.left = None
        if self.left is not None and self.sign is not None:
            long = float(self.spec.shortest_limit)
            if self.rises(away_module.Z99):
                long = min(away_module.STAYS_UP * long, exp(self.mean) * MINUTE)
            if self.sign - self.left >= long:
                self.risen()  # up and about
        self.before = self.now
        away = 0 if self.left is None else at - self.left
        quiet = 0 if self.left is None else at - max(self.left, self.left if self.sign is None else self.sign)
        patience = self.patience()
        late = at - self.mat_heard > max(away_module.LATE_AFTER * self.pause, away_module.LATE_AT_LEAST)
        begins = quiet >= self.spec.no_sign_for * patience and not late
        firing = away >= self.limit() * patience and (begins or self.level > 0)
        if not firing and self.left is not None and not self.spec.between.holds(ZONE.time_of_day(at)):
            self.risen()
        self.level = (
            0 if not firing else Level.HIGH if away >= self.limit() * patience * self.spec.high_after else Level.MEDIUM
        )
        verdict = Verdict.FIRING if firing else Verdict.CLEAR if self.left is None else Verdict.PENDING
        since = -(2**63) if self.left is None else self.left
        return (Verdict.UNKNOWN if self.now is None else verdict), self.level, since

    def listen(self, at: int) -> None:
        cell_end, known = None, None
        while self.seen < len(self.readings) and self.readings[self.seen].at <= at:
            r = self.readings[self.seen]
            self.seen += 1
            if r.at != cell_end:  # a state is compared with the one before its cell
                cell_end, known = r.at, self.now
            if r.metric == "in_bed":
                if self.mat_heard not in {0, r.at}:
                    paused = r.at - self.mat_heard
                    self.pause = max(paused, self.pause - int(paused * fold_module.PERIOD_FADES))
                self.mat_heard = r.at
                if known is not None and r.value != known:
                    self.sign = max(r.taken, r.taken if self.sign is None else self.sign)
                self.now, self.taken = r.value, max(self.taken, r.taken)
            elif r.value > 0:
                self.sign = max(r.taken, r.taken if self.sign is None else self.sign)

    def learn(self, minutes: float) -> None:
        rate = max(away_module.RATE, 1 / (away_module.PRIOR_COUNT + self.count))
        off = log(minutes) - self.mean
        self.mean += rate * off
        self.variance = (1 - rate) * (self.variance + rate * off**2)
        self.count += 1

    def before_end(self) -> float:
        assert self.left is not None
        return (6 * HOUR - (self.left - MIDNIGHT)) % (24 * HOUR) / MINUTE

    def patience(self) -> float:
        return away_module.RISING if self.left is not None and self.rises(away_module.Z95) else 1.0

    def rises(self, z: float) -> bool:
        return self.before_end() <= self.rise + z * sqrt(self.rise_variance)

    def risen(self) -> None:
        if self.before_end() <= 4 * 60:
            furthest = away_module.FURTHEST * sqrt(self.rise_variance)
            off = min(max(self.before_end() - self.rise, -furthest), furthest)
            rate = away_module.RISE_RATE
            self.rise = float(np.float32(self.rise + rate * off))
            self.rise_variance = float(np.float32((1 - rate) * (self.rise_variance + rate * off**2)))
        self.left = None

    def limit(self) -> float:
        minutes = exp(self.mean + away_module.Z99 * sqrt(self.variance))
        return min(max(minutes * MINUTE, self.spec.shortest_limit), self.spec.longest_limit)


def outs(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three beds over three nights and days, left now and then for minutes or hours; a hall that sees some of it."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    bed, motion = METRICS.index("in_bed"), METRICS.index("motion")
    for home in range(3):
        mat, hall = homes.add_device(f"A-0{home}", "bed"), homes.add_device(f"A-0{home}", "hall")
        lies, change, dumb = 1.0, 0.0, 0
        for minute in range(3 * 1440):
            dumb = dumb - 1 if dumb else int(rng.integers(5, 90)) * (rng.random() < 0.003)
            if minute >= change:
                lies = 1 - lies
                change = minute + (rng.lognormal(2.5, 1.3) if lies == 0 else rng.exponential(120))
            at = MIDNIGHT + minute * MINUTE + int(rng.integers(0, MINUTE))
            if not dumb:
                rows.append((home, mat, bed, lies, at, at + int(rng.integers(0, 5 * SECOND)), 0))
            if lies == 0 and rng.random() < 0.01:
                rows.append((home, hall, motion, 1.0, at, at, 0))
    return homes, reading_batch(rows)


@pytest.mark.parametrize("seed", range(2))
def test_away_equals_its_twin(seed: int) -> None:
    rule = rule_of("bed-exit", {
        "kind": "away", "between": "22:00-06:00", "start_limit": "35m", "shortest_limit": "20m",
        "longest_limit": "90m", "no_sign_for": "15m",
    })  # fmt: skip
    assert isinstance(rule.condition, Away)
    homes, batch = outs(seed)
    findings, minutes = run(rule, batch, homes)
    assert {Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING} <= set(findings.verdict.tolist())
    assert {Level.MEDIUM, Level.HIGH} <= set(findings.level.tolist())
    for home in range(len(homes)):
        assert told(findings, home, "home") == changes(AwayTwin(rule.condition, heard(batch, home)), minutes)


# -- absent ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class AbsentTwin:
    """The docstrings of absent.py for one household: every minute, all it has ever told is gone through again."""

    spec: Absent
    readings: list[Heard]
    firing: bool = False
    since: int | None = None
    missed: int = 0
    gone: float = 0
    longest: float = 2.0 * MINUTE

    def __call__(self, at: int) -> tuple[int, int, int]:
        heard = [r for r in self.readings if r.at <= at]
        signs = [r.taken for r in heard if r.metric in {"heart_rate", "respiration_rate"}]
        signs += [r.taken for r in heard if r.metric == "body_movement" and r.value >= latest_module.STIR_FROM]
        beds = [r for r in heard if r.metric == "in_bed"]
        talking = bool(beds) and at - max(r.taken for r in beds) <= self.spec.sensor_within
        in_bed = bool(beds) and beds[-1].value > 0
        sign = max(signs) if signs else None
        gone = at - sign if sign is not None else 0
        if talking and in_bed:
            self.longest = float(np.float32(self.longest * absent_module.FADES))
        if talking and in_bed and gone < self.gone <= self.spec.seen_within:
            self.longest = float(np.float32(max(min(self.gone, self.spec.confirm_at_most), self.longest)))
        self.gone = gone if talking and in_bed else 0
        limit = min(max(self.longest * absent_module.MARGIN, self.spec.confirm), self.spec.confirm_at_most)
        self.missed = self.missed if sign == self.since else 0
        self.missed += sum(at - MINUTE < r.at for r in beds) * min(gone, MINUTE) // MINUTE
        self.since = sign
        if (
            talking and in_bed and limit <= gone <= self.spec.seen_within and self.missed >= absent_module.MISSED
        ):  # fmt: skip
            self.firing = True
        if talking and (not in_bed or (sign is not None and gone < limit)):
            self.firing = False
        verdict = Verdict.UNKNOWN if not talking else Verdict.FIRING if self.firing else Verdict.CLEAR
        return verdict, Level.HIGH if self.firing else 0, -(2**63) if sign is None else sign


def breaths(seed: int) -> tuple[Homes, ReadingBatch]:
    """Three beds over six hours: in and out, pulse and breath lost for seconds or minutes, still or stirring."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    metrics = [METRICS.index(m) for m in ("in_bed", "heart_rate", "respiration_rate", "body_movement")]
    for home in range(3):
        bed = homes.add_device(f"A-0{home}", "bed")
        lies, lost, dumb, change = 1.0, False, False, 0.0
        for second in range(0, 6 * 3600, 10):
            if second >= change:
                lies, lost, dumb = float(rng.random() < 0.8), rng.random() < 0.5, rng.random() < 0.05
                change = second + rng.lognormal(5.0, 1.2)
            at = MIDNIGHT + second * SECOND
            stir = float(rng.integers(0, 2) if lost else rng.integers(0, 6))
            values = [lies, 60.0, 15.0, stir]
            for metric, value in zip(metrics, values, strict=True):
                rate = metric in metrics[1:3]
                if dumb or (rate and (lost or not lies)) or rng.random() < 0.1:
                    continue
                rows.append((home, bed, metric, value, at, at + int(rng.integers(0, 3 * SECOND)), 0))
    return homes, reading_batch(rows)


@pytest.mark.parametrize("seed", range(2))
def test_absent_equals_its_twin(seed: int) -> None:
    rule = rule_of("no-breathing", {
        "kind": "absent", "confirm": "60s", "confirm_at_most": "5m", "seen_within": "10m", "sensor_within": "2m",
    })  # fmt: skip
    assert isinstance(rule.condition, Absent)
    homes, batch = breaths(seed)
    findings, minutes = run(rule, batch, homes)
    assert {Verdict.CLEAR, Verdict.UNKNOWN, Verdict.FIRING} <= set(findings.verdict.tolist())
    for home in range(len(homes)):
        mine = told(findings, home, "home")
        assert mine == changes(AbsentTwin(rule.condition, heard(batch, home)), minutes)
        assert any(line[1] == Verdict.FIRING for line in mine)


# -- silent ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SilentTwin:
    """The docstrings of silent.py for one device: when it was heard, and its longest recent pause."""

    spec: Silent
    readings: list[Heard]
    seen: int = 0
    heard: int | None = None
    period: int = 0
    offline: bool = False
    beats: bool = False
    silent: bool = False

    def __call__(self, at: int) -> tuple[int, int, int]:
        while self.seen < len(self.readings) and self.readings[self.seen].at <= at:
            cell = [r for r in self.readings[self.seen :] if r.at == self.readings[self.seen].at]
            self.seen += len(cell)
            self.hear(cell)
        if self.heard is None:
            return Verdict.UNKNOWN, 0, -(2**63)
        limit = min(max(self.period * self.spec.periods, self.spec.at_least), self.spec.at_most)
        self.silent = self.offline or at - self.heard > limit
        verdict = Verdict.FIRING if self.silent else Verdict.CLEAR
        return verdict, Level.LOW if self.silent else 0, self.heard

    def hear(self, cell: list[Heard]) -> None:
        wills = [r for r in cell if r.metric == "heartbeat" and r.value == 0]
        self.offline = bool(wills)
        living = [r for r in cell if r not in wills]
        if not living:
            return
        self.beats |= any(r.metric == "heartbeat" for r in living)
        if self.heard is not None and not (self.silent and self.beats):
            pause = living[0].at - self.heard
            self.period = max(pause, self.period - int(pause * fold_module.PERIOD_FADES))
        self.heard = living[0].at


def beats(seed: int) -> tuple[Homes, ReadingBatch]:
    """Devices of many cadences, with and without a heartbeat; pauses, deaths, wills, and a device that never speaks."""
    rng, homes, rows = np.random.default_rng(seed), Homes(), []
    beat, motion = METRICS.index("heartbeat"), METRICS.index("motion")
    for number in range(8):
        device = homes.add_device(f"A-0{number % 3}", f"d{number}")
        every = float(rng.choice([30, 300, 600, 3600]))
        at = MIDNIGHT
        while at < MIDNIGHT + 30 * HOUR and number < 7:
            at += int(every * SECOND * rng.uniform(0.7, 1.3))
            if rng.random() < 40 * every / 86400 / 20:
                if rng.random() < 0.5:
                    rows.append((number % 3, device, beat, 0.0, at, at, 0))
                at += int(rng.exponential(4 * HOUR))
            metric = beat if number % 2 and rng.random() < 0.8 else motion
            rows.append((number % 3, device, metric, 1.0, at, at + int(rng.integers(0, SECOND)), 0))
    return homes, reading_batch(rows)


@pytest.mark.parametrize("seed", range(3))
def test_silent_equals_its_twin(seed: int) -> None:
    rule = rule_of("device-silent", {"kind": "silent", "at_least": "30m", "at_most": "5h"}, "low")
    assert isinstance(rule.condition, Silent)
    homes, batch = beats(seed)
    findings, minutes = run(rule, batch, homes)
    assert set(findings.verdict.tolist()) == {Verdict.CLEAR, Verdict.FIRING}
    for device, home in enumerate(homes.device_home):
        mine = [r for r in heard(batch, home) if r.device == device]
        assert told(findings, device, "device") == changes(SilentTwin(rule.condition, mine), minutes)
