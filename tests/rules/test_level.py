"""The level of power against a naive twin: one household, plain Python, and answers known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isnan, log, nan
from statistics import median

import numpy as np
import pytest

from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import no_readings, reading_batch
from mimamori.model.times import MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules import level as compiled
from mimamori.rules.columns import Columns
from mimamori.rules.engine import Engine
from mimamori.rules.level import LOWEST, Levels, level_columns
from mimamori.rules.quiet import beside_others
from mimamori.site import load_site

METRICS, MIDNIGHT = Metrics(), parse_instant("2026-11-23T00:00:00+09:00")
POWER = METRICS.index("power")
PRIOR = [0.4, 0.8, 0.8, 0.8, 0.6, 0.4, 0.2, 0.0]
QUANTILES = [0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0]


def share(parts: list[float]) -> list[float]:
    return [p / sum(parts) for p in parts]


def rank(edges: list[float], value: float) -> int:
    return sum(edge <= value for edge in edges)


@dataclass
class Twin:
    """One household, as the module's text has it."""

    table: list[list[float]] = field(default_factory=lambda: [[0.0] * 8 for _ in range(48)])
    seen: list[list[float]] = field(default_factory=lambda: [[0.0] * 8 for _ in range(15)])
    meant: list[list[float]] = field(default_factory=lambda: [[0.0] * 8 for _ in range(15)])
    nights: dict[int, dict[int, float]] = field(default_factory=dict)
    edges: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    follows: list[list[float]] = field(default_factory=list)
    before: int = 0
    nats: float = 0.0
    run: int = 0
    lowest: float = 0.0

    def step(self, wh: float, slot: int, day: int) -> None:
        if self.edges and not isnan(wh):
            self.weigh(wh, slot)
        if 4 <= slot <= 9:
            self.nights.setdefault(day, {})[slot] = float(np.float16(wh))
        if slot == 9:
            self.learn_quiet(day)
        if slot == 47:
            for rows in (self.table, self.seen, self.meant):
                rows[:] = [[v * (1 - 1 / 14) for v in row] for row in rows]

    def weigh(self, wh: float, slot: int) -> None:
        b = sum(edge < wh for edge in self.edges)
        day = [sum(row[k] for row in self.table) for k in range(8)]
        p = [6 * (day[k] + 20 * self.quiet[k]) / (sum(day) + 20) for k in range(8)]
        for j, w in zip(range(-2, 3), (1, 2, 3, 2, 1), strict=True):
            p = [p[k] + w / 3 * self.table[(slot + j) % 48][k] for k in range(8)]
        p = share(p)
        for row in (rank([1, 2, 4, 8, 16, 32], self.run), 7 + self.before):
            before = p
            p = share([
                before[k] * (self.seen[row][k] + 10 * before[k]) / (self.meant[row][k] + 10 * before[k])
                for k in range(8)
            ])  # fmt: skip
            self.seen[row][b] += 1
            self.meant[row] = [m + v for m, v in zip(self.meant[row], before, strict=True)]
        gain = min(max(log(self.follows[self.before][b] / p[b]), -9), 1.5)
        self.before = b
        self.nats = min(max(self.nats + gain, self.lowest), 30)
        self.run = 0 if b >= 5 else self.run + 1
        self.table[slot][b] += 1

    def learn_quiet(self, day: int) -> None:
        nights = [[self.nights.get(d, {}).get(slot, nan) for slot in range(4, 10)] for d in range(day - 27, day + 1)]
        nights = [night for night in nights if sum(not isnan(v) for v in night) >= 4]
        told = [[v for v in night if not isnan(v)] for night in nights]
        if len(told) < 3:
            return
        middle = median(sum(night) / len(night) for night in told)
        cells = sorted(v for night in told if sum(night) / len(night) <= middle for v in night)
        if len(cells) < 12:
            return
        new: list[float] = []
        for q in QUANTILES[:-1]:
            edge = cells[int(q * (len(cells) - 1) + 0.5)] + 0.5
            new.append(edge if not new or edge > new[-1] else new[-1] + 0.5)
        new.append(max(cells[-1] + 0.5, cells[-1] * 1.1 + 5, new[-1] + 0.5))
        self.edges = [0.9 * o + 0.1 * n for o, n in zip(self.edges, new, strict=True)] if self.edges else new
        bounds = [-inf, *self.edges, inf]
        counts = [sum(bounds[k] < v <= bounds[k + 1] for v in cells) for k in range(8)]
        self.quiet = share([c + p for c, p in zip(counts, PRIOR, strict=True)])
        self.quiet = share([*self.quiet[:-1], max(self.quiet[-1], 0.002)])
        calm = [night for night, known in zip(nights, told, strict=True) if sum(known) / len(known) <= middle]
        self.follows = [[40 * q for q in self.quiet] for _ in range(8)]
        for night in calm:
            for a, b in pairwise(night):
                if not (isnan(a) or isnan(b)):
                    self.follows[sum(e < a for e in self.edges)][sum(e < b for e in self.edges)] += 1
        self.follows = [share(row) for row in self.follows]


