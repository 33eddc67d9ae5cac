"""Which events happen when: plausible emergencies and foolers at random, and those of the demonstration.

May import model and the simulator's pure files. Pure: seeded draws only, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mimamori.model.times import DAY, HOUR, MINUTE
from mimamori.simulator.days import Timeline
from mimamori.simulator.dice import Dice, Use, generator
from mimamori.simulator.house import month_of
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import Life, Place, day_of, hours_of, midnight
from mimamori.simulator.scene import Act
from mimamori.simulator.truth import KINDS, TruthEvent

_REST = DAY  # between the end of one event and the start of the next in a household
_TRIES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """When a kind of event strikes (local time of day, ns, may pass midnight), how long it lasts, where it needs the
    resident to be (None: anywhere), in which months, and how often it is drawn among those of its role.
    """

    low: int
    high: int
    shortest: int
    longest: int
    where: tuple[Place, ...] | None = None
    months: tuple[int, ...] = ()
    weight: float = 1.0


_ROOMS = tuple(Place)[: Place.BED]

HABITS: Mapping[str, Habit] = {
    "collapse": Habit(low=8 * HOUR, high=20 * HOUR, shortest=18 * HOUR, longest=36 * HOUR, where=_ROOMS, weight=3),
    "night-fall": Habit(
        low=24 * HOUR, high=28 * HOUR, shortest=8 * HOUR, longest=14 * HOUR, where=(Place.BED,), weight=2
    ),
    "bath-fall": Habit(low=16 * HOUR, high=21 * HOUR, shortest=10 * HOUR, longest=20 * HOUR, where=_ROOMS),
    "no-rise": Habit(low=6 * HOUR, high=9 * HOUR, shortest=10 * HOUR, longest=20 * HOUR),
    "no-breathing": Habit(
        low=23 * HOUR, high=28 * HOUR, shortest=4 * HOUR, longest=10 * HOUR, where=(Place.BED,), weight=2
    ),
    "tachycardia": Habit(low=23 * HOUR, high=28 * HOUR, shortest=40 * MINUTE, longest=2 * HOUR, where=(Place.BED,)),
    "bradycardia": Habit(low=23 * HOUR, high=28 * HOUR, shortest=40 * MINUTE, longest=2 * HOUR, where=(Place.BED,)),
    "apnoea": Habit(low=23 * HOUR, high=28 * HOUR, shortest=HOUR, longest=2 * HOUR, where=(Place.BED,)),
    "heater-failure": Habit(
        low=6 * HOUR, high=20 * HOUR, shortest=20 * HOUR, longest=40 * HOUR, months=(11, 12, 1, 2, 3)
    ),
    "hot-room": Habit(low=11 * HOUR, high=14 * HOUR, shortest=6 * HOUR, longest=10 * HOUR, months=(7, 8)),
    "fever": Habit(low=0, high=DAY, shortest=40 * HOUR, longest=60 * HOUR),
    "wandering": Habit(low=24 * HOUR, high=27 * HOUR, shortest=40 * MINUTE, longest=2 * HOUR, where=(Place.BED,)),
    "outing": Habit(low=9 * HOUR, high=14 * HOUR, shortest=2 * HOUR, longest=7 * HOUR, where=_ROOMS, weight=4),
    "overnight-stay": Habit(low=10 * HOUR, high=16 * HOUR, shortest=20 * HOUR, longest=30 * HOUR, where=_ROOMS),
    "hospital-stay": Habit(low=9 * HOUR, high=15 * HOUR, shortest=4 * DAY, longest=9 * DAY, where=_ROOMS, weight=0.3),
    "visitors": Habit(low=10 * HOUR, high=15 * HOUR, shortest=HOUR, longest=5 * HOUR, weight=2),
    "sofa-nap": Habit(low=12 * HOUR, high=16 * HOUR, shortest=100 * MINUTE, longest=3 * HOUR, where=_ROOMS, weight=3),
    "sensor-unplugged": Habit(low=8 * HOUR, high=20 * HOUR, shortest=3 * HOUR, longest=30 * HOUR),
    "wifi-out": Habit(low=0, high=DAY, shortest=30 * MINUTE, longest=12 * HOUR),
    "power-cut": Habit(low=0, high=DAY, shortest=20 * MINUTE, longest=4 * HOUR, weight=0.5),
    "back-fill": Habit(low=0, high=DAY, shortest=HOUR, longest=48 * HOUR),
    "duplicates": Habit(low=0, high=DAY, shortest=HOUR, longest=12 * HOUR, weight=0.5),
    "clock-drift": Habit(low=0, high=DAY, shortest=10 * HOUR, longest=40 * HOUR, weight=0.5),
    "heat-stroke": Habit(low=11 * HOUR, high=15 * HOUR, shortest=4 * HOUR, longest=8 * HOUR, months=(7, 8)),
    "slow-decline": Habit(low=0, high=DAY, shortest=28 * DAY, longest=56 * DAY, weight=0.5),
    "grandchildren": Habit(low=10 * HOUR, high=15 * HOUR, shortest=5 * DAY, longest=8 * DAY, weight=0.3),
    "sensor-moved": Habit(low=9 * HOUR, high=18 * HOUR, shortest=DAY, longest=5 * DAY, weight=0.5),
    "late-data": Habit(low=0, high=DAY, shortest=HOUR, longest=12 * HOUR, weight=0.5),
}  # fmt: skip

_NEED_BED = {"no-breathing", "tachycardia", "bradycardia", "apnoea", "no-rise", "heat-stroke"}
_NEED_CLIMATE = {"heater-failure", "hot-room", "heat-stroke"}
_DISTRICT = 10  # households in a row that hang on one transformer

_CHANCE = {"emergency": 0.5, "change": 0.15}
"""Of one such event in a household in the whole time; it ends what can be judged, so there is at most one of each."""
_PER_DAY = {"fooler": 1 / 10, "technical": 1 / 20}


def plan_events(
    homes: Sequence[SimulatedHome], *, start: int, end: int, seed: int, first_after: int
) -> tuple[TruthEvent, ...]:
    """Events in [first_after, end), sorted by start, at least a day apart within a household."""
    return with_neighbours(homes, draw_events(homes, start=start, end=end, seed=seed, first_after=first_after))


def draw_events(
    homes: Sequence[SimulatedHome], *, start: int, end: int, seed: int, first_after: int
) -> list[TruthEvent]:
    """Events of each home by itself, home by home.

    Emergencies are drawn first; where one needs the resident in bed or indoors, a moment is chosen at which the line
    of life has them there. A home may have none. start is that of the simulation (life before it is not looked at).
    """
    chosen: list[TruthEvent] = []
    for home in homes:
        dice = Dice(generator(seed, Use.PLAN, home.number))
        line = Timeline(home, seed=seed)
        mine: list[TruthEvent] = []
        for role in _roles(dice, (end - max(start, first_after)) / DAY):
            event = _draw(role, line, dice, low=max(start, first_after), end=end, mine=mine)
            if event is not None:
                mine.append(event)
        chosen += mine
    return chosen


def with_neighbours(homes: Sequence[SimulatedHome], chosen: Sequence[TruthEvent]) -> tuple[TruthEvent, ...]:
    """What was drawn for all homes, in their order, with what befalls whole districts; sorted by start."""
    return tuple(sorted([*chosen, *_neighbours(homes, chosen)], key=lambda e: (e.start, e.household)))


def own_events(
    homes: Sequence[SimulatedHome], events: Sequence[TruthEvent], *, start: int, end: int, seed: int
) -> tuple[TruthEvent, ...]:
    """What personas do by themselves and the truth must know of: `night-walk`, from leaving the bed to lying down.

    events: what befalls the homes, as it was simulated.
    """
    told = []
    for home in (h for h in homes if h.persona.sleep.wander_chance > 0):
        line = Timeline(home, seed=seed, events=events)
        others = [e for e in line.events if e.kind == "wandering"]
        for day in range(day_of(start), day_of(end - 1) + 1):
            low, high = max(midnight(day), start), min(midnight(day + 1), end)
            walks = [w for w in _walks(line.life(day)) if low <= w[0] < high]
            told += [
                TruthEvent(household=home.id, kind="night-walk", start=_ms(begin), end=_ms(until))
                for begin, until in walks
                if not any(e.start <= begin < e.end for e in others)
            ]
    return tuple(sorted(told, key=lambda e: (e.start, e.household)))


def _walks(life: Life) -> Iterator[tuple[int, int]]:
    """(out of bed, back in bed) of those times up in which somebody walks about: nobody else walks but in the hall."""
    in_bed = life.place == Place.BED
    walking = (life.act == Act.WALK) & (life.place != Place.HALL)
    left = np.flatnonzero(in_bed[:-1] & ~in_bed[1:]) + 1
    back = np.flatnonzero(~in_bed[:-1] & in_bed[1:]) + 1
    for begin in left.tolist():
        after = back[back > begin]
        if len(after) and walking[begin : after[0]].any():
            yield int(life.start[begin]), int(life.start[after[0]])


def _roles(dice: Dice, days: float) -> Iterator[str]:
    for role, chance in _CHANCE.items():
        if dice.happens(chance):
            yield role
    for role, rate in _PER_DAY.items():
        for _ in range(min(dice.count(min(rate * days, 15)), 20)):
            yield role


def _neighbours(homes: Sequence[SimulatedHome], chosen: Sequence[TruthEvent]) -> list[TruthEvent]:
    """A power cut strikes the whole district: all its households whose own events leave that time free."""
    district = {home.id: home.number // _DISTRICT for home in homes}
    mine: dict[str, list[TruthEvent]] = {home.id: [] for home in homes}
    for event in chosen:
        mine[event.household].append(event)
    more = []
    for cut in (e for e in chosen if e.kind == "power-cut"):
        for home in homes:
            if district[home.id] == district[cut.household] and _free(cut.start, cut.end, mine[home.id]):
                event = replace(cut, household=home.id)
                mine[home.id].append(event)
                more.append(event)
    return more


def _free(begin: int, until: int, mine: Sequence[TruthEvent]) -> bool:
    return all(begin > e.end + _REST or until + _REST < e.start for e in mine)


def _draw(
    role: str, line: Timeline, dice: Dice, *, low: int, end: int, mine: Sequence[TruthEvent]
) -> TruthEvent | None:
    home = line.home
    for _ in range(_TRIES):
        kind = dice.pick({k: HABITS[k].weight for k in HABITS if KINDS[k] == role})
        habit = HABITS[kind]
        day = day_of(dice.between(low, end))
        begin = midnight(day) + dice.between(habit.low, habit.high)
        if kind == "no-rise":
            begin = hours_of(home.persona, seed=line.seed, home=home.number, day=day)[0]
        until = min(begin + dice.between(habit.shortest, habit.longest), end)
        fits = low <= begin and begin + habit.shortest <= end and (not habit.months or month_of(day) in habit.months)
        if fits and _free(begin, until, mine) and _possible(home, kind) and _there(line, habit, begin):
            return TruthEvent(household=home.id, kind=kind, start=_ms(begin), end=_ms(until))
    return None


def _possible(home: SimulatedHome, kind: str) -> bool:
    if kind in _NEED_BED and home.kit.bed is None:
        return False
    return kind not in _NEED_CLIMATE or home.kit.climate is not None


def _there(line: Timeline, habit: Habit, at: int) -> bool:
    if habit.where is None:
        return True
    last = _risen(line, at)
    life = line.life(last, before=last - _risen(line, at - 2 * MINUTE))
    return life.at(at)[0] in habit.where and life.at(at - 2 * MINUTE)[0] in habit.where


def _risen(line: Timeline, at: int) -> int:
    """The day whose plan, from rising to rising, holds the moment."""
    day, home = day_of(at), line.home
    return day if at >= hours_of(home.persona, seed=line.seed, home=home.number, day=day)[0] else day - 1


def _ms(at: int) -> int:
    return at // 1_000_000 * 1_000_000


_DEMO = (
    ("no-breathing", 8, 15, 2 * HOUR), ("tachycardia", 12, 25, 90 * MINUTE), ("night-fall", 15, 30, 8 * HOUR),
    ("collapse", 20, 45, 12 * HOUR), ("bradycardia", 60, 100, 90 * MINUTE), ("sensor-unplugged", 30, 60, 6 * HOUR),
    ("outing", 60, 180, 4 * HOUR), ("wifi-out", 90, 150, 3 * HOUR), ("heater-failure", 100, 200, 20 * HOUR),
)  # fmt: skip
_DEMO_SHARE = 12
"""One event of each kind a dozen households (so that 200 show some, not 200 emergencies)."""


def demo_events(homes: Sequence[SimulatedHome], *, start: int, seed: int) -> tuple[TruthEvent, ...]:
    """Events of a demonstration, soon after `start`: an emergency within 15 simulated minutes, whatever the hour.

    Each kind befalls one household of every dozen (at least one), each household at most once. Who is not in bed when
    the kind needs it lies down a quarter of an hour before.
    """
    dice = Dice(generator(seed, Use.DEMO))
    needs = {"no-breathing": "bed", "tachycardia": "bed", "bradycardia": "bed", "heater-failure": "climate"}
    order = sorted(homes, key=lambda _: dice.share())
    events: list[TruthEvent] = []
    for _ in range(max(1, len(homes) // _DEMO_SHARE)):
        for kind, low, high, length in _DEMO:
            needed = needs.get(kind)
            home = next((h for h in order if needed is None or any(d.id == needed for d in h.devices)), None)
            if home is None:
                continue
            order.remove(home)
            begin = _ms(start + dice.between(low * MINUTE, high * MINUTE))
            events.append(TruthEvent(household=home.id, kind=kind, start=begin, end=begin + length))
    return tuple(sorted(events, key=lambda e: (e.start, e.household)))
