"""Which vital signs count: against a naive twin, and what the engine does with those that do not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, reading_batch
from mimamori.model.times import MINUTE, SECOND, zone_table
from mimamori.rules.backing import Gate
from mimamori.rules.columns import Columns
from mimamori.rules.engine import Engine
from mimamori.rules.fold import cells_of
from mimamori.rules.latest import CELL, Latest, latest_columns
from mimamori.site import load_site

METRICS, ZONE, SITE = Metrics(), zone_table("Asia/Tokyo"), load_site()
PULSE, MOVED, BED, BREATH = (METRICS.index(m) for m in ("heart_rate", "body_movement", "in_bed", "respiration_rate"))
START = 1_000_000 * CELL
GATES = (
    Gate(profile="share", metrics=("heart_rate",), by="body_movement", at_least=2, share=0.6, within=2 * MINUTE),
    Gate(profile="any", metrics=("heart_rate",), by="body_movement", at_least=8, share=0, within=MINUTE),
    Gate(profile="held", metrics=("heart_rate",), by="in_bed", at_least=1, share=0, within=MINUTE),
)


@dataclass
class Twin:
    """One device, plain Python, as the documentation has it."""

    gate: Gate | None
    seen: list[tuple[int, float]] = field(default_factory=list)  # of what backs it, as it was told

    def counts(self, at: int) -> bool:
        g = self.gate
        if g is None:
            return True
        if not self.seen:
            return False
        if g.share:
            weight, enough, newest = 0.0, 0.0, self.seen[0][0]
            for taken, value in self.seen:
                fades = math.exp(-max(taken - newest, 0) / g.within)
                weight, enough = weight * fades + 1, enough * fades + (value >= g.at_least)
                newest = max(newest, taken)
            return enough >= g.share * weight - 1e-6 and at - newest <= g.within
        if g.by == "in_bed" and self.seen[-1][1] >= g.at_least:
            return True
        good = [t for t, v in self.seen if v >= g.at_least]
        if g.by == "in_bed":  # until the reading that ended it
            good += [b[0] for a, b in zip(self.seen, self.seen[1:], strict=False) if a[1] >= g.at_least]
        return bool(good) and at - max(good) <= g.within


def invented(seed: int, device: int) -> list[tuple[int, int, int, float, int, int, int]]:
    """Twenty minutes of one device: bouts of movement, pulses all along, pauses, some of it late."""
    rng = np.random.default_rng(seed)
    rows, t = [], 0
    lively = True
    while t < 1200:
        t += int(rng.choice([1, 3, 7, 30, 150], p=[0.3, 0.4, 0.2, 0.08, 0.02]))
        lively ^= bool(rng.random() < 0.03)
        at = START + t * SECOND
        taken = at - int(rng.choice([0, 0, 0, 15])) * SECOND
        rows.append(
            (device, device, MOVED, float(rng.choice([1, 2, 2, 9, 9] if lively else [1, 1, 1, 2])), taken, at, 0)
        )
        if rng.random() < 0.4:
            rows.append((device, device, BED, float(lively), taken, at, 0))
        if rng.random() < 0.7:
            rows.append((device, device, PULSE, float(rng.integers(50, 90)), taken, at, 0))
    return rows


def replayed(seed: int) -> tuple[list[float], list[int]]:
    """Pulses that counted and pulses told, by device, after each cell was held against the twin."""
    twins = [Twin(None), *map(Twin, GATES)]
    columns = Columns(latest_columns(len(METRICS)))
    latest = Latest(columns, METRICS, GATES)
    latest.sum_up([PULSE])
    columns.fit(homes=len(twins), devices=len(twins))
    columns["device_home"][:] = columns["gate"][:] = np.arange(len(twins))
    rows = [row for device in range(len(twins)) for row in invented(10 * seed + device, device)]
    told = np.zeros((2, len(twins)))
    for end in range(START, START + 1300 * SECOND, CELL):
        cell = sorted((r for r in rows if end - CELL < r[5] <= end), key=lambda r: (r[0], r[2], r[4], r[3]))
        for _, device, metric, value, taken, *_ in cell:
            gate = twins[device].gate
            if gate is not None and METRICS.names()[metric] == gate.by:
                twins[device].seen.append((taken, value))
        for _, device, metric, value, taken, *_ in cell:
            if metric == PULSE and twins[device].counts(taken):
                told[:, device] += 1, value
        if cell:
            batch = reading_batch(cell)
            latest.apply(batch, 0, *cells_of(batch.got, CELL)[:2])
        total, count = latest.minute(PULSE)
        assert count.tolist() == told[0].tolist()
        assert total.tolist() == told[1].tolist()
    return told[0].tolist(), [sum(r[2] == PULSE and r[1] == d for r in rows) for d in range(len(twins))]


def test_equals_its_naive_twin() -> None:
    counted, told = np.sum([replayed(seed) for seed in range(12)], axis=0)
    assert counted[0] == told[0]
    assert (0.1 * told[1:] < counted[1:]).all()  # every gate lets some through,
    assert (counted[1:] < 0.95 * told[1:]).all()  # and refuses some


def two_hours(movement: float) -> ReadingBatch:
    """In bed, a pulse of 140 and breathing of 17, and that movement, every ten seconds."""
    values = ((PULSE, 140.0), (BREATH, 17.0), (MOVED, movement), (BED, 1.0))
    return reading_batch([
        (0, 0, metric, value, START + n * CELL, START + n * CELL, 0) for n in range(720) for metric, value in values
    ])  # fmt: skip


@pytest.mark.parametrize(("movement", "profile", "fires"), [(3, "radar60", True), (1, "radar60", False), (1, "", True)])
def test_no_rule_sees_a_phantom(movement: float, profile: str, fires: bool) -> None:  # noqa: FBT001
    homes = Homes()
    homes.add_device("h1", "bed", profile)
    rules = [r for r in SITE.rules if r.name in {"heart-rate", "no-breathing"}]
    engine = Engine(homes, rules, METRICS, ZONE, gates=SITE.gates)
    found = engine.step(two_hours(movement), START + 720 * CELL)
    assert bool((found.verdict == 2).any()) is fires
    saved = engine.snapshot()
    again = Engine(homes, rules, METRICS, ZONE, gates=SITE.gates)
    again.restore(saved)
    assert (again.view("gate") == engine.view("gate")).all()


def test_a_profile_of_today_holds_after_a_restart() -> None:
    homes = Homes()
    homes.add_device("h1", "bed")
    before = Engine(homes, SITE.rules, SITE.metrics, ZONE, gates=SITE.gates).snapshot()
    known = Homes()
    known.add_device("h1", "bed", "radar60")
    after = Engine(known, SITE.rules, SITE.metrics, ZONE, gates=SITE.gates)
    after.restore(before)
    assert after.view("gate").tolist() == [1 + [g.profile for g in SITE.gates].index("radar60")]
