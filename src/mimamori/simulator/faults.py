"""What goes wrong: edits to the line of life, and to the readings on their way out of the home.

May import model and the simulator's life, scene, truth and dice. Pure. The body's mishaps are in body.py, those of the
home in house.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import HOUR, MINUTE, SECOND, Nanos
from mimamori.simulator.dice import lots
from mimamori.simulator.life import Life, Place, Step, life_of
from mimamori.simulator.scene import Act
from mimamori.simulator.truth import KINDS, TruthEvent

_DRIFT = 10 * MINUTE  # what a drifting clock has gained at the end
_LATE = 9 * MINUTE  # readings that are late come at most so late, and not in their order
MILLI = 1_000_000  # all times are whole milliseconds
_TO_TOILET = 35 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Readings of one household as equal-length columns. device: (n,) int32 index in its devices. metric: (n,) int16.
    value: (n,) float64. taken, sent: (n,) int64 ns, device clock and true time at which it leaves the home.
    """

    device: NDArray[np.int32]
    metric: NDArray[np.int16]
    value: NDArray[np.float64]
    taken: Nanos
    sent: Nanos

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Rows:
        """The rows `which` (indexes or mask)."""
        taken = self.taken[which]
        return Rows(
            device=self.device[which], metric=self.metric[which], value=self.value[which], taken=taken,
            sent=taken if self.sent is self.taken else self.sent[which],
        )  # fmt: skip


def befall(steps: list[Step], events: Sequence[TruthEvent]) -> Life:
    """The steps with all that befalls the resident, in order of start, as a line of life."""
    for event in sorted((e for e in events if e.kind in MOVES), key=lambda e: e.start):
        lead, new = _instead(event, steps)
        if new:
            steps = overlay(steps, event.start - lead, event.end, new)
    return life_of(steps)


def overlay(steps: list[Step], start: int, end: int, new: list[Step]) -> list[Step]:
    """`new` in place of [start, end); at `end` the old line is taken up where it then stands."""
    before = [s for s in steps if s[0] < start]
    resumed = [(end, *s[1:]) for s in steps if s[0] <= end][-1:]
    return before + new + resumed + [s for s in steps if s[0] > end]


def _at(steps: list[Step], at: int) -> tuple[Place, Act]:
    place, act = next(((s[1], s[2]) for s in reversed(steps) if s[0] <= at), (Place.LIVING, Act.SIT))
    return place, act


_Change = tuple[int, list[Step]]
"""(how long before the start the line must already differ so that the event can happen, the new steps)."""


def _instead(event: TruthEvent, steps: list[Step]) -> _Change:
    begin, (place, act) = event.start, _at(steps, event.start)
    match event.kind:
        case "collapse":
            return _collapse(begin, place)
        case "night-fall":
            walk = [(begin, Place.BEDROOM, Act.RISE), (begin + _TO_TOILET, Place.HALL, Act.WALK)]
            return _from_bed(begin, place, act, [*walk, (begin + 2 * _TO_TOILET, Place.HALL, Act.DOWN)])
        case "bath-fall":
            lead = 8 * MINUTE
            return lead, [(begin - lead, Place.BATHROOM, Act.BATH), (begin, Place.BATHROOM, Act.DOWN)]
        case kind if kind in _IN_BED:
            return _from_bed(begin, place, act, [(begin, Place.BED, _IN_BED[kind])])
        case kind if kind in _ELSEWHERE:
            return MINUTE, [(begin - MINUTE, Place.HALL, Act.WALK), (begin, *_ELSEWHERE[kind])]
        case kind:
            return 0, _wander(event) if kind == "wandering" else []


_IN_BED = {
    "no-rise": Act.SLEEP, "no-breathing": Act.STILL, "tachycardia": Act.LIE, "bradycardia": Act.LIE,
    "apnoea": Act.SLEEP, "heat-stroke": Act.LIE,
}  # fmt: skip
_ELSEWHERE = {
    "outing": (Place.OUT, Act.OUT), "overnight-stay": (Place.OUT, Act.OUT), "hospital-stay": (Place.OUT, Act.OUT),
    "sofa-nap": (Place.LIVING, Act.NAP),
}  # fmt: skip
MOVES = frozenset({"collapse", "night-fall", "bath-fall", "wandering", *_IN_BED, *_ELSEWHERE})
"""Kinds that change what the resident does."""