def level_of(homes: int) -> tuple[Columns, Levels]:
    columns = Columns(level_columns("r"), capacity=homes)
    columns.fit(homes=homes, devices=0)
    return columns, Levels(*columns.bundle(Levels._fields, "r.level_"))


def step(level: Levels, wh: np.ndarray, cell: int, *, alarmed: int = -1) -> None:
    slot, room = cell % 48, np.empty(8)
    for h, value in enumerate(wh.tolist()):
        if not isnan(value):
            compiled.weigh(h, value, -30.0 if h % 2 else 0.0, slot, True, level, room)
        compiled.end_half_hour(h, value, slot, cell // 48, h == alarmed, 0.5 / 15 / 48, level)
    if slot == 9:
        compiled.learn_quiet(0, len(wh), level)
    if slot == 47:
        compiled.forget(0, len(wh), level)


def life(homes: int, days: int) -> np.ndarray:
    """(cells, homes) Wh: a fridge, and somebody awake by day; some half hours are missing."""
    random = np.random.default_rng(7)
    hour = np.arange(days * 48)[:, None] % 48 / 2
    awake = (hour > 7) & (hour < 22) & (random.random((days * 48, homes)) < 0.6)
    wh = 30 + random.gamma(4, 5, awake.shape) + awake * random.gamma(2, 100, awake.shape)
    wh[random.random(awake.shape) < 0.03] = nan
    return np.round(wh, 1)


def test_many_households_equal_the_naive_twin() -> None:
    wh = life(homes=3, days=20)
    columns, level = level_of(3)
    twins = [Twin(lowest=-30.0 * (home % 2)) for home in range(3)]
    for cell, now in enumerate(wh):
        step(level, now, cell)
        for twin, value in zip(twins, now.tolist(), strict=True):
            twin.step(value, cell % 48, cell // 48)
        if cell % 48 == 20:  # the table is kept in half precision
            assert columns["r.level_sum"].tolist() == pytest.approx([t.nats for t in twins], abs=0.02)
            assert cell < 15 * 48 or columns["r.level_sum"][1] < 0
    edges, quiet = columns["r.level_edge"].T, columns["r.level_quiet"].T
    assert edges == pytest.approx(np.array([t.edges for t in twins]), rel=1e-5)
    assert quiet == pytest.approx(np.array([t.quiet for t in twins]), rel=1e-5)


def test_one_household_alone_is_the_same_to_the_bit() -> None:
    wh = life(homes=4, days=12)
    many, level = level_of(4)
    one, alone = level_of(1)
    for cell, now in enumerate(wh):
        step(level, now, cell)
        step(alone, now[2:3], cell)
    for name in many.declared:
        assert many[name][..., 2:3].tobytes() == one[name].tobytes(), name


def test_a_day_like_a_night_is_told_and_a_kettle_ends_it() -> None:
    wh = life(homes=1, days=21)
    columns, level = level_of(1)
    for cell, now in enumerate(wh[: 20 * 48]):
        step(level, now, cell)
    quiet = wh[20 * 48 + 2 : 20 * 48 + 12]
    quiet = quiet[np.isfinite(quiet[:, 0])]
    for cell in range(20 * 48, 20 * 48 + 40):
        step(level, quiet[cell % len(quiet)], cell)
    assert columns["r.level_sum"][0] > LOWEST
    for cell in range(20 * 48 + 40, 20 * 48 + 46):
        step(level, np.array([2000.0]), cell)
    assert columns["r.level_sum"][0] == 0


def test_nothing_is_weighed_before_three_nights() -> None:
    columns, level = level_of(1)
    for cell, now in enumerate(life(homes=1, days=2)):
        step(level, now, cell)
    assert isnan(columns["r.level_edge"][0, 0])
    assert columns["r.level_sum"][0] == 0


def test_the_threshold_rises_with_alarms_and_sinks_with_calm() -> None:
    columns, level = level_of(2)
    for cell in range(15 * 48):
        step(level, np.full(2, nan), cell, alarmed=0 if cell == 0 else -1)
    assert columns["r.level_threshold"].tolist() == pytest.approx([7.75, 7.25], abs=0.01)


def test_what_can_wait_for_idle_ticks_is_the_same_however_it_is_cut() -> None:
    def days(*seconds: int) -> dict[str, np.ndarray]:
        homes, rng = Homes(), np.random.default_rng(5)
        for i in range(3):
            homes.add_device(f"A-0{i}", "meter")
        rule = next(r for r in load_site().rules if r.name == "inactivity")
        engine, now = Engine(homes, [rule], METRICS, zone_table("Asia/Tokyo"), capacity=1), MIDNIGHT
        for half in range(6 * 48):
            drawn = 30 + rng.gamma(4, 5, 3)
            at = now + 12 * MINUTE
            engine.step(reading_batch((h, h, POWER, drawn[h], at + h, at + h, 0) for h in range(3)), at + MINUTE)
            for second in seconds if half % 48 in {9, 10, 47} and half < 250 else ():
                engine.step(no_readings(), now + 30 * MINUTE + second * SECOND)
            if half == 5 * 48 + 10:
                homes.add_device("A-09", "meter")  # rows that come while work is under way
            now += 30 * MINUTE
        return engine.snapshot()

    whole, cut = days(), days(*range(2, 290), 310)
    assert np.isfinite(whole["inactivity.level_edge"][0, :3]).all()
    assert [k for k in whole if whole[k].tobytes() != cut[k].tobytes()] == []


def metered(days: np.ndarray, begin: int = 0, engine: Engine | None = None) -> tuple[Engine, list[int]]:
    """An engine that has lived through those half hours (cells,) of Wh, and its verdict after each, of inactivity."""
    if engine is None:
        homes = Homes()
        homes.add_device("A-01", "meter")
        rule = next(r for r in load_site().rules if r.name == "inactivity")
        engine = Engine(homes, [rule], METRICS, zone_table("Asia/Tokyo"), capacity=1)
    verdicts = []
    for cell, drawn in enumerate(days.tolist(), begin):
        at = MIDNIGHT + cell * 30 * MINUTE
        engine.step(reading_batch([(0, 0, POWER, 2 * drawn, at + MINUTE, at + MINUTE, 0)]), at + 2 * MINUTE)
        engine.step(no_readings(), at + 30 * MINUTE)
        verdicts.append(int(engine.snapshot()["inactivity.verdict"][0]))
    return engine, verdicts


def test_an_alarm_stands_until_somebody_draws_power_however_long_the_quiet_was() -> None:
    lived = np.nan_to_num(life(homes=1, days=28)[:, 0], nan=40)
    night = lived[(np.arange(len(lived)) % 48 >= 4) & (np.arange(len(lived)) % 48 < 10)]
    engine, _ = metered(lived)
    gone = np.random.default_rng(3).choice(night[-60:], 30 * 48)
    engine, verdicts = metered(gone[: 2 * 48], len(lived), engine)
    usual = engine.snapshot()["inactivity.level_day"].sum()
    engine, later = metered(gone[2 * 48 :], len(lived) + 2 * 48, engine)
    fires = np.array(verdicts + later) == Verdict.FIRING
    assert fires[48:].all()
    assert engine.snapshot()["inactivity.level_day"].sum() < 0.2 * usual  # a month on, forgotten and not learned anew
    _, verdicts = metered(np.full(12, 400.0), len(lived) + len(gone), engine)
    assert verdicts[-1] != Verdict.FIRING


def test_beside_other_sensors_power_counts_no_more_than_the_chance_that_it_tells_nothing() -> None:
    own = np.linspace(-20, 20, 401)
    counts = np.array([beside_others(nats) for nats in own.tolist()])
    assert counts[200] == 0
    assert (np.diff(counts) >= 0).all()
    assert (abs(counts) <= abs(own)).all()
    assert counts[[0, -1]] == pytest.approx([log(0.025), -log(0.4)], abs=0.01)


def test_a_register_that_stands_still_for_a_day_is_told_until_it_moves() -> None:
    lived = np.nan_to_num(life(homes=1, days=21)[:, 0], nan=40)
    lived[abs(np.arange(len(lived)) % 48 - 26) < 5] = 0  # solar cells on the roof: zero by day is nothing special
    engine, verdicts = metered(lived)
    assert verdicts[-1] == Verdict.CLEAR
    _, verdicts = metered(np.append(np.zeros(10 * 48), np.full(12, 400.0)), len(lived), engine)
    fires = np.array(verdicts) == Verdict.FIRING
    assert fires[48 : 10 * 48].all()
    assert not fires[-1]
