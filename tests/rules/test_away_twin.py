"""Not back in bed against a naive twin: one household, plain Python, a loop over all it ever told."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log, sqrt

import numpy as np
import pytest

from mimamori.model.findings import Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import HOUR, MINUTE, SECOND
from mimamori.rules import away as away_module
from mimamori.rules import fold as fold_module
from mimamori.rules.spec import Away

from .conftest import METRICS, MIDNIGHT, ZONE, Heard, changes, heard, rule_of, run, told


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
