"""Silence of a home and of many, against naive twins and in scenes: one cause, one finding, the lesser held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mimamori.model.findings import FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND, parse_instant, zone_table
from mimamori.rules.cause import KEEPS_TIME
from mimamori.rules.engine import Engine
from mimamori.rules.fold import PERIOD_FADES
from mimamori.rules.latest import CELL
from mimamori.rules.spec import CutOff, Outage, Rule
from mimamori.site import load_site

METRICS = Metrics()
BEAT, MOTION, POWER = (METRICS.index(n) for n in ("heartbeat", "motion", "power"))
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
ZONE = zone_table("Asia/Tokyo")
NOBODY: dict[str, set[int]] = {n: set() for n in ("broker-silent", "device-silent", "gateway-silent", "power-outage")}
SILENCE = tuple(NOBODY)


@pytest.fixture(scope="module")
def rules() -> tuple[Rule, ...]:
    """The shipped rules about silence, by name."""
    return tuple(r for r in load_site().rules if r.name in SILENCE)


@dataclass(slots=True)
class HomeTwin:
    """What is kept of one home: when it spoke, its longest recent pause, its heartbeats, its gateway's will."""

    name: str
    gateway: int = -1
    spoken: int | None = None
    pause: int = 0
    beats: int = 0
    gone: bool = False
    cut: bool = False  # by any cause
    counts_from: int = NEVER

    def hear(self, cell: Sequence[tuple[int, int, float]], at: int) -> None:
        """All of ten seconds that end at `at`: (device, metric, value)."""
        for _, metric, value in cell:
            if metric != BEAT or value > 0:
                self.gone = False
                self.beats += metric == BEAT
                if self.spoken != at:
                    if self.spoken is not None and not self.cut:
                        longest = at - self.spoken
                        self.pause = max(longest, self.pause - int(longest * PERIOD_FADES))
                    self.spoken = at
        self.gone |= any(d == self.gateway and m == BEAT and v == 0 for d, m, v in cell)

    def quiet(self, at: int) -> int:
        return at - max(self.spoken, self.counts_from) if self.spoken is not None else 0

    @property
    def keeps(self) -> bool:
        return self.beats >= KEEPS_TIME


@dataclass(slots=True)
class CutOffTwin:
    """The docstring of cut_off.py for one home without larger causes."""

    spec: CutOff
    home: HomeTwin

    def __call__(self, at: int) -> tuple[int, int]:
        h, spec = self.home, self.spec
        known = h.spoken is not None and h.keeps and h.pause * spec.periods <= spec.at_most
        quiet, limit = h.quiet(at), max(h.pause * spec.periods, spec.at_least)
        h.cut = known and (quiet > limit or (h.gone and quiet >= spec.offline_for))
        if h.cut:
            return Verdict.FIRING, Level.MEDIUM if quiet >= spec.medium_after else Level.LOW
        return (Verdict.CLEAR if known else Verdict.UNKNOWN), 0


@dataclass(slots=True)
class OutageTwin:
    """The docstring of outage.py, home by home, for the rule about districts."""

    spec: Outage
    homes: list[HomeTwin]
    district: dict[str, str]
    hit: set[str] = field(default_factory=set)

    def __call__(self, at: int) -> dict[str, tuple[int, int]]:
        spec = self.spec
        for h in self.homes:
            if h.name in self.hit and h.spoken is not None and h.spoken > at - MINUTE:
                self.hit.discard(h.name)
                h.cut, h.counts_from = False, at
        lives = any(h.spoken is not None and h.spoken > at - spec.quiet_for for h in self.homes)
        for place in sorted(set(self.district.values())):
            mine = [h for h in self.homes if self.district[h.name] == place]
            lost = [h for h in mine if self.missing(h, at)]
            wills = sum(h.gone for h in lost)
            share = spec.share if place else spec.share_of_all
            many = len(lost) >= spec.households and len(lost) >= share * sum(h.keeps for h in mine)
            if (many and (lives or wills >= max(0.2 * len(lost), 1))) or any(h.name in self.hit for h in mine):
                for h in lost:
                    self.hit.add(h.name)
                    h.cut = True
        return {
            h.name: (Verdict.FIRING, Level.HIGH) if h.name in self.hit
            else (Verdict.CLEAR if h.keeps else Verdict.UNKNOWN, 0)
            for h in self.homes
        }  # fmt: skip

    def missing(self, h: HomeTwin, at: int) -> bool:
        if not h.keeps or h.cut or h.spoken is None or not h.spoken < at - self.spec.quiet_for:
            return False
        limit = max(h.pause * self.spec.periods, self.spec.quiet_for)
        return limit < h.quiet(at) <= limit + self.spec.within


