"""Invented households for the laws: sleep, outings, falls, dead sensors, late and doubled readings, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, concat_findings
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import HISTORICAL, LATE, ReadingBatch, no_readings
from mimamori.model.times import DAY, MINUTE, SECOND, parse_instant, zone_table
from mimamori.rules.backing import Gate
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Rule, watched
from mimamori.rules.tune import own_keys
from mimamori.site import load_site

MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
METRICS = Metrics()
KITS = (
    ("bed", "hall", "bath", "door", "tv", "lamp", "meter", "room"), ("bed", "hall", "door"), ("meter", "tv", "room"),
    ("hall", "bath", "room"), ("bed",), ("bed", "meter", "tv"),
)  # fmt: skip


VITALS = ("heart_rate", "respiration_rate")
GATES = (
    Gate(profile="share", metrics=VITALS, by="body_movement", at_least=2, share=0.6, within=20 * MINUTE),
    Gate(profile="held", metrics=VITALS, by="in_bed", at_least=1, share=0, within=5 * MINUTE),
)
PROFILES = {"A-00": "share", "B-01": "held"}  # of their beds; the other households' count always


def profile_of(household: str, device: str) -> str:
    """The device model that one is registered with."""
    return PROFILES.get(household, "") if device == "bed" else ""


@dataclass(frozen=True, slots=True)
class Stream:
    """Readings of some households in order of arrival, from `first` to `end` (ns)."""

    ids: tuple[str, ...]
    devices: tuple[tuple[int, str], ...]
    batch: ReadingBatch
    first: int
    end: int

    def homes(self, *, upto: int | None = None) -> Homes:
        """A registry of the first so many devices and their households, or of all."""
        homes = Homes()
        if upto is None:
            for household in self.ids:
                homes.add(household)
        for home, device in self.devices[:upto]:
            homes.add_device(self.ids[home], device, profile_of(self.ids[home], device))
        return homes

    def shuffled(self, rng: np.random.Generator) -> Stream:
        """The same households and devices in other rows, their readings in any order."""
        home, device, rows = (rng.permutation(n) for n in (len(self.ids), len(self.devices), len(self.batch)))
        b = self.batch.take(rows)
        return replace(
            self, ids=_placed(self.ids, home),
            devices=_placed([(int(home[h]), name) for h, name in self.devices], device),
            batch=replace(b, home=home[b.home].astype(np.int32), device=device[b.device].astype(np.int32)),
        )  # fmt: skip

    def shifted(self, by: int) -> Stream:
        """The same life so many ns later."""
        b = replace(self.batch, taken=self.batch.taken + by, got=self.batch.got + by)
        return replace(self, batch=b, first=self.first + by, end=self.end + by)

    def without(self, lost: NDArray[np.bool_]) -> Stream:
        """Less those readings."""
        return replace(self, batch=self.batch.take(~lost))


def _placed(things: Any, at: NDArray[np.int64]) -> tuple[Any, ...]:
    out = [None] * len(things)
    for thing, place in zip(things, at.tolist(), strict=True):
        out[place] = thing
    return tuple(out)


class Diary:
    """Collects the readings of one household on a grid of minutes."""

    def __init__(self, rng: np.random.Generator, start: int, minutes: int, home: int) -> None:
        self.rng, self.start, self.home = rng, start, home
        self.minute = np.arange(minutes)
        self.local = (start - MIDNIGHT) // MINUTE + self.minute
        self.rows: list[tuple[str, str, NDArray[np.float64], NDArray[np.int64]]] = []

    def window(self, longest: int) -> NDArray[np.bool_]:
        """(minutes,) bool: one stretch of at most so many minutes, anywhere."""
        begin = self.rng.integers(0, len(self.minute))
        out: NDArray[np.bool_] = (self.minute >= begin) & (self.minute < begin + self.rng.integers(1, longest + 1))
        return out

    def tell(self, device: str, metric: str, when: NDArray[np.bool_], value: Any) -> None:
        """One reading in each of those minutes, some of them at a whole minute."""
        minute = self.minute[when]
        within = self.rng.integers(0, 60, len(minute)) * SECOND * (self.rng.random(len(minute)) < 0.8)
        taken = self.start + minute * MINUTE + within
        self.rows.append((device, metric, np.broadcast_to(value, len(self.minute))[when].astype(np.float64), taken))

    def live(self, kit: tuple[str, ...]) -> None:
        """A stretch of an ordinary life, with something wrong here and there."""
        rng, n = self.rng, len(self.minute)
        bed = (self.local % 1440 >= 22 * 60) | (self.local % 1440 < 6 * 60 + 30)
        for _ in range(1 + n // 500):
            bed &= ~self.window(100)
        out = ~bed & (self.window(400) | self.window(60))
        active = ~bed & ~out & (rng.random(n) < 0.2) & ~self.window(600)
        if "bed" in kit:
            self._sleep(bed)
        for device in {"hall", "bath"} & set(kit):
            self.tell(device, "motion", active, (rng.random(n) < 0.9).astype(float))
        if "door" in kit:
            edge = np.diff(out, prepend=out[0])
            self.tell("door", "door_open", edge, 1.0)
            self.tell("door", "button", rng.random(n) < 0.001, 1.0)
        for device in sorted({"tv", "lamp"} & set(kit)):
            self.tell(device, "power", self.minute % 5 == 0, np.round(rng.normal(60, 5, n) + 200 * active, 1))
        if "room" in kit:
            told = (self.minute % 5 == rng.integers(0, 5)) & ~self.window(120)
            warmth = 20 + 14 * np.sin(rng.random() * 6 + self.minute / rng.integers(40, 200))
            self.tell("room", "temperature", told, np.round(warmth + rng.normal(0, 0.3, n), 1))
            self.tell("room", "humidity", told & ~self.window(200), np.round(60 + 35 * rng.random(n)))
        if "meter" in kit:
            used = np.cumsum(np.round(1 + rng.random(n) + 5 * active, 1)) + 1000
            reset = rng.integers(0, n)
            self.tell("meter", "energy", self.minute % 10 == 0, np.where(self.minute > reset, used - used[reset], used))
        for device in kit:
            self.tell(device, "heartbeat", self.minute % 10 == 3, self.minute + 1.0)

    def _sleep(self, bed: NDArray[np.bool_]) -> None:
        rng, n = self.rng, len(self.minute)
        self.tell("bed", "in_bed", self.minute % 2 == 0, bed.astype(float))
        self.tell("bed", "body_movement", bed & (self.minute % 3 == 0), rng.exponential(6, n).clip(0, 100))
        pulse, breath = rng.normal(64, 3, n), rng.normal(15, 1, n)
        for _ in range(1 + n // 700):
            pulse[self.window(30)] = rng.choice([36.0, 125.0, 150.0])
            breath[self.window(30)] = rng.choice([5.0, 27.0, 35.0])
        for _ in range(2):
            self.tell("bed", "heart_rate", (bed | self.window(60)) & ~self.window(90), pulse)
        self.tell("bed", "respiration_rate", bed, breath)

    def readings(self, devices: dict[str, int]) -> ReadingBatch:
        """All that was told, as it came in: some late, doubled, back-filled or lost with a dead device."""
        rng, parts = self.rng, []
        dead = {d: self.window(500) if rng.random() < 0.4 else np.zeros(len(self.minute), bool) for d in devices}
        for device, metric, value, taken in self.rows:
            lives = ~dead[device][(taken - self.start) // MINUTE]
            parts.append((device, metric, value[lives], taken[lives]))
        for device, lost in dead.items():
            last = self.minute[lost][:1] if rng.random() < 0.5 else self.minute[:0]
            parts.append((device, "heartbeat", np.zeros(len(last)), self.start + last * MINUTE + SECOND))
        value, taken = (np.concatenate([p[i] for p in parts]) for i in (2, 3))
        n = len(value)
        got = taken + rng.integers(0, 3, n) * SECOND + rng.integers(0, 2, n) * 70_000_000
        late = rng.random(n) < 0.03
        got[late] += rng.integers(60, 2400, int(late.sum())) * SECOND
        batch = ReadingBatch(
            home=np.full(n, self.home, np.int32),
            device=np.concatenate([np.full(len(p[2]), devices[p[0]], np.int32) for p in parts]),
            metric=np.concatenate([np.full(len(p[2]), METRICS.index(p[1]), np.int16) for p in parts]),
            value=value, taken=taken, got=got,
            flags=(late * LATE + (rng.random(n) < 0.01) * HISTORICAL).astype(np.uint8),
        )  # fmt: skip
        again = batch.take(rng.random(n) < 0.02)
        return _joined([batch, replace(again, got=again.got + rng.integers(0, 5, len(again)) * SECOND)])


def _joined(parts: list[ReadingBatch]) -> ReadingBatch:
    return ReadingBatch(
        **{f: np.concatenate([getattr(p, f) for p in parts]) for f in ReadingBatch.__dataclass_fields__}
    )


def invent_stream(seed: int, *, hours: int) -> Stream:
    """Two to four households for so many hours from some minute of a day on; the same for the same seed."""
    rng = np.random.default_rng(seed)
    start = MIDNIGHT + int(rng.integers(0, DAY // MINUTE)) * MINUTE
    ids = tuple(f"{chr(65 + i)}-0{i}" for i in range(rng.integers(2, 5)))
    devices: list[tuple[int, str]] = []
    parts = []
    for home in range(len(ids)):
        kit = KITS[0] if home == 0 else KITS[rng.integers(len(KITS))]
        rows = {name: len(devices) + i for i, name in enumerate(kit)}
        devices += [(home, name) for name in kit]
        diary = Diary(rng, start, hours * 60, home)
        diary.live(kit)
        parts.append(diary.readings(rows))
    batch = _joined(parts)
    batch = batch.take(np.argsort(batch.got, kind="stable"))
    for name in ReadingBatch.__dataclass_fields__:
        getattr(batch, name).flags.writeable = False  # an engine that writes to its input raises
    return Stream(ids, tuple(devices), batch, int(batch.got[0]), int(batch.got[-1]) + 2 * MINUTE)


@dataclass(slots=True)
class Run:
    """An engine driven over a stream, one step at each of the given moments."""

    stream: Stream
    engine: Engine
    homes: Homes
    done: int
    parts: list[FindingBatch]

    def upto(self, *moments: int) -> Run:
        """Step to each moment in turn."""
        got = np.sort(self.stream.batch.got)
        order = np.argsort(self.stream.batch.got, kind="stable")
        for now in moments:
            end = int(np.searchsorted(got, now, side="right"))
            batch = self.stream.batch.take(np.sort(order[self.done : end])) if end > self.done else no_readings()
            self.parts.append(self.engine.step(batch, now))
            self.done = end
        return self

    def grow(self, devices: int) -> None:
        """Register the devices up to that row, as if they had just been installed."""
        for home, device in self.stream.devices[:devices]:
            household = self.stream.ids[home]
            self.homes.add_device(household, device, profile_of(household, device))
        self.set_apart()

    def set_apart(self) -> None:
        """The first household has parameters of its own, under every rule that takes them; the second is declared away
        in the middle of the stream.
        """
        away = self.homes.find("B-01")
        if away >= 0:
            part = (self.stream.end - self.stream.first) // 3
            self.engine.declare({away: [(self.stream.first + part, self.stream.first + 2 * part)]})
        row = self.homes.find("A-00")
        if row >= 0:
            rules = self.engine.rules
            self.engine.set_own({row: {r.name: {k: r.bounds[k][0] for k in own_keys(r)} for r in rules}})

    @property
    def findings(self) -> FindingBatch:
        """All so far."""
        return concat_findings(self.parts)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of the engine's state."""
        return self.engine.snapshot()

    def by_id(self) -> dict[tuple[str, str], NDArray[Any]]:
        """(column, household or household/device) -> its values."""
        told: dict[tuple[str, str], NDArray[Any]] = {}
        names = {
            "home": self.homes.ids,
            "device": [
                f"{self.homes.ids[h]}/{d}" for h, d in zip(self.homes.device_home, self.homes.device_ids, strict=True)
            ],
        }
        for column in self.engine._columns.declared.values():
            if column.name != "device_home":
                view = self.engine.view(column.name)
                told |= {(column.name, name): view[..., row] for row, name in enumerate(names[column.axis])}
        return told

    def lines(self, findings: FindingBatch | None = None) -> list[tuple[Any, ...]]:
        """Findings in words instead of rows, sorted."""
        f = self.findings if findings is None else findings
        ids, devices = self.homes.ids, ["", *self.homes.device_ids]
        return sorted(
            (int(f.at[i]), int(f.rule[i]), ids[f.home[i]], devices[f.device[i] + 1], int(f.verdict[i]), int(f.level[i]),
             int(f.since[i]), f.score[i].tobytes(), f.facts[i].tobytes())
            for i in range(len(f))
        )  # fmt: skip


@pytest.fixture(scope="session")
def invent() -> Callable[..., Stream]:
    return invent_stream


@pytest.fixture(scope="session")
def rule_sets() -> dict[str, tuple[Rule, ...]]:
    """All shipped rules together, and those of each kind alone, with the rules that they look at."""
    rules = load_site().rules
    sets = {"all": rules}
    for kind in sorted({r.condition.kind for r in rules}):
        alone = [r for r in rules if r.condition.kind == kind]
        sets[kind] = (*alone, *(w for w in rules if w not in alone and any(w in watched(r, rules) for r in alone)))
    return sets


@pytest.fixture(scope="session")
def start() -> Callable[..., Run]:
    """A run of a stream under some rules, nothing stepped yet."""

    def make(stream: Stream, rules: tuple[Rule, ...], *, capacity: int = 64, devices: int | None = None) -> Run:
        homes = stream.homes(upto=devices)
        zone = zone_table("Asia/Tokyo")
        run = Run(stream, Engine(homes, rules, METRICS, zone, gates=GATES, capacity=capacity), homes, 0, [])
        run.set_apart()
        return run

    return make
