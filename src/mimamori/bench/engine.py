"""How fast the engine is: the shipped rules on made-up households of any number, timed on this machine.

May import everything below. What it times is the engine that runs, with readings that arrive as they do from a broker;
making the readings is not timed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.bench.beside import Beside, beside_twins
from mimamori.garbage import rarely_collected
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch, no_readings
from mimamori.model.times import MINUTE, SECOND, parse_instant, to_datetime
from mimamori.progress import progress
from mimamori.rules.engine import PENDING, Engine
from mimamori.rules.kinds import ALL_JUDGED
from mimamori.rules.spec import Evidence
from mimamori.site import Site

START = parse_instant("2026-11-24T01:00:00+09:00")
DAY_MINUTES = 1440
TOLD = (("in_bed", 1.0, 0.0), ("heart_rate", 62.0, 4.0), ("respiration_rate", 15.0, 1.5), ("body_movement", 6.0, 4.0),
        ("power", 180.0, 60.0), ("temperature", 21.0, 0.5), ("humidity", 50.0, 3.0))  # fmt: skip
BEDS = 4
"""Metric, mean and spread of the values; the first so many come from the household's bed, the rest from its meter."""
TICK_VALUES, LARGE = 80_000, 2_000_000
IDLE_SECONDS, BUSY_TICKS = 86_400, 60
HALF_HOUR = 1800  # seconds
AWAY_EVERY = 100
REPLAYED = ("power", "in_bed", "heart_rate", "respiration_rate")


class Took(NamedTuple):
    """Seconds on the clock, and of this process's own time on the processor."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Milliseconds: median, 99th and 99.9th percentile, largest and mean of `count` timings."""

    count: int
    median: float
    p99: float
    p999: float
    largest: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The figures for one number of households.

    idle_tick: one-second ticks in which nothing arrives and nothing changes, over a day: its midnight and the time at
    which quiet nights are learned are among them. As in the service, Python seldom looks for cycles meanwhile.
    worst_at: local time of the one of them that took most of the processor. idle_minute: those in which the rules look
    (once a minute). turned: the worst of the others, in which verdicts turned (all sensors of all households fall
    silent at once), in ms. busy_tick: ticks ten seconds apart, each bringing `values` readings and folding them in, and
    at whole minutes asking the rules about silence.
    rules_tick: the one-second ticks between them, in which the other rules follow, one after another.
    reading_ns: in one batch of two million. growth_us: to add a household to a running engine. All are times on the
    clock, and where other programs run they hold their turns too; idle_cpu, busy_cpu and reading_cpu_ns are the same
    ticks and readings in this process's own time on the processor. hardest_second: of the half hour, in which the work
    comes round, the second whose idle ticks take longest in that time, median of the day, in ms.
    """

    households: int
    bytes_per_household: int
    idle_tick: Spread
    idle_cpu: Spread
    hardest_second: float
    worst_at: str
    idle_minute: Spread
    turned: float
    busy_tick: Spread
    busy_cpu: Spread
    rules_tick: Spread
    values: int
    reading_ns: float
    reading_cpu_ns: float
    growth_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A reading a minute of four metrics, in steps of a day; seconds of engine time, and of the processor's."""

    households: int
    days: int
    readings: int
    seconds: float
    cpu_seconds: float
    findings: int

    @property
    def per_second(self) -> float:
        return self.readings / self.seconds


def measure(site: Site, sizes: Sequence[int], seed: int) -> list[Size]:
    """Time the engine at each number of households."""
    found = []
    with progress("sizes", len(sizes), "size") as bar:
        for households in sizes:
            found.append(_measure(site, households, np.random.default_rng(seed)))
            bar.update(1)
    return found