def town(seed: int, homes: int, hours: int, *, together: bool) -> tuple[Homes, ReadingBatch]:
    """Homes of many cadences; some go silent alone, some with their district, some with a will, some never beat."""
    rng, registry, rows = np.random.default_rng(seed), Homes(), []
    cuts = {d: rng.integers(1, hours * 60 - 90, 2) for d in ("north", "south", "")}
    for h in range(homes):
        name, district = f"H{h:02}", ("north", "south", "")[h % 3]
        gateway, hall = registry.add_device(name, "gateway", "gateway"), registry.add_device(name, "hall")
        registry.place(name, district)
        minutes = np.arange(hours * 60)
        dark = np.zeros(len(minutes), bool)
        if together and h % 5:
            for cut in cuts[district]:
                begin = cut + rng.integers(0, 3)
                dark[begin : begin + rng.integers(20, 90)] = True
        if rng.random() < 0.4:
            begin = rng.integers(0, len(minutes))
            dark[begin : begin + rng.integers(5, 300)] = True
            if rng.random() < 0.5:
                at = MIDNIGHT + int(begin) * MINUTE + 40 * SECOND
                rows.append((h, gateway if rng.random() < 0.7 else hall, BEAT, 0.0, at, at, 0))
        every = int(rng.choice([1, 1, 1, 1, 1, 1, 4, 12]))
        for minute in minutes[~dark]:
            at = MIDNIGHT + int(minute) * MINUTE + int(rng.integers(0, 60)) * SECOND
            if minute % every == 0 and rng.random() < 0.95:
                rows.append((h, gateway, BEAT if h % 5 else POWER, 1.0, at, at, 0))
            if rng.random() < 0.1:
                rows.append((h, hall, MOTION, 1.0, at, at, 0))
    return registry, reading_batch(sorted(rows, key=lambda r: r[5]))


def cells_of(batch: ReadingBatch) -> dict[int, dict[int, list[tuple[int, int, float]]]]:
    cells: dict[int, dict[int, list[tuple[int, int, float]]]] = {}
    for home, device, metric, value, got in zip(
        batch.home, batch.device, batch.metric, batch.value, batch.got, strict=True
    ):
        end = -(-int(got) // CELL) * CELL
        cells.setdefault(end, {}).setdefault(int(home), []).append((int(device), int(metric), float(value)))
    return cells


def by_home(found: FindingBatch, home: int) -> list[tuple[int, int, int]]:
    mine = found.take(found.home == home)
    return list(zip(mine.at.tolist(), mine.verdict.tolist(), mine.level.tolist(), strict=True))


def run(rules: Sequence[Rule], homes: Homes, batch: ReadingBatch, after: int = 4 * HOUR) -> tuple[FindingBatch, int]:
    engine = Engine(homes, rules, METRICS, ZONE, capacity=1)
    end = int(batch.got.max()) + after
    return engine.step(batch, end), end


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["cut-off", "outage"])
def test_a_kind_equals_its_twin(kind: str, seed: int, rules: tuple[Rule, ...]) -> None:
    rule = next(r for r in rules if r.name == {"cut-off": "gateway-silent", "outage": "power-outage"}[kind])
    homes, batch = town(seed, 36, 12, together=kind == "outage")
    found, end = run([rule], homes, batch)
    twins = [HomeTwin(name, homes.find_device(name, "gateway")) for name in homes.ids]
    districts = {n: homes.districts[d] if d >= 0 else "" for n, d in zip(homes.ids, homes.district_of, strict=True)}
    whole = OutageTwin(rule.condition, twins, districts) if isinstance(rule.condition, Outage) else None
    each = [CutOffTwin(rule.condition, t) for t in twins] if isinstance(rule.condition, CutOff) else []
    told: list[list[tuple[int, int, int]]] = [[] for _ in twins]
    old = [(int(Verdict.UNKNOWN), 0)] * len(twins)
    cells, first = cells_of(batch), (min(cells_of(batch)) - 1) // MINUTE * MINUTE + MINUTE
    for at in range(first, end, MINUTE):
        for cell in range(at - MINUTE + CELL, at + 1, CELL):
            for home, said in cells.get(cell, {}).items():
                twins[home].hear(said, cell)
        now = list(whole(at).values()) if whole else [one(at) for one in each]
        for i, (verdict, level) in enumerate(now):
            if (verdict, level) != old[i]:
                old[i] = (int(verdict), int(level))
                told[i].append((at, *old[i]))
    assert (found.verdict == Verdict.FIRING).sum() > 3
    for i in range(len(twins)):
        assert by_home(found, i) == told[i], homes.ids[i]


# -- scenes ----------------------------------------------------------------------------------------------------------


def street(
    homes: int, hours: float, *, dark: Sequence[int] = (), since: float = 3, until: float | None = None
) -> tuple[Homes, ReadingBatch]:
    """Homes whose gateway beats each minute and hall each ten; those in `dark` fall silent for some hours."""
    registry, rows = Homes(), []
    for h in range(homes):
        name = f"H{h:02}"
        gateway, hall = registry.add_device(name, "gateway"), registry.add_device(name, "hall")
        for minute in range(int(hours * 60)):
            if h in dark and since * 60 <= minute < (until or hours) * 60:
                continue
            at = MIDNIGHT + minute * MINUTE + (7 * h % 60) * SECOND
            rows.append((h, gateway, BEAT, 1.0, at, at, 0))
            if minute % 10 == h % 10:
                rows.append((h, hall, BEAT, 1.0, at, at, 0))
    return registry, reading_batch(sorted(rows, key=lambda r: r[5]))


