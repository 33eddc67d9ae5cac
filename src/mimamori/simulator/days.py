"""All households, day by day: readings as batches in the order of time, for the engine, a file or a broker.

May import model and the simulator's pure files. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.model.times import HOUR, Nanos
from mimamori.simulator.decline import persona_on
from mimamori.simulator.faults import MILLI, REACH, Rows, befall, join
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
    firsts = np.concatenate([[0], np.cumsum([len(home.devices) for home in homes])]).tolist()
    waiting: list[Rows | None] = [None] * len(lines)
    day = day_of(start) - _reach_back(events, start)
    cut = start
    while cut < end:
        for i, line in enumerate(lines):
            today = report_day(line.home, line.life(day), day, seed=seed, events=line.around(day))
            waiting[i] = _in_time(today if (left := waiting[i]) is None else join(left, today), order)
        day += 1
        limit = min(midnight(day), end)
        while cut < limit:
            after = min((cut // step + 1) * step, limit)
            yield _between([rows for rows in waiting if rows is not None], firsts, cut, after, order)
            cut = after
        waiting = [
            rows.take(np.flatnonzero(_key(rows, order) >= limit)) if rows is not None else None for rows in waiting
        ]


def _reach_back(events: Sequence[TruthEvent], start: int) -> int:
    """Days before the first from which readings may still arrive: those a gateway held back."""
    held = [e.start for e in events if e.kind == "back-fill" and e.start < start < e.end + HOUR]
    return day_of(start) - day_of(min(held)) if held else 0


def _key(rows: Rows, order: Order) -> Nanos:
    return rows.sent if order == "sent" else rows.taken


def _in_time(rows: Rows, order: Order) -> Rows:
    key = _key(rows, order)
    return rows if (key[1:] >= key[:-1]).all() else rows.take(np.argsort(key, kind="stable"))


def _between(waiting: Sequence[Rows], firsts: Sequence[int], low: int, high: int, order: Order) -> ReadingBatch:
    """All homes' readings with low <= key < high, each home's in order of its key, in the order of `simulate`.

    Sorted an hour at a time: what is sorted together then fits into the processor's cache.
    """
    edges = np.array([*range(low, high, HOUR), high], np.int64)
    cuts = [np.searchsorted(_key(rows, order), edges).tolist() for rows in waiting]
    parts = [(i, firsts[i], rows, cut) for i, (rows, cut) in enumerate(zip(waiting, cuts, strict=True))]
    return concat(
        _sorted(
            [(i, first, rows, slice(cut[h], cut[h + 1])) for i, first, rows, cut in parts if cut[h] < cut[h + 1]], order
        )
        for h in range(len(edges) - 1)
    )


def _sorted(parts: Sequence[tuple[int, int, Rows, slice]], order: Order) -> ReadingBatch:
    """Parts of (home, its first device, its rows, which of them), by key, then device, then metric."""
    if not parts:
        return no_readings()
    sizes = [which.stop - which.start for _, _, _, which in parts]
    home = np.repeat(np.array([i for i, _, _, _ in parts], np.int32), sizes)
    device = np.concatenate([rows.device[which] + np.int32(first) for _, first, rows, which in parts])
    metric, value, taken, sent = (
        np.concatenate([getattr(rows, column)[which] for _, _, rows, which in parts])
        for column in ("metric", "value", "taken", "sent")
    )
    turn = in_order(sent if order == "sent" else taken, device, metric)
    return ReadingBatch(
        home=home[turn], device=device[turn], metric=metric[turn], value=value[turn], taken=taken[turn],
        got=sent[turn], flags=np.zeros(len(turn), np.uint8),
    )  # fmt: skip


_DEVICE_BITS, _METRIC_BITS = 20, 6


def in_order(key: Nanos, device: NDArray[np.int32], metric: NDArray[np.int16]) -> NDArray[np.intp]:
    """(n,) indexes by key (whole milliseconds), then device, then metric, alike ones as they come.

    The three are one number where they fit, which sorts in half the time.
    """
    at = (key - key.min()) // MILLI
    if at.max() >> (62 - _DEVICE_BITS - _METRIC_BITS) or device.max() >> _DEVICE_BITS or metric.max() >> _METRIC_BITS:
        return np.lexsort((metric, device, key))
    packed = (at << (_DEVICE_BITS + _METRIC_BITS)) | (device.astype(np.int64) << _METRIC_BITS) | metric
    turn = np.argsort(packed)
    told = packed[turn]
    alike = np.flatnonzero(told[1:] == told[:-1])
    return turn if not len(alike) else np.argsort(packed, kind="stable")