def _measure(site: Site, households: int, rng: np.random.Generator) -> Size:
    homes = made_homes(households)
    engine = Engine(homes, site.rules, site.metrics, site.zone, gates=site.gates)
    now = START
    for _ in range(12):  # two minutes in which every household is heard
        now += 10 * SECOND
        engine.step(_values(site, households, max(households, TICK_VALUES), now, rng), now)
    busy, between = [], []
    for _ in range(BUSY_TICKS):
        between += [_timed(engine, no_readings(), now + second * SECOND + 1)[1] for second in range(1, 10)]
        now += 10 * SECOND
        batch = _values(site, households, TICK_VALUES, now, rng)
        busy.append(_timed(engine, batch, now + 1)[1])  # just after the ten seconds are over
    large = _values(site, households, LARGE, now + 10 * SECOND, rng)
    engine.step(no_readings(), now + ALL_JUDGED)  # the rules' minute is timed by itself, below
    now += 20 * SECOND
    _, taken = _timed(engine, large, now)
    _know_nights(engine, site)
    for _ in range(20):  # what was heard settles
        now += MINUTE
        engine.step(no_readings(), now)
    with rarely_collected():
        idle, turned = _idle_day(engine, now)
    now += IDLE_SECONDS * SECOND
    looked = [spent for at, spent in idle.items() if at % MINUTE == SECOND]
    by_second: dict[int, list[float]] = {}
    for at, spent in idle.items():
        by_second.setdefault(at // SECOND % HALF_HOUR, []).append(spent.cpu)
    worst = max(idle, key=lambda at: idle[at].cpu)
    return Size(
        households=households, bytes_per_household=engine.bytes_per_home(),
        idle_tick=_spread(_walls(idle.values())), idle_cpu=_spread([t.cpu for t in idle.values()]),
        hardest_second=max(float(np.median(spent)) for spent in by_second.values()) * 1e3,
        worst_at=to_datetime(worst, site.zone.name).time().isoformat("seconds"),
        idle_minute=_spread(_walls(looked)), turned=turned.wall * 1e3,
        busy_tick=_spread(_walls(busy)), busy_cpu=_spread([t.cpu for t in busy]), rules_tick=_spread(_walls(between)),
        values=TICK_VALUES, reading_ns=taken.wall / LARGE * 1e9, reading_cpu_ns=taken.cpu / LARGE * 1e9,
        growth_us=_growth(engine, homes, now) * 1e6,
    )  # fmt: skip


def _idle_day(engine: Engine, now: int) -> tuple[dict[int, Took], Took]:
    """(by the time of the tick, those in which nothing changed; the longest of the others), of the day from `now`."""
    idle, turned = {}, Took(0.0, 0.0)
    for _ in range(IDLE_SECONDS):
        now += SECOND
        changed, spent = _timed(engine, no_readings(), now)
        if changed:
            turned = max(turned, spent)
        else:
            idle[now] = spent
    return idle, turned


def _know_nights(engine: Engine, site: Site) -> None:
    """Four weeks of quiet nights of power, so that there is something to learn from them at five o'clock."""
    saved = {"engine": engine.position()} | {f"waiting.{name}": getattr(no_readings(), name) for name in PENDING}
    for rule in site.rules:
        if isinstance(rule.condition, Evidence):
            name = f"{rule.name}.level_night"
            night = engine.view(name)
            night[:] = (np.arange(night.size).reshape(night.shape) * 7919 % 61 + 30).astype(night.dtype)
            saved[name] = night
    engine.restore(saved)


def made_days(site: Site, households: int, minutes: int, seed: int) -> Iterator[ReadingBatch]:
    """Minutes in each of which every household tells each metric once, at its beginning; every third pulse races."""
    rng, home = np.random.default_rng(seed), np.arange(households, dtype=np.int32)
    for minute in range(minutes):
        at = START + minute * MINUTE + 3 * SECOND
        columns = []
        for place, (name, mean, spread) in enumerate(TOLD):
            value = mean + spread * rng.standard_normal(households) + (80 * (home % 3 == 0) if place == 1 else 0)
            columns.append((home, np.full(households, site.metrics.index(name), np.int16), value))
        who, metric, values = (np.concatenate(part) for part in zip(*columns, strict=True))
        n = len(who)
        yield ReadingBatch(
            home=who, device=(2 * who + (np.arange(n) >= BEDS * households)).astype(np.int32), metric=metric,
            value=values, taken=np.full(n, at), got=np.full(n, at), flags=np.zeros(n, np.uint8),
        )  # fmt: skip


def made_homes(households: int) -> Homes:
    homes = Homes()
    for i in range(households):
        homes.add_device(f"b{i:07d}", "bed")
        homes.add_device(f"b{i:07d}", "meter")
    return homes


def _values(site: Site, households: int, count: int, now: int, rng: np.random.Generator) -> ReadingBatch:
    """`count` readings of random households and metrics, all arrived in the second before `now`."""
    home = rng.integers(0, households, count, dtype=np.int32)
    which = rng.integers(0, len(TOLD), count)
    mean, spread = np.array([t[1] for t in TOLD]), np.array([t[2] for t in TOLD])
    got = now - SECOND + np.sort(rng.integers(0, SECOND, count))
    return ReadingBatch(
        home=home, device=2 * home + (which >= BEDS).astype(np.int32),
        metric=np.array([site.metrics.index(t[0]) for t in TOLD], np.int16)[which],
        value=mean[which] + spread[which] * rng.standard_normal(count),
        taken=got - rng.integers(0, 2 * SECOND, count), got=got, flags=np.zeros(count, np.uint8),
    )  # fmt: skip


def _growth(engine: Engine, homes: Homes, now: int) -> float:
    """Seconds a household, for as many more as there are, a hundredth of them at a time."""
    before, spent = len(homes), 0.0
    for part in range(100):
        for i in range(before * part // 100, before * (part + 1) // 100):
            homes.add_device(f"g{i:07d}", "bed")
        spent += _timed(engine, no_readings(), now)[1].wall
    return spent / before


def _timed(engine: Engine, batch: ReadingBatch, now: int) -> tuple[int, Took]:
    """Findings, and what the step took."""
    begun, worked = time.perf_counter(), time.process_time()
    found = len(engine.step(batch, now))
    return found, Took(time.perf_counter() - begun, time.process_time() - worked)


def _walls(times: Iterable[Took]) -> list[float]:
    return [t.wall for t in times]


def _spread(seconds: Sequence[float]) -> Spread:
    ms = np.array(seconds or [0.0]) * 1e3
    return Spread(
        count=len(seconds), median=float(np.median(ms)), p99=float(np.quantile(ms, 0.99)),
        p999=float(np.quantile(ms, 0.999)), largest=float(ms.max()),
        mean=float(ms.mean()),
    )  # fmt: skip


def replay_days(site: Site, households: int, days: int, seed: int) -> Replay:
    """Feed the engine `days` days of `households` households, in the order of arrival."""
    homes, rng = made_homes(households), np.random.default_rng(seed)
    engine = Engine(homes, site.rules, site.metrics, site.zone, gates=site.gates)
    spent, worked, readings, findings = 0.0, 0.0, 0, 0
    with progress("replay", days, "day") as bar:
        for day in range(days):
            batch = made_day(site, households, START + day * DAY_MINUTES * MINUTE, rng)
            found, took = _timed(engine, batch, int(batch.got[-1]))
            findings, spent, worked = findings + found, spent + took.wall, worked + took.cpu
            readings += len(batch)
            bar.update(1)
    return Replay(
        households=households, days=days, readings=readings, seconds=spent, cpu_seconds=worked, findings=findings
    )


def made_day(site: Site, households: int, begin: int, rng: np.random.Generator) -> ReadingBatch:
    """A day: each household tells its four metrics at a second of the minute that is its own."""
    home = np.tile(np.repeat(np.arange(households, dtype=np.int32), len(REPLAYED)), DAY_MINUTES)
    second = np.repeat(np.sort(rng.integers(0, 60, households)), len(REPLAYED)) * SECOND
    minute = np.repeat(np.arange(DAY_MINUTES), households * len(REPLAYED))
    metric = np.tile(np.array([site.metrics.index(m) for m in REPLAYED], np.int16), households * DAY_MINUTES)
    asleep = (minute < 6 * 60) | (minute >= 22 * 60)  # from one o'clock on; near enough for the clock's purposes
    value: NDArray[np.float64] = np.where(metric == site.metrics.index("in_bed"), asleep, 0.0)
    for name, mean, spread in TOLD:
        if name in REPLAYED and name != "in_bed":
            mine = metric == site.metrics.index(name)
            value[mine] = mean + spread * rng.standard_normal(int(mine.sum()))
    taken = begin + minute * MINUTE + np.tile(second, DAY_MINUTES)
    return ReadingBatch(
        home=home, device=2 * home + (metric == site.metrics.index("power")).astype(np.int32), metric=metric,
        value=value, taken=taken, got=taken + SECOND // 2, flags=np.zeros(len(home), np.uint8),
    )  # fmt: skip


def compare(site: Site, households: int, seed: int, minutes: int = 12) -> Beside:
    """The engine beside one plain Python object a household; one in a hundred is declared away for most of the time.

    100,000 households take some 6 GB and six minutes, nearly all of it for the plain objects.
    """
    away = {row: [(START + 2 * MINUTE, START + (minutes - 2) * MINUTE)] for row in range(0, households, AWAY_EVERY)}
    batches = made_days(site, households, minutes, seed)
    return beside_twins(site, made_homes(households), batches, minutes, away)
