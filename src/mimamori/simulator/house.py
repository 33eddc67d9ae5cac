"""Electric load and room climate of a home, from what the resident does and the season.

May import model and the simulator's scene, dice and life. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, Nanos
from mimamori.simulator.dice import Use, generator
from mimamori.simulator.life import UTC_OFFSET, Life, Place, midnight
from mimamori.simulator.loops import follow
from mimamori.simulator.scene import Act, Appliance, House

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
Chances = NDArray[np.float32]  # uniform

_ASLEEP = np.array([act in {Act.SLEEP, Act.LIE, Act.STILL} for act in Act])
_CLIMATE_STEP = 5 * MINUTE


def within(at: Nanos, spans: Sequence[tuple[int, int]]) -> Masks:
    """(n,) whether any of the stretches (start, end) in ns goes on at each time."""
    now = np.zeros(len(at), bool)
    for start, end in spans:
        now |= (at >= start) & (at < end)
    return now


def daytime(at: Nanos) -> Masks:
    """(n,) from 07:00 to 22:00 local time."""
    hour = (at + UTC_OFFSET) % DAY // HOUR
    return np.asarray((hour >= 7) & (hour < 22))


def month_of(day: int) -> int:
    """1-12."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).month


def outside_at(house: House, at: Nanos, *, seed: int) -> Floats:
    """(n,) outdoor temperature in Celsius: month, hour, and the day's weather, which all homes share."""
    local = at + UTC_OFFSET
    day = local // DAY
    first = int(day.min())
    mean = np.array([_day_mean(house, d, seed) for d in range(first, int(day.max()) + 1)])
    hour = (local % DAY) / HOUR
    return np.asarray(mean[day - first] + house.swing * np.cos(2 * np.pi * (hour - 14) / 24))


def _day_mean(house: House, day: int, seed: int) -> float:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    part = moment.month - 1 + (moment.day - 15.5) / 31  # the monthly mean belongs to the middle of the month
    low = math.floor(part)
    mean = house.outside[low % 12] + (part - low) * (house.outside[(low + 1) % 12] - house.outside[low % 12])
    return mean + _weather(day, seed)


@lru_cache(maxsize=1024)
def _weather(day: int, seed: int) -> float:
    """K above the mean of the season on a calendar day; a day is like the two before it."""
    return 1.3 * float(sum(generator(seed, Use.WEATHER, 0, day - k).standard_normal() for k in range(3)))


def load(house: House, life: Life, *, seed: int, home: int, day: int, unheated: Masks, guests: Masks) -> Floats:
    """(1440,) mean power in W for each minute of the calendar day.

    unheated, guests: (1440,) minutes in which the heating is broken, and others are up and about.
    """
    rng = generator(seed, Use.POWER, home, day)
    at = midnight(day) + np.arange(1440, dtype=np.int64) * MINUTE
    step = life.steps_at(at)
    now = _Minutes(
        life=life, at=at, act=life.act[step], place=life.place[step], outside=outside_at(house, at, seed=seed),
        unheated=unheated, guests=guests,
    )  # fmt: skip
    total, month = np.zeros(1440), month_of(day)
    for appliance in house.appliance:
        noise = rng.random((2, 1441), np.float32)  # whether it runs or not: an event changes nothing but itself
        if not appliance.months or month in appliance.months:
            total += _draw(appliance, now, noise)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Minutes:
    """What goes on in each minute of a day, (1440,) columns."""

    life: Life
    at: Nanos
    act: NDArray[np.int8]
    place: NDArray[np.int8]
    outside: Floats
    unheated: Masks
    guests: Masks


