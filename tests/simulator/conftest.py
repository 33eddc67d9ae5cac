"""Shared by the simulator's tests: the shipped content, households of it, and the moments they look at."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome, households
from mimamori.simulator.scene import Scene, read_simulator
from mimamori.simulator.truth import TruthEvent

CONTENT = Path(__file__).parents[2] / "simulator"
METRICS = Metrics()
START = parse_instant("2026-11-16T00:00:00+09:00")  # a Monday


@dataclass(frozen=True)
class Run:
    """Readings of some homes, to be asked by home, device and metric."""

    homes: Sequence[SimulatedHome]
    batch: ReadingBatch

    def find(self, home: int, device: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Times and values of one device's metric."""
        first = sum(len(h.devices) for h in self.homes[:home])
        row = first + [d.id for d in self.homes[home].devices].index(device)
        which = (self.batch.device == row) & (self.batch.metric == METRICS.index(metric))
        return self.batch.taken[which], self.batch.value[which]

    def moving(self, home: int) -> np.ndarray:
        """Times of all motion of a home, ascending."""
        which = (self.batch.home == home) & (self.batch.metric == METRICS.index("motion"))
        return self.batch.taken[which]


def run(homes: Sequence[SimulatedHome], days: float, *, events: Sequence[TruthEvent] = (), seed: int = 5) -> Run:
    """`days` days from START."""
    return Run(homes, concat(simulate(homes, start=START, end=START + int(days * DAY), seed=seed, events=events)))


@pytest.fixture(scope="session")
def tables() -> dict[str, dict[str, Any]]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in CONTENT.glob("*.toml")}


@pytest.fixture(scope="session")
def scene(tables: dict[str, dict[str, Any]]) -> Scene:
    found, errors = read_simulator(tables)
    assert errors == []
    return found


@pytest.fixture(scope="session")
def full(scene: Scene) -> tuple[SimulatedHome, ...]:
    """Sixteen households, of which those with the full kit; numbers as dealt."""
    return tuple(home for home in households(scene, count=16, seed=1) if home.kit_name == "full")


@pytest.fixture(scope="session")
def fortnight(full: tuple[SimulatedHome, ...]) -> Run:
    return run(full, 14)


SEED = 5
LEAD, SETTLE = 16 * MINUTE, HOUR
"""How long before the start the line of life may differ, and how long after the end an appliance may still run."""

BED_KINDS = ("no-rise", "no-breathing", "tachycardia", "bradycardia", "apnoea")
Pair = tuple[ReadingBatch, ReadingBatch]


@pytest.fixture(scope="session")
def home(full: tuple[SimulatedHome, ...]) -> SimulatedHome:
    """One whose messages all arrive, so that what is missing is missing for the reason tested."""
    found = next(h for h in full if h.persona_name == "early-riser")
    return replace(found, kit=found.kit.model_copy(update={"lost": 0.0}))


@pytest.fixture(scope="session")
def pair(home: SimulatedHome) -> Callable[..., Pair]:
    """(without, with) an event, three days from START, in the order sent."""

    def simulated(*events: TruthEvent) -> ReadingBatch:
        return concat(simulate([home], start=START, end=START + 3 * DAY, seed=SEED, events=events))

    plain = simulated()

    def made(kind: str, start: int, end: int, device: str = "") -> Pair:
        return plain, simulated(TruthEvent(household=home.id, kind=kind, start=start, end=end, device=device))

    return made


def span(kind: str) -> tuple[int, int]:
    """A night's event from 02:00 on the second day, a day's from 10:00."""
    night = kind in {*BED_KINDS, "night-fall", "wandering", "fever"}
    start = START + DAY + (2 if night else 10) * HOUR
    return start, start + (3 if night else 6) * HOUR


def only(home: SimulatedHome, batch: ReadingBatch, device: str, metric: str = "") -> ReadingBatch:
    row = [d.id for d in home.devices].index(device)
    which = batch.device == row
    return batch.take(which & (batch.metric == METRICS.index(metric)) if metric else which)


def between(batch: ReadingBatch, low: int, high: int) -> ReadingBatch:
    return batch.take((batch.taken >= low) & (batch.taken < high))


def same(a: ReadingBatch, b: ReadingBatch) -> bool:
    return all(
        getattr(a, c).tobytes() == getattr(b, c).tobytes() for c in ("device", "metric", "value", "taken", "got")
    )


def motion(batch: ReadingBatch) -> ReadingBatch:
    return batch.take(batch.metric == METRICS.index("motion"))
