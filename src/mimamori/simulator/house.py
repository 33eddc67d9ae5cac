"""Room climate of a home, from what the resident does, the weather and the season.

May import model and the simulator's scene, dice and life. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, Nanos
from mimamori.simulator.dice import Use, generator
from mimamori.simulator.life import UTC_OFFSET, Life, Place, midnight
from mimamori.simulator.loops import follow
from mimamori.simulator.scene import Act, House

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

ASLEEP = np.array([act in {Act.SLEEP, Act.LIE, Act.STILL} for act in Act])
_DAMP = np.array([act in {Act.COOK, Act.BATH} for act in Act])
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


def outside_by_minute(house: House, day: int, *, seed: int) -> Floats:
    """(1440,) outdoor temperature in Celsius of each minute of a calendar day. Not to be written to: homes share it."""
    return _by_minute(house.outside, house.swing, day, seed)


@lru_cache(maxsize=64)
def _by_minute(outside: tuple[float, ...], swing: float, day: int, seed: int) -> Floats:
    at = midnight(day) + np.arange(1440, dtype=np.int64) * MINUTE
    return _outside(outside, swing, at, seed)


def outside_at(house: House, at: Nanos, *, seed: int) -> Floats:
    """(n,) outdoor temperature in Celsius: month, hour, and the day's weather, which all homes share."""
    return _outside(house.outside, house.swing, at, seed)


def _outside(outside: tuple[float, ...], swing: float, at: Nanos, seed: int) -> Floats:
    local = at + UTC_OFFSET
    day = local // DAY
    first = int(day.min())
    mean = np.array([_day_mean(outside, d, seed) for d in range(first, int(day.max()) + 1)])
    hour = (local % DAY) / HOUR
    return np.asarray(mean[day - first] + swing * np.cos(2 * np.pi * (hour - 14) / 24))


def _day_mean(outside: tuple[float, ...], day: int, seed: int) -> float:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    part = moment.month - 1 + (moment.day - 15.5) / 31  # the monthly mean belongs to the middle of the month
    low = math.floor(part)
    mean = outside[low % 12] + (part - low) * (outside[(low + 1) % 12] - outside[low % 12])
    return mean + _weather(day, seed)


@lru_cache(maxsize=1024)
def _weather(day: int, seed: int) -> float:
    """K above the mean of the season on a calendar day; a day is like the two before it."""
    return 1.3 * float(sum(generator(seed, Use.WEATHER, 0, day - k).standard_normal() for k in range(3)))


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
    awake = (place != Place.OUT) & ~ASLEEP[act]
    if guests:
        awake |= within(grid, guests) & daytime(grid)
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
    moisture = np.clip(house.humidity + 6 * _DAMP[act] + (outside - 12) * 0.6, 15, 95)
    return np.interp(at, grid, inside), np.interp(at, grid, follow(moisture, 0.1, 0.1))