def _collapse(begin: int, place: Place) -> _Change:
    if place in {Place.BED, Place.OUT}:
        lead = 15 * MINUTE
        return lead, [(begin - lead, Place.LIVING, Act.CHORE), (begin, Place.LIVING, Act.DOWN)]
    return 0, [(begin, place, Act.DOWN)]


def _from_bed(begin: int, place: Place, act: Act, new: list[Step]) -> _Change:
    """A quarter of an hour in bed before it happens, unless the resident is in bed anyway."""
    if place == Place.BED and act in {Act.SLEEP, Act.LIE}:
        return 0, new
    lead = 15 * MINUTE
    return lead, [(begin - lead, Place.BED, Act.LIE), *new]


def _wander(event: TruthEvent) -> list[Step]:
    walk: list[Step] = []
    rounds = (Place.BEDROOM, Place.HALL, Place.LIVING, Place.KITCHEN, Place.HALL, Place.BATHROOM)
    for k, at in enumerate(range(event.start, event.end, 3 * MINUTE)):
        place = rounds[k % len(rounds)]
        walk.append((at, place, Act.DOOR if place == Place.HALL and k % 4 == 1 else Act.WALK))
    return walk


def faults(events: Sequence[TruthEvent], begin: int, end: int) -> list[TruthEvent]:
    """What befalls devices and lines in [begin, end)."""
    return [e for e in events if KINDS[e.kind] == "technical" and e.start < end and e.end > begin]


def disturb(rows: Rows, events: Sequence[TruthEvent], device_ids: Sequence[str], seed: int) -> Rows:
    """The readings with all that befalls devices and lines; rows may be gone, twice there, late or wrongly dated."""
    for event in events:
        now = (rows.taken >= event.start) & (rows.taken < event.end)
        match event.kind:
            case "sensor-unplugged":
                rows = rows.take(~(now & (rows.device == _which(event, device_ids))))
            case "wifi-out" | "power-cut":
                rows = rows.take(~now)
            case "back-fill":
                # The gateway keeps what it could not send and empties its store in order, fifty a second.
                turn = np.cumsum(now) * (SECOND // 50)
                rows = replace(rows, sent=np.where(now, event.end + turn, rows.sent))
            case "duplicates":
                twice = rows.take(now & (lots(rows.taken, rows.device, seed + 1) < 0.3))
                wait = (lots(twice.taken, twice.device, seed + 2) * 30 * SECOND).astype(np.int64)
                rows = join(rows, replace(twice, sent=twice.sent + wait))
            case "late-data":
                wait = (lots(rows.taken, rows.device, seed + 3) * _LATE).astype(np.int64)
                rows = replace(rows, sent=np.where(now, rows.sent + wait, rows.sent))
            case "clock-drift":
                hit = now & (rows.device == _which(event, device_ids))
                gain = (rows.taken - event.start) / (event.end - event.start) * _DRIFT
                rows = replace(rows, taken=np.where(hit, rows.taken + gain.astype(np.int64), rows.taken))
    return replace(rows, taken=rows.taken // MILLI * MILLI, sent=-(-rows.sent // MILLI) * MILLI)


def join(a: Rows, b: Rows) -> Rows:
    """The rows of both, one's after the other's."""
    return Rows(
        device=np.concatenate([a.device, b.device]), metric=np.concatenate([a.metric, b.metric]),
        value=np.concatenate([a.value, b.value]), taken=np.concatenate([a.taken, b.taken]),
        sent=np.concatenate([a.sent, b.sent]),
    )  # fmt: skip


def in_time(rows: Rows, key: Nanos | None = None) -> Rows:
    """The rows of a household by the key (n,) ns (None: the time taken), then device, then metric; alike ones as they
    stand.
    """
    at = rows.taken if key is None else key
    packed = (at // MILLI << 20) | (rows.device.astype(np.int64) << 8) | rows.metric
    return rows.take(np.argsort(packed, kind="stable"))


def _which(event: TruthEvent, device_ids: Sequence[str]) -> int:
    """The device named, else the first of the kinds that people move and unplug."""
    for name in (event.device, "bed", "meter", "motion-living"):
        if name in device_ids:
            return device_ids.index(name)
    return 0


REACH: int = HOUR
"""How long before its start an event may already change the line of life (see `_instead`)."""