def _draw(a: Appliance, now: _Minutes, draws: Chances) -> Floats:
    at, act, place, noise = now.at, now.act, now.place, draws[:, :1440]
    match a.runs:
        case "always":
            on: Floats | Masks = np.ones(len(at))
        case "cycle":
            on = _cycle(a, noise[0])
        case "during":
            on = np.asarray((_acts(a)[act] & (noise[0] < a.duty)) * _today(draws), np.float64)
        case "after-start":
            on = np.asarray(_after_start(a, now.life, at, noise) * _today(draws), np.float64)
        case "dark":
            hour = ((at + UTC_OFFSET) % DAY) / HOUR
            on = ((hour < 6.5) | (hour > 16.5)) & (place != Place.OUT) & ~_ASLEEP[act]
        case "heat":
            works = ~now.unheated if a.warms == "room" else np.ones(len(at), bool)
            on = heating_wanted(a, act, place, now.outside, now.guests) * (0.6 + 0.8 * noise[0]) * works
        case "weekly":
            begin = 540 + int(noise[0, 0] * 150)
            at_home = place[begin] != Place.OUT and act[begin] != Act.DOWN and not _ASLEEP[act[begin]]
            minute = np.arange(len(at)) - begin
            run = (minute >= 0) & (minute < a.length // MINUTE) & (noise[0] < a.duty)
            on = run if at_home and noise[1, 0] < a.chance else np.zeros(len(at))
    return np.asarray(a.watt * on)


def _today(draws: Chances) -> float:
    """How much of its watts an appliance draws today: settings, loads and dishes differ from day to day."""
    return 0.4 + 1.2 * float(draws[0, 1440])


def _acts(a: Appliance) -> Masks:
    """(acts,) whether it runs during each act, or from its start."""
    return _one_of(*a.acts)


@lru_cache(maxsize=256)
def _one_of(*names: str) -> Masks:
    return np.array([act.name.lower() in names for act in Act])


def _cycle(a: Appliance, noise: Chances) -> Floats:
    """A compressor: runs of about `on` and rests of about `off`, each up to 20 % shorter or longer."""
    spans = np.empty(400)
    wobble = 0.8 + 0.4 * noise[:400]
    spans[0::2], spans[1::2] = a.on * wobble[0::2], a.off * wobble[1::2]
    edges = np.cumsum(spans) - noise[401] * (a.on + a.off)
    quarters = np.ceil(edges / (MINUTE // 4)).astype(np.int64)  # the first quarter of a minute after each edge
    turned = np.bincount(np.clip(quarters, 0, 5760), minlength=5761)[:5760]
    return np.asarray((np.cumsum(turned) % 2 == 0).reshape(1440, 4).mean(axis=1))


def _after_start(a: Appliance, life: Life, at: Nanos, noise: Chances) -> Masks:
    """For `length` from the beginning of each act named, on a `chance` of these occasions."""
    begins = life.start[_acts(a)[life.act]]
    begins = begins[(begins >= at[0]) & (begins < at[0] + DAY)]
    lucky = noise[1][((begins - at[0]) // MINUTE).astype(np.int64)] < a.chance
    begins = np.sort(begins[lucky])
    if not len(begins):
        return np.zeros(len(at), bool)
    last = np.searchsorted(begins, at, side="right") - 1
    return np.asarray((last >= 0) & (at - begins[np.maximum(last, 0)] < a.length) & (noise[0] < a.duty))


def heating_wanted(
    a: Appliance, act: NDArray[np.int8], place: NDArray[np.int8], outside: Floats, guests: Masks
) -> Floats:
    """(n,) 0-1: how hard it works; grows with the cold. Someone who lies on the floor leaves it as it is."""
    cold = np.clip((a.below - outside) / 20, 0, 1)
    if a.warms == "person":
        return np.where(_one_of("eat", "tv", "sit", "nap")[act] | guests, cold, 0.0)
    awake = np.where(guests, 1.0, (place != Place.OUT) * np.where(_ASLEEP[act], a.asleep, 1.0))
    return np.asarray(cold * awake)


def climate(
    house: House,
    life: Life,
    at: Nanos,
    *,
    seed: int,
    unheated: Sequence[tuple[int, int]],
    hot: Sequence[tuple[int, int]],
    guests: Sequence[tuple[int, int]],
) -> tuple[Floats, Floats]:
    """(n,) room temperature in Celsius and relative humidity in % at times `at`, ascending.

    The room follows its target (heated, or outside plus gains) with one time constant; two days are run before the
    first time, so that the answer does not depend on where a day is cut. unheated, hot, guests: stretches, (start, end)
    ns; guests are up by day, and keep the room warm whether the resident is in or out.
    """
    begin = int(at[0]) - 2 * DAY
    grid = np.arange(begin, int(at[-1]) + _CLIMATE_STEP, _CLIMATE_STEP, dtype=np.int64)
    outside = outside_at(house, grid, seed=seed)
    step = life.steps_at(grid)
    act, place = life.act[step], life.place[step]
    heats = any(a.runs == "heat" and a.warms == "room" for a in house.appliance)
    awake = ((place != Place.OUT) & ~_ASLEEP[act]) | (within(grid, guests) & daytime(grid))
    wanted = np.where(awake, house.heated_to, house.night_to) if heats else np.full(len(grid), -99.0)
    for start, end in unheated:
        wanted[(grid >= start) & (grid < end)] = -99.0
    target = np.maximum(outside + house.gains, wanted)
    for start, end in hot:
        target[(grid >= start) & (grid < end)] = 38.0
    # Heating works faster than a house cools: a third of the time constant.
    quick = 1 - np.exp(-_CLIMATE_STEP / (house.holds / 3))
    slow = 1 - np.exp(-_CLIMATE_STEP / house.holds)
    inside = follow(target, quick, slow)
    moisture = np.clip(house.humidity + 6 * _one_of("cook", "bath")[act] + (outside - 12) * 0.6, 15, 95)
    return np.interp(at, grid, inside), np.interp(at, grid, follow(moisture, 0.1, 0.1))
