"""All households, day by day: readings as batches in the order of time, for the engine, a file or a broker.

May import model and the simulator's pure files. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal

import numpy as np

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, Nanos
from mimamori.simulator.decline import persona_on
from mimamori.simulator.faults import MILLI, MOVES, REACH, Rows, befall, in_time, join
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import Life, Step, columns_of, day_of, in_turn, midnight, plan_day
from mimamori.simulator.loops import order_of
from mimamori.simulator.report import report_day
from mimamori.simulator.truth import TruthEvent, check_events

_BEFORE = 3  # days of life before the one reported: the climate of a room remembers two

Order = Literal["sent", "taken"]


class Timeline:
    """The life of one household by calendar day; keeps the few days' plans that follow each other."""

    def __init__(self, home: SimulatedHome, *, seed: int, events: Sequence[TruthEvent] = ()) -> None:
        self.home, self.seed = home, seed
        self.events = sorted((e for e in events if e.household == home.id), key=lambda e: (e.start, e.kind))
        self._plans: dict[int, tuple[list[Step], Life]] = {}

    def life(self, day: int, before: int = _BEFORE) -> Life:
        """The line of life from rising on a calendar day to rising on the next, and of so many days `before` it."""
        wanted = range(day - before, day + 1)
        self._plans = {d: self._plans.get(d) or self._plan(d) for d in wanted}
        moves = [e for e in self.around(day) if e.kind in MOVES]
        if not moves:
            return in_turn([self._plans[d][1] for d in wanted])
        return befall([step for d in wanted for step in self._plans[d][0]], moves)

    def _plan(self, day: int) -> tuple[list[Step], Life]:
        now, then = (persona_on(self.home.persona, midnight(d), self.events) for d in (day, day + 1))
        steps = plan_day(now, seed=self.seed, home=self.home.number, day=day, tomorrow=then)
        return steps, columns_of(steps)

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
    firsts = first_devices(homes)
    days = by_household(homes, start=start, end=end, seed=seed, events=events, order=order)
    for rows, (low, high) in zip(days, days_between(start, end), strict=True):
        yield from in_steps(_together(rows, firsts), low, high, step=step, order=order)


def first_devices(homes: Sequence[SimulatedHome]) -> list[int]:
    """The device number at which each household begins."""
    return list(accumulate((len(home.devices) for home in homes), initial=0))[:-1]


def days_between(start: int, end: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each calendar day, the first and the last cut."""
    while start < end:
        after = min(midnight(day_of(start) + 1), end)
        yield start, after
        start = after


def by_household(
    homes: Sequence[SimulatedHome], *, start: int, end: int, seed: int, events: Sequence[TruthEvent], order: Order
) -> Iterator[list[Rows]]:
    """What `simulate` tells of each calendar day, one a household; those of one moment in their order."""
    check_events(events, [home.id for home in homes])
    lines = [Timeline(home, seed=seed, events=events) for home in homes]
    waiting: list[Rows | None] = [None] * len(lines)
    first = day_of(start) - _reach_back(events, start)
    for day in range(first, day_of(end - 1) + 1):
        for i, line in enumerate(lines):
            today = report_day(line.home, line.life(day), day, seed=seed, events=line.around(day))
            left = waiting[i]
            both = join(left, today) if left else today
            befallen = left is not None or today.sent is not today.taken
            waiting[i] = in_time(both, _key(both, order)) if befallen else today
        low, high = max(midnight(day), start), min(midnight(day + 1), end)
        if low < high:
            yield [_within(rows, low, high, order) for rows in waiting if rows is not None]
        waiting = [_later(rows, max(midnight(day + 1), start), order) for rows in waiting if rows]


def in_steps(day: ReadingBatch, low: int, high: int, *, step: int, order: Order) -> Iterator[ReadingBatch]:
    """The readings of [low, high), given household by household, in the order of time: one batch each `step` ns."""
    key = day.got if order == "sent" else day.taken
    turn = order_of((key - low) // MILLI)
    begin = 0
    for end in np.searchsorted(key, step_ends(low, high, step), sorter=turn).tolist():
        yield day.take(turn[begin:end])
        begin = end


def step_ends(low: int, high: int, step: int) -> Nanos:
    """(n,) where the steps end into which [low, high) is cut at multiples of `step` ns."""
    return np.array([*range((low // step + 1) * step, high, step), high], np.int64)


def _reach_back(events: Sequence[TruthEvent], start: int) -> int:
    """Days before the first from which readings may still arrive: those a gateway held back."""
    held = [e.start for e in events if e.kind == "back-fill" and e.start < start < e.end + HOUR]
    return day_of(start) - day_of(min(held)) if held else 0


def _key(rows: Rows, order: Order) -> Nanos:
    return rows.sent if order == "sent" else rows.taken


def _later(rows: Rows, limit: int, order: Order) -> Rows | None:
    later = np.flatnonzero(_key(rows, order) >= limit)
    return rows.take(later) if len(later) else None


def _within(rows: Rows, low: int, high: int, order: Order) -> Rows:
    key = _key(rows, order)
    if not len(key) or (low <= key.min() and key.max() < high):
        return rows
    return rows.take(np.flatnonzero((key >= low) & (key < high)))


def _together(homes: Sequence[Rows], firsts: Sequence[int]) -> ReadingBatch:
    """All homes' readings of a day, one household after the other."""
    sizes = [len(rows.taken) for rows in homes]
    device, metric, value, taken = (
        np.concatenate([getattr(rows, column) for rows in homes]) for column in ("device", "metric", "value", "taken")
    )
    as_taken = all(rows.sent is rows.taken for rows in homes)
    return ReadingBatch(
        home=np.repeat(np.arange(len(homes), dtype=np.int32), sizes),
        device=device + np.repeat(np.array(firsts, np.int32), sizes), metric=metric, value=value, taken=taken,
        got=taken if as_taken else np.concatenate([rows.sent for rows in homes]), flags=np.zeros(len(taken), np.uint8),
    )  # fmt: skip
