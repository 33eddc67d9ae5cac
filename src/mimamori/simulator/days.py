"""All households, day by day: readings as batches in the order of time, for the engine, a file or a broker.

May import model and the simulator's pure files. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.model.times import HOUR
from mimamori.simulator.decline import persona_on
from mimamori.simulator.faults import REACH, Rows, befall
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import Life, Step, day_of, midnight, plan_day
from mimamori.simulator.report import report_day
from mimamori.simulator.truth import TruthEvent, check_events

_BEFORE = 3  # days of life before the one reported: the climate of a room remembers two

Order = Literal["sent", "taken"]


class Timeline:
    """The life of one household by calendar day; keeps the few days' plans that follow each other."""

    def __init__(self, home: SimulatedHome, *, seed: int, events: Sequence[TruthEvent] = ()) -> None:
        self.home, self.seed = home, seed
        self.events = sorted((e for e in events if e.household == home.id), key=lambda e: (e.start, e.kind))
        self._plans: dict[int, list[Step]] = {}

    def life(self, day: int) -> Life:
        """The line of life that covers the calendar day and the days before it that matter."""
        wanted = range(day - _BEFORE, day + 1)
        self._plans = {d: self._plans.get(d) or self._plan(d) for d in wanted}
        return befall([step for d in wanted for step in self._plans[d]], self.around(day))

    def _plan(self, day: int) -> list[Step]:
        now, then = (persona_on(self.home.persona, midnight(d), self.events) for d in (day, day + 1))
        return plan_day(now, seed=self.seed, home=self.home.number, day=day, tomorrow=then)

    def around(self, day: int) -> list[TruthEvent]:
        """Events that can touch the day or the days before it that matter."""
        low, high = midnight(day - _BEFORE), midnight(day + 1) + REACH
        return [e for e in self.events if e.start < high and e.end > low]


def simulate(
    homes: Sequence[SimulatedHome],
    *,
    start: int,
    end: int,
    seed: int,
    events: Sequence[TruthEvent] = (),
    step: int = HOUR,
    order: Order = "sent",
) -> Iterator[ReadingBatch]:
    """Batches of readings with start <= key < end, one each `step` ns (empty ones too), in the order of the key.

    key: "sent" is the time a reading leaves the home (for publishing), "taken" the device's own time (for files). In
    a batch `home` indexes `homes`, `device` counts all devices of all homes in their order, `got` is the time sent,
    flags are 0. Ties are in the order of (home, device, metric). What cannot be told apart by its key is told apart by
    nothing else: the same arguments give the same bytes. Raises ValueError for an event that cannot happen.
    """
    check_events(events, [home.id for home in homes])
    lines = [Timeline(home, seed=seed, events=events) for home in homes]
    firsts = np.concatenate([[0], np.cumsum([len(home.devices) for home in homes])])
    waiting = no_readings()
    day = day_of(start) - _reach_back(events, start)
    cut = start
    while cut < end:
        today = [
            _batch(report_day(line.home, line.life(day), day, seed=seed, events=line.around(day)), i, int(firsts[i]))
            for i, line in enumerate(lines)
        ]
        waiting = _ordered(concat([waiting, *today]), order)
        day += 1
        limit = min(midnight(day), end)
        while cut < limit:
            after = min((cut // step + 1) * step, limit)
            now, waiting = _split(waiting, cut, after, order)
            yield now
            cut = after


def _reach_back(events: Sequence[TruthEvent], start: int) -> int:
    """Days before the first from which readings may still arrive: those a gateway held back."""
    held = [e.start for e in events if e.kind == "back-fill" and e.start < start < e.end + HOUR]
    return day_of(start) - day_of(min(held)) if held else 0


def _batch(rows: Rows, home: int, first_device: int) -> ReadingBatch:
    n = len(rows.taken)
    return ReadingBatch(
        home=np.full(n, home, np.int32), device=rows.device + np.int32(first_device), metric=rows.metric,
        value=rows.value, taken=rows.taken, got=rows.sent, flags=np.zeros(n, np.uint8),
    )  # fmt: skip


def _ordered(batch: ReadingBatch, order: Order) -> ReadingBatch:
    key = batch.got if order == "sent" else batch.taken
    return batch.take(np.lexsort((batch.metric, batch.device, key)))


def _split(batch: ReadingBatch, low: int, high: int, order: Order) -> tuple[ReadingBatch, ReadingBatch]:
    key = batch.got if order == "sent" else batch.taken
    a, b = np.searchsorted(key, (low, high))
    return batch.take(slice(int(a), int(b))), batch.take(slice(int(b), None))
