"""Electric load and room climate of a home, from what the resident does and the season.

May import model and the simulator's scene, dice and life. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, Nanos
from mimamori.simulator.dice import Use, generator
from mimamori.simulator.life import UTC_OFFSET, Life, Place, midnight
from mimamori.simulator.scene import Act, Appliance, House

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

_ASLEEP = (Act.SLEEP, Act.LIE, Act.STILL)
_CLIMATE_STEP = 5 * MINUTE


def month_of(day: int) -> int:
    """1-12."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).month


def outside_at(house: House, at: Nanos, *, seed: int) -> Floats:
    """(n,) outdoor temperature in Celsius: month, hour, and the day's weather, which all homes share."""
    local = at + UTC_OFFSET
    days, index = np.unique(local // DAY, return_inverse=True)
    mean = np.array([_day_mean(house, int(day), seed) for day in days])
    hour = (local % DAY) / HOUR
    return np.asarray(mean[index] + house.swing * np.cos(2 * np.pi * (hour - 14) / 24))


def _day_mean(house: House, day: int, seed: int) -> float:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    part = moment.month - 1 + (moment.day - 15.5) / 31  # the monthly mean belongs to the middle of the month
    low = int(np.floor(part))
    mean = house.outside[low % 12] + (part - low) * (house.outside[(low + 1) % 12] - house.outside[low % 12])
    weather = [generator(seed, Use.WEATHER, 0, day - k).standard_normal() for k in range(3)]
    return float(mean + 1.3 * sum(weather))


def load(house: House, life: Life, *, seed: int, home: int, day: int, unheated: Masks) -> Floats:
    """(1440,) mean power in W for each minute of the calendar day. unheated: (1440,) minutes the heating is broken."""
    rng = generator(seed, Use.POWER, home, day)
    at = midnight(day) + np.arange(1440, dtype=np.int64) * MINUTE
    outside = outside_at(house, at, seed=seed)
    total = np.zeros(1440)
    for appliance in house.appliance:
        noise = rng.random((3, 1440))  # drawn whether it runs or not: an event changes nothing but itself
        total += _draw(appliance, life, at, outside=outside, day=day, unheated=unheated, noise=noise)
    return total


def _draw(a: Appliance, life: Life, at: Nanos, *, outside: Floats, day: int, unheated: Masks, noise: Floats) -> Floats:
    if a.months and month_of(day) not in a.months:
        return np.zeros(len(at))
    step = life.steps_at(at)
    act, place = life.act[step], life.place[step]
    match a.runs:
        case "always":
            on: Floats | Masks = np.ones(len(at))
        case "cycle":
            on = _cycle(a, noise[0])
        case "during":
            on = np.asarray((np.isin(act, _acts(a)) & (noise[0] < a.duty)) * _today(noise), np.float64)
        case "after-start":
            on = np.asarray(_after_start(a, life, at, noise) * _today(noise), np.float64)
        case "dark":
            hour = ((at + UTC_OFFSET) % DAY) / HOUR
            on = ((hour < 6.5) | (hour > 16.5)) & (place != Place.OUT) & ~np.isin(act, _ASLEEP)
        case "heat":
            works = ~unheated if a.warms == "room" else np.ones(len(at), bool)
            on = heating_wanted(a, act, place, outside) * (0.6 + 0.8 * noise[0]) * works * _today(noise)
        case "weekly":
            begin = 540 + int(noise[0, 0] * 150)
            at_home = place[begin] != Place.OUT and act[begin] not in {*_ASLEEP, Act.DOWN}
            minute = np.arange(len(at)) - begin
            run = (minute >= 0) & (minute < a.length // MINUTE) & (noise[0] < a.duty)
            on = run if at_home and noise[1, 0] < a.chance else np.zeros(len(at))
    return np.asarray(a.watt * on)


def _today(noise: Floats) -> float:
    """How much of its watts an appliance draws today: settings, loads and dishes differ from day to day."""
    return 0.4 + 1.2 * float(noise[2, 0])


def _acts(a: Appliance) -> list[int]:
    return [Act[name.upper()] for name in a.acts]


def _cycle(a: Appliance, noise: Floats) -> Floats:
    """A compressor: runs of about `on` and rests of about `off`, each up to 20 % shorter or longer."""
    spans = np.empty(400)
    wobble = 0.8 + 0.4 * noise[:400]
    spans[0::2], spans[1::2] = a.on * wobble[0::2], a.off * wobble[1::2]
    edges = np.cumsum(spans) - noise[401] * (a.on + a.off)
    seconds = np.arange(0, DAY, MINUTE // 4)
    return np.asarray((np.searchsorted(edges, seconds) % 2 == 0).reshape(1440, 4).mean(axis=1))


def _after_start(a: Appliance, life: Life, at: Nanos, noise: NDArray[np.float64]) -> Masks:
    """For `length` from the beginning of each act named, on a `chance` of these occasions."""
    begins = life.start[np.isin(life.act, _acts(a))]
    begins = begins[(begins >= at[0]) & (begins < at[0] + DAY)]
    lucky = noise[1][((begins - at[0]) // MINUTE).astype(np.int64)] < a.chance
    begins = np.sort(begins[lucky])
    if not len(begins):
        return np.zeros(len(at), bool)
    last = np.searchsorted(begins, at, side="right") - 1
    return np.asarray((last >= 0) & (at - begins[np.maximum(last, 0)] < a.length) & (noise[0] < a.duty))


def heating_wanted(a: Appliance, act: NDArray[np.int8], place: NDArray[np.int8], outside: Floats) -> Floats:
    """(n,) 0-1: how hard it works; grows with the cold. Someone who lies on the floor leaves it as it is."""
    cold = np.clip((a.below - outside) / 20, 0, 1)
    awake = (place != Place.OUT) * np.where(np.isin(act, _ASLEEP), a.asleep, 1.0)
    if a.warms == "person":
        return np.where(np.isin(act, (Act.EAT, Act.TV, Act.SIT, Act.NAP)), cold, 0.0)
    return np.asarray(cold * awake)


def climate(
    house: House,
    life: Life,
    at: Nanos,
    *,
    seed: int,
    unheated: Sequence[tuple[int, int]],
    hot: Sequence[tuple[int, int]],
) -> tuple[Floats, Floats]:
    """(n,) room temperature in Celsius and relative humidity in % at times `at`, ascending.

    The room follows its target (heated, or outside plus gains) with one time constant; two days are run before the
    first time, so that the answer does not depend on where a day is cut. unheated, hot: stretches, (start, end) ns.
    """
    begin = int(at[0]) - 2 * DAY
    grid = np.arange(begin, int(at[-1]) + _CLIMATE_STEP, _CLIMATE_STEP, dtype=np.int64)
    outside = outside_at(house, grid, seed=seed)
    step = life.steps_at(grid)
    act, place = life.act[step], life.place[step]
    heats = any(a.runs == "heat" and a.warms == "room" for a in house.appliance)
    awake = (place != Place.OUT) & ~np.isin(act, _ASLEEP)
    wanted = np.where(awake, house.heated_to, house.night_to) if heats else np.full(len(grid), -99.0)
    for start, end in unheated:
        wanted[(grid >= start) & (grid < end)] = -99.0
    target = np.maximum(outside + house.gains, wanted)
    for start, end in hot:
        target[(grid >= start) & (grid < end)] = 38.0
    # Heating works faster than a house cools: a third of the time constant.
    quick = 1 - np.exp(-_CLIMATE_STEP / (house.holds / 3))
    slow = 1 - np.exp(-_CLIMATE_STEP / house.holds)
    inside = _follow(target, quick, slow)
    moisture = np.clip(house.humidity + 6 * np.isin(act, (Act.COOK, Act.BATH)) + (outside - 12) * 0.6, 15, 95)
    return np.interp(at, grid, inside), np.interp(at, grid, _follow(moisture, 0.1, 0.1))


def _follow(target: Floats, up: float, down: float) -> Floats:
    now, out = float(target[0]), []
    for aim in target.tolist():
        now += (up if aim > now else down) * (aim - now)
        out.append(now)
    return np.array(out)
