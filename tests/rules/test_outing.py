"""Out or in: against a naive twin, and the cases by which it was drawn up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.model.metrics import Metrics
from mimamori.model.readings import reading_batch
from mimamori.model.times import MINUTE, SECOND
from mimamori.rules.columns import Columns
from mimamori.rules.fold import cells_of
from mimamori.rules.latest import CELL, Latest, latest_columns

METRICS = Metrics()
DOOR, MOTION = METRICS.index("door_open"), METRICS.index("motion")
DEVICES = 3  # a household: the door and two sensors inside; the devices of household h are 3h, 3h + 1, 3h + 2
START = 1_000 * CELL

Event = tuple[int, int]  # s since the start, device within the household; device 0 is the door


@dataclass
class Twin:
    """One household, plain Python, as the module's text has it."""

    out: bool = False
    arrived: bool = False
    door: int | None = None
    lone: tuple[int, int] | None = None  # when, and which device
    second: int | None = None  # when there was another one, apart from it
    told: list[bool] = field(default_factory=list)

    def cell(self, events: list[Event]) -> None:
        passed = [t for t, device in events if device == 0]
        if passed:
            if self.door is None or max(passed) - self.door >= 600:
                self.arrived = self.out and not self.arrived
            self.door, self.out, self.lone = max([*passed, self.door or 0]), True, None
        inside = [(t, d) for t, d in events if d and self.out and (self.door is None or t > self.door)]
        if not inside:
            return
        newest = max(t for t, _ in inside)
        if self.door is not None and newest <= self.door + 20:
            if self.lone is None:
                self.lone, self.second = (newest, max(d for _, d in inside)), None
            return
        known = self.lone if self.lone and newest - self.lone[0] <= 3600 else None
        devices = {d for _, d in inside} | ({known[1]} if known else set())
        near = self.door is not None and newest - self.door <= 600
        two = len(devices) > 1 or (known is not None and newest - known[0] >= (60 if near else 300))
        third = known is not None and self.second is not None and newest - self.second >= 60
        if self.arrived or third or (two and near):
            self.out = False
            return
        if known is None:
            self.lone, self.second = (newest, max(d for _, d in inside)), None
        if two and self.second is None:
            self.second = newest


def outings(homes: list[list[Event]]) -> list[list[bool]]:
    """Out or not after each cell, of each household, by the engine's columns."""
    columns = Columns(latest_columns(len(METRICS)))
    columns.fit(homes=len(homes), devices=DEVICES * len(homes))
    columns["device_home"][:] = np.repeat(np.arange(len(homes)), DEVICES)
    latest = Latest(columns, METRICS)
    rows = sorted(
        (START + t * SECOND, h, DEVICES * h + device, MOTION if device else DOOR)
        for h, events in enumerate(homes)
        for t, device in events
    )
    found: list[list[bool]] = [[] for _ in homes]
    for n in range(1 + max(t for events in homes for t, _ in events) // 10):
        at = START + (n + 1) * CELL
        cell = [(h, device, metric, 1.0, t, t + 1, 0) for t, h, device, metric in rows if at - CELL <= t < at]
        batch = reading_batch(cell).canonical()
        if cell:
            latest.apply(batch, 0, *cells_of(batch.got, CELL)[:2])
        for mine, out in zip(found, columns["out"].tolist(), strict=True):
            mine.append(out)
    return found


times = st.lists(
    st.one_of(st.integers(0, 9), st.integers(10, 40), st.integers(250, 700), st.integers(3500, 3700)),
    min_size=1, max_size=14,
)  # fmt: skip
lives = times.flatmap(
    lambda gaps: st.tuples(*(st.integers(0, 2) for _ in gaps)).map(
        lambda devices: list(zip(np.cumsum(gaps).tolist(), devices, strict=True))
    )
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(homes=st.lists(lives, min_size=1, max_size=3))
def test_a_naive_twin_says_the_same(homes: list[list[Event]]) -> None:
    for events, out in zip(homes, outings(homes), strict=True):
        twin = Twin()
        for n in range(len(out)):
            twin.cell([(t, d) for t, d in events if n * 10 <= t < n * 10 + 10])
            twin.told.append(twin.out)
        assert out == twin.told


@pytest.mark.parametrize(
    ("events", "out"),
    [
        pytest.param([(0, 1), (600, 0), (605, 0)], True, id="left"),
        pytest.param([(600, 0), (610, 1), (615, 2)], True, id="the door still swings"),
        pytest.param([(600, 0), (611, 1), (704, 2)], False, id="seen in the hall as the door shuts, then further in"),
        pytest.param(
            [(600, 0), (611, 1), (640, 1)], True, id="seen in the hall as the door shuts, and by the same again"
        ),
        pytest.param([(600, 0), (700, 1), (705, 1)], True, id="one mat chatters"),
        pytest.param([(600, 0), (700, 1), (730, 2)], False, id="two sensors one after the other: nobody left"),
        pytest.param([(600, 0), (700, 1), (770, 1)], False, id="one sensor, and again a minute later: nobody left"),
        pytest.param([(600, 0), (3000, 1), (3500, 2)], True, id="long after the door: a phantom, and another one"),
        pytest.param([(600, 0), (3000, 1), (3500, 2), (3570, 1)], False, id="and a third: somebody is there"),
        pytest.param([(600, 0), (3000, 1), (3500, 2), (7000, 1)], True, id="an hour later it begins anew"),
        pytest.param([(600, 0), (4200, 0), (4260, 1)], False, id="came home: one sign is enough"),
        pytest.param([(600, 0), (4200, 0), (9000, 0), (9060, 1)], True, id="came home unseen and left again"),
        pytest.param([(600, 0), (800, 0), (2000, 1), (2004, 1)], True, id="left the door open for three minutes"),
    ],
)
def test_out_or_in(events: list[Event], *, out: bool) -> None:
    assert outings([events])[0][-1] is out
    seconds = MINUTE // SECOND
    assert outings([[(t + 5 * seconds, d) for t, d in events]])[0][-1] is out, "wherever the cells lie"