def fired(rules: Sequence[Rule], found: FindingBatch) -> dict[str, set[int]]:
    """Households (rows) by the rules that ever fired for them."""
    return {r.name: set(found.home[(found.rule == i) & (found.verdict == Verdict.FIRING)].tolist())
            for i, r in enumerate(rules)}  # fmt: skip


def test_one_home_cut_off_is_one_finding_and_its_sensors_are_not_blamed(rules: tuple[Rule, ...]) -> None:
    homes, batch = street(10, 8, dark=[4], until=7)
    found, _ = run(rules, homes, batch, after=MINUTE)
    assert fired(rules, found) == NOBODY | {"gateway-silent": {4}}
    mine = found.take((found.rule == SILENCE.index("gateway-silent")) & (found.home == 4))
    assert mine.verdict.tolist() == [Verdict.CLEAR, Verdict.FIRING, Verdict.FIRING, Verdict.CLEAR]
    assert mine.level.tolist() == [0, Level.LOW, Level.MEDIUM, 0]  # the gap in the watch becomes a call
    devices = found.take((found.rule == SILENCE.index("device-silent")) & (found.home == 4))
    assert set(devices.verdict.tolist()) == {Verdict.CLEAR, Verdict.UNKNOWN}


def test_a_district_is_one_cause_and_the_watch_gap_ends_after_hours(rules: tuple[Rule, ...]) -> None:
    homes, batch = street(12, 12, dark=range(7))
    for h in range(7):
        homes.place(f"H{h:02}", "浪岡")
    found, _ = run(rules, homes, batch, after=MINUTE)
    outage, gateway = (SILENCE.index(n) for n in ("power-outage", "gateway-silent"))
    assert fired(rules, found) == NOBODY | {
        "power-outage": set(range(7)), "gateway-silent": set(range(7)),
    }  # fmt: skip
    began = found.at[(found.rule == outage) & (found.verdict == Verdict.FIRING)]
    gap = found.at[(found.rule == gateway) & (found.verdict == Verdict.FIRING)]
    assert began.max() - MIDNIGHT <= 3 * HOUR + 5 * MINUTE
    assert gap.min() - MIDNIGHT >= 9 * HOUR - MINUTE  # held for six hours, not longer


def test_silence_of_all_is_ours_and_everybody_gets_time_anew(rules: tuple[Rule, ...]) -> None:
    homes, batch = street(8, 8, dark=range(8), until=5)
    late = (batch.home == 3) & (batch.got >= MIDNIGHT + 5 * HOUR) & (batch.got < MIDNIGHT + 5 * HOUR + 8 * MINUTE)
    found, _ = run(rules, homes, batch.take(~late), after=MINUTE)
    assert fired(rules, found) == NOBODY | {"broker-silent": set(range(8))}
    ended = found.at[(found.rule == 0) & (found.verdict == Verdict.CLEAR) & (found.at > MIDNIGHT + 4 * HOUR)]
    assert set((ended - MIDNIGHT).tolist()) == {5 * HOUR}  # with the first word of anybody


def test_a_sensor_that_was_silent_before_stays_so_through_a_larger_silence(rules: tuple[Rule, ...]) -> None:
    homes, batch = street(8, 8, dark=range(8), since=4, until=5)
    hall = homes.find_device("H02", "hall")
    lost = (batch.device == hall) & (batch.got > MIDNIGHT + 2 * HOUR)
    found, _ = run(rules, homes, batch.take(~lost), after=MINUTE)
    mine = found.take((found.rule == SILENCE.index("device-silent")) & (found.device == hall))
    assert mine.verdict.tolist() == [Verdict.CLEAR, Verdict.FIRING]


def test_back_fill_is_not_news(rules: tuple[Rule, ...]) -> None:
    homes, batch = street(6, 8, dark=[2], until=6)
    early = [(2, homes.find_device("H02", "gateway"), BEAT, 1.0, MIDNIGHT + m * MINUTE, MIDNIGHT + 6 * HOUR, 8)
             for m in range(180, 350)]  # fmt: skip
    both = reading_batch([*early, *zip(*(getattr(batch, n).tolist() for n in (
        "home", "device", "metric", "value", "taken", "got", "flags")), strict=True)])  # fmt: skip
    both = both.take(np.argsort(both.got, kind="stable"))
    plain, filled = (run(rules, homes, b, after=MINUTE)[0] for b in (batch, both))
    assert plain.at.tolist() == filled.at.tolist()
    assert plain.verdict.tolist() == filled.verdict.tolist()
