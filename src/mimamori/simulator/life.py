"""What a resident does, minute by minute: seed + persona + calendar day -> a gapless line of (start, place, act).

May import model and the simulator's scene and dice. Pure: no I/O, no clock; every draw comes from a seeded generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, Nanos
from mimamori.simulator.dice import Dice, Use, generator
from mimamori.simulator.scene import DAYS, Act, Persona

UTC_OFFSET: int = 9 * HOUR
"""The simulated homes stand in Aomori: Japan Standard Time, which has known no change of clocks since 1951."""


class Place(IntEnum):
    """Where the resident is. The rooms come first, in the order of scene.ROOMS."""

    BEDROOM = 0
    HALL = 1
    TOILET = 2
    BATHROOM = 3
    KITCHEN = 4
    LIVING = 5
    BED = 6
    OUT = 7


_BESIDE = {place: (Place.HALL, *([Place.BED, Place.BEDROOM] if place in {Place.BED, Place.BEDROOM} else []))
           for place in Place} | {Place.HALL: tuple(Place)}  # fmt: skip
"""From where somebody is in a place without passing through the hall."""

_Part = Callable[[], None]
_DAY_SPREAD, _POOR_DAY = 0.45, 0.04
_SHORTEST_NIGHT = 3 * HOUR
_TV, _SIT = 45.0, 25.0  # median minutes at a stretch; long sittings are what fools a watch on inactivity

Step = tuple[int, Place, Act]
"""(start in ns UTC, where, what); lasts until the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A line of steps as columns. start: (n,) int64 ns, ascending; place, act: (n,) int8. The last step has no end."""

    start: Nanos
    place: NDArray[np.int8]
    act: NDArray[np.int8]

    def steps_at(self, at: Nanos) -> NDArray[np.intp]:
        """(n,) index of the step in force at each of the ascending times (the first step for times before it)."""
        edges = np.searchsorted(at, self.start)
        edges[0] = 0
        return np.repeat(np.arange(len(edges)), np.diff(edges, append=len(at)))

    def at(self, at: int) -> tuple[Place, Act]:
        """Where the resident is, and doing what."""
        i = max(int(np.searchsorted(self.start, at, side="right")) - 1, 0)
        return Place(int(self.place[i])), Act(int(self.act[i]))


def life_of(steps: list[Step]) -> Life:
    """Columns of a list of steps (ascending; steps of no length are dropped)."""
    return in_turn([columns_of(steps)])


def columns_of(steps: list[Step]) -> Life:
    """Columns of a list of steps, as they stand."""
    n = len(steps)
    return Life(
        start=np.fromiter((s[0] for s in steps), np.int64, n), place=np.fromiter((s[1] for s in steps), np.int8, n),
        act=np.fromiter((s[2] for s in steps), np.int8, n),
    )  # fmt: skip


def in_turn(parts: Sequence[Life]) -> Life:
    """One line of life after the other (ascending; steps of no length are dropped)."""
    start, place, act = (np.concatenate([getattr(p, column) for p in parts]) for column in ("start", "place", "act"))
    lasts = np.append(start[:-1] < start[1:], np.ones(min(len(start), 1), bool))
    return Life(start=start[lasts], place=place[lasts], act=act[lasts])


def day_of(at: int) -> int:
    """Number of the local calendar day (0 = 1970-01-01)."""
    return (at + UTC_OFFSET) // DAY


def midnight(day: int) -> int:
    """UTC instant, in ns, at which the local calendar day begins."""
    return day * DAY - UTC_OFFSET


def weekday(day: int) -> str:
    """Day of the week of a calendar day, as in scene.DAYS."""
    return DAYS[(day + 3) % 7]


def hours_of(persona: Persona, *, seed: int, home: int, day: int) -> tuple[int, int]:
    """(rising, going to bed) of a calendar day in ns UTC; bed may lie after midnight. One rising in twelve is late."""
    dice = Dice(generator(seed, Use.HOURS, home, day))
    sleep = persona.sleep
    own_rise, own_bed = _own_hours(sleep.rise_spread, sleep.bed_spread, seed, home)
    rise = dice.around(sleep.rise + own_rise, sleep.rise_spread)
    if dice.happens(1 / 12):
        rise += dice.span(35 * MINUTE)
    bed = dice.around(sleep.bed + own_bed, sleep.bed_spread)
    rise = min(max(rise, 3 * HOUR), 12 * HOUR)
    bed = min(max(bed, 18 * HOUR), 26 * HOUR)
    return midnight(day) + rise, midnight(day) + bed


@lru_cache(maxsize=4096)
def _own_hours(rise_spread: int, bed_spread: int, seed: int, home: int) -> tuple[int, int]:
    """Each household's own shift of (rising, going to bed) against its persona, ns."""
    habit = Dice(generator(seed, Use.HABITS, home))
    return habit.around(0, rise_spread), habit.around(0, bed_spread)


def plan_day(persona: Persona, *, seed: int, home: int, day: int, tomorrow: Persona | None = None) -> list[Step]:
    """The steps from rising on a calendar day to rising on the next. tomorrow: whose rising that is, if another's."""
    rise, bed = hours_of(persona, seed=seed, home=home, day=day)
    next_rise, _ = hours_of(tomorrow or persona, seed=seed, home=home, day=day + 1)
    bed = min(bed, next_rise - _SHORTEST_NIGHT)  # who must rise at three is in bed by midnight: days do not overlap
    return _Day(persona, Dice(generator(seed, Use.LIFE, home, day)), day).plan(rise, bed, next_rise)


def _minutes(n: float) -> int:
    return int(n * MINUTE)


class _Day:
    """Builds one day by walking a pen (`self.now`) along it."""

    def __init__(self, persona: Persona, dice: Dice, day: int) -> None:
        self.persona, self.dice, self.day = persona, dice, day
        self.steps: list[Step] = []
        self.now = 0
        # Good days and bad days: what is done of a free hour differs more from day to day than from home to home.
        self.lively = math.exp(_DAY_SPREAD * dice.bell()) * (0.35 if dice.happens(_POOR_DAY) else 1.0)
        self.toilet_due = 0

    def plan(self, rise: int, bed: int, next_rise: int) -> list[Step]:
        self.now = rise
        self._morning()
        for due, part in sorted(self._parts(rise, bed), key=lambda p: p[0]):
            self._free(due, bed)
            if self.now < bed - HOUR:
                part()
        self._free(bed, bed)
        self._night(next_rise)
        return self.steps

    def _do(self, place: Place, act: Act, length: int) -> None:
        last = self.steps[-1][1] if self.steps else place
        if last is not place and last not in _BESIDE[place]:
            self.steps.append((self.now, Place.HALL, Act.WALK))
            self.now += self.dice.span(8 * SECOND, 0.3)
        self.steps.append((self.now, place, act))
        self.now += max(length, SECOND)

    def _parts(self, rise: int, bed: int) -> list[tuple[int, _Part]]:
        p, dice, zero = self.persona, self.dice, midnight(self.day)
        served = weekday(self.day) in p.outing.day_service
        parts: list[tuple[int, _Part]] = []
        meals = (("breakfast", p.meals.breakfast), ("lunch", p.meals.lunch), ("supper", p.meals.supper))
        for name, usual in meals:
            due = max(zero + dice.around(usual, p.meals.spread), rise + _minutes(12))
            if not dice.happens(p.meals.skip_chance) and not (served and name == "lunch"):
                parts.append((due, self._breakfast if name == "breakfast" else self._meal))
        if served:
            parts.append((zero + dice.around(p.outing.leave, _minutes(4)), self._day_service))
        elif dice.happens(p.outing.chance):
            parts.append((zero + dice.between(p.outing.earliest, p.outing.latest), self._outing))
        if dice.happens(p.days.bath_chance):
            parts.append((zero + dice.around(p.days.bath, _minutes(25)), self._bath))
        if not served and dice.happens(p.sleep.nap_chance):
            parts.append((zero + dice.around(13 * HOUR + _minutes(30), _minutes(30)), self._nap))
        parts += [(zero + dice.between(9 * HOUR, 18 * HOUR), self._caller) for _ in range(dice.count(p.days.callers))]
        return [(due, part) for due, part in parts if due < bed - HOUR]

    def _morning(self) -> None:
        slow = 1 / self.persona.days.pace
        self._do(Place.BEDROOM, Act.RISE, self.dice.span(_minutes(2 * slow)))
        self._toilet()
        self._do(Place.BATHROOM, Act.WASH, self.dice.span(_minutes(6 * slow)))

    def _toilet(self) -> None:
        self._do(Place.TOILET, Act.TOILET, self.dice.span(self.persona.toilet.length, 0.4))
        self.toilet_due = self.now + self.dice.span(self.persona.toilet.day_every, 0.3)

    def _breakfast(self) -> None:
        self._table(8, 16, 5)

    def _meal(self) -> None:
        self._table(20, 24, 8)

    def _table(self, cook: float, eat: float, tidy: float) -> None:
        self._do(Place.KITCHEN, Act.COOK, self.dice.span(_minutes(cook)))
        self._do(Place.LIVING, Act.EAT, self.dice.span(_minutes(eat), 0.3))
        self._do(Place.KITCHEN, Act.TIDY, self.dice.span(_minutes(tidy)))

    def _outing(self) -> None:
        self._leave(self.dice.span(self.persona.outing.length, 0.6))

    def _day_service(self) -> None:
        back = midnight(self.day) + self.dice.around(self.persona.outing.back, _minutes(6))
        self._leave(back - self.now)

    def _leave(self, length: int) -> None:
        self._do(Place.BEDROOM, Act.RISE, self.dice.span(_minutes(4)))
        self._do(Place.HALL, Act.WALK, self.dice.span(40 * SECOND))
        self._do(Place.OUT, Act.OUT, max(length, _minutes(8)))
        self._do(Place.HALL, Act.WALK, self.dice.span(40 * SECOND))
        self._do(Place.BATHROOM, Act.WASH, self.dice.span(_minutes(2)))

    def _caller(self) -> None:
        self._do(Place.HALL, Act.DOOR, self.dice.span(_minutes(2)))

    def _bath(self) -> None:
        self._do(Place.BATHROOM, Act.BATH, self.dice.span(_minutes(22), 0.25))
        self._do(Place.BEDROOM, Act.RISE, self.dice.span(_minutes(5)))

    def _nap(self) -> None:
        length = self.dice.span(self.persona.sleep.nap_length)
        self._do(Place.BED, Act.LIE, _minutes(6))
        self._do(Place.BED, Act.SLEEP, length)

    def _free(self, until: int, bed: int) -> None:
        days, dice = self.persona.days, self.dice
        evening = midnight(self.day) + 18 * HOUR
        while self.now < until:
            if self.now >= self.toilet_due:
                self._toilet()
                continue
            late = self.now > evening
            act = dice.pick({
                "tv": days.tv * (2.5 if late else 1), "sit": days.sit,
                "chore": days.chore * self.lively * (0.4 if late else 1),
                "tea": days.tea, "nap": days.sofa_nap, "lie": 0.0 if late else days.lie_down,
            })  # fmt: skip
            room = until - self.now
            self._pass_time(act, room if until == bed else room + _minutes(4))

    def _pass_time(self, act: str, room: int) -> None:
        dice, pace = self.dice, self.persona.days.pace
        match act:
            case "tv":
                self._do(Place.LIVING, Act.TV, min(dice.span(_minutes(_TV / pace), 0.8), room))
            case "sit":
                self._do(Place.LIVING, Act.SIT, min(dice.span(_minutes(_SIT / pace), 0.8), room))
            case "tea":
                self._do(Place.KITCHEN, Act.TEA, min(dice.span(_minutes(5)), room))
            case "nap":
                self._do(Place.LIVING, Act.NAP, min(dice.span(_minutes(30)), room))
            case "lie":
                self._do(Place.BED, Act.LIE, min(dice.span(_minutes(25)), room))
            case _:
                where = Place(int(dice.share() * 6))
                if where != Place.TOILET:
                    self._do(where, Act.CHORE, min(dice.span(_minutes(7), 0.6), room))

    def _night(self, rise: int) -> None:
        dice, sleep = self.dice, self.persona.sleep
        self._do(Place.BATHROOM, Act.WASH, dice.span(_minutes(5)))
        self._toilet()
        self._do(Place.BEDROOM, Act.RISE, dice.span(_minutes(2)))
        self._do(Place.BED, Act.LIE, dice.span(_minutes(12)))
        awake = rise - dice.span(_minutes(9), 0.6)
        trips = [(t, self._trip) for t in self._trips(self.now + _minutes(40), awake - _minutes(25))]
        if dice.happens(sleep.wander_chance):
            trips.append((dice.between(self.now + HOUR, max(awake - 2 * HOUR, self.now + HOUR)), self._wander))
        for due, trip in sorted(trips, key=lambda x: x[0]):
            if self.now < due < awake - _minutes(20):
                self._do(Place.BED, Act.SLEEP, due - self.now)
                trip()
        self._do(Place.BED, Act.SLEEP, awake - self.now)
        self._do(Place.BED, Act.LIE, rise - self.now)
        # A night that ran over pushes nothing: steps that would begin after rising are dropped.
        self.steps = [s for s in self.steps if s[0] < rise]

    def _trips(self, low: int, high: int) -> list[int]:
        due = sorted(self.dice.between(low, high) for _ in range(self.dice.count(self.persona.toilet.night)))
        return [t for i, t in enumerate(due) if i == 0 or t - due[i - 1] > _minutes(35)]

    def _trip(self) -> None:
        self._do(Place.BED, Act.LIE, self.dice.span(_minutes(2)))
        self._do(Place.BEDROOM, Act.RISE, self.dice.span(int(25 * SECOND / self.persona.days.pace)))
        self._do(Place.TOILET, Act.TOILET, self.dice.span(self.persona.toilet.length, 0.35))
        self._do(Place.BEDROOM, Act.RISE, self.dice.span(12 * SECOND))
        self._do(Place.BED, Act.LIE, self.dice.span(_minutes(6), 0.6))

    def _wander(self) -> None:
        end = self.now + self.dice.span(self.persona.sleep.wander_length)
        self._do(Place.BEDROOM, Act.RISE, _minutes(1))
        while self.now < end:
            where = Place(int(self.dice.share() * 6))
            self._do(where, Act.DOOR if where == Place.HALL and self.dice.happens(0.3) else Act.WALK,
                     self.dice.span(_minutes(3)))  # fmt: skip
        self._do(Place.BED, Act.LIE, self.dice.span(_minutes(10)))
