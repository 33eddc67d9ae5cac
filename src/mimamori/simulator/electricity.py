"""Electric load of a home, minute by minute, from what the resident does and the season.

May import model and the simulator's scene, dice, life, house and loops. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, MINUTE, Nanos
from mimamori.simulator.dice import Use, generator, shares
from mimamori.simulator.house import ASLEEP, Floats, Masks, month_of, outside_by_minute
from mimamori.simulator.life import Life, Place, midnight
from mimamori.simulator.loops import compiled
from mimamori.simulator.scene import Act, Appliance, House

Chances = NDArray[np.float32]  # uniform

_MINUTES = np.arange(1440, dtype=np.int64) * MINUTE
_DARK = (np.arange(1440) < 390) | (np.arange(1440) > 990)  # before 06:30, after 16:30
_QUARTER = MINUTE // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """What goes on in each minute of a day, (1440,) columns. up: at home and awake; asleep: at home, and not."""

    life: Life
    begin: int
    act: NDArray[np.int8]
    up: Masks
    asleep: Masks
    outside: Floats
    unheated: Masks
    guests: Masks


def load(house: House, life: Life, *, seed: int, home: int, day: int, unheated: Masks, guests: Masks) -> Floats:
    """(1440,) mean power in W for each minute of the calendar day.

    unheated, guests: (1440,) minutes in which the heating is broken, and others are up and about.
    """
    begin = midnight(day)
    at = begin + _MINUTES
    step = life.steps_at(at)
    act, at_home = life.act[step], life.place[step] != Place.OUT
    asleep = ASLEEP[act]
    today = _Day(
        life=life, begin=begin, act=act, up=at_home & ~asleep, asleep=at_home & asleep,
        outside=outside_by_minute(house, day, seed=seed), unheated=unheated, guests=guests,
    )  # fmt: skip
    # Drawn whether it runs or not: an event changes nothing but itself.
    draws = shares(generator(seed, Use.POWER, home, day), (len(house.appliance), 2, 1441))
    total, month = np.zeros(1440), month_of(day)
    for appliance, chance in zip(house.appliance, draws, strict=True):
        if not appliance.months or month in appliance.months:
            _draw(appliance, today, chance, total)
    return total


def _draw(a: Appliance, now: _Day, chance: Chances, total: Floats) -> None:
    """Add what the appliance draws. chance: (2, 1441); the last of the first row is the day's."""
    watt = a.watt * (0.4 + 1.2 * float(chance[0, 1440]))  # settings, loads and dishes differ from day to day
    match a.runs:
        case "always":
            total += a.watt
        case "cycle":
            cycle(a.on, a.off, chance[0], a.watt, total)
        case "during":
            total += watt * (_acts(a.acts)[now.act] & (chance[0, :1440] < a.duty))
        case "after-start":
            begins = now.life.start[_acts(a.acts)[now.life.act]] - now.begin
            after_start(begins, a.length, chance, (a.chance, a.duty, watt), total)
        case "dark":
            total += a.watt * (_DARK & now.up)
        case "heat":
            total += a.watt * _heating(a, now) * (0.6 + 0.8 * chance[0, :1440])
        case "weekly":
            begin = 540 + int(chance[0, 0] * 150)
            if now.up[begin] and now.act[begin] != Act.DOWN and chance[1, 0] < a.chance:
                run = slice(begin, begin + a.length // MINUTE)
                total[run] += a.watt * (chance[0, :1440][run] < a.duty)


@lru_cache(maxsize=256)
def _acts(names: tuple[str, ...]) -> Masks:
    """(acts,) whether it runs during each act, or from its start."""
    return np.array([act.name.lower() in names for act in Act])


def _heating(a: Appliance, now: _Day) -> Floats:
    """(1440,) 0-1: how hard it works; grows with the cold. Someone who lies on the floor leaves it as it is."""
    cold = np.clip((a.below - now.outside) / 20, 0, 1)
    if a.warms == "person":
        return np.asarray(cold * (_acts(("eat", "tv", "sit", "nap"))[now.act] | now.guests))
    return np.asarray(cold * np.where(now.guests, 1.0, now.up + now.asleep * a.asleep) * ~now.unheated)


@compiled
def cycle(on: int, off: int, chance: Any, watt: float, total: Any) -> None:
    """A compressor: runs of about `on` and rests of about `off` (ns), each up to 20 % shorter or longer.

    Adds `watt` to (1440,) `total` where it runs, by quarters of a minute.
    """
    edge, running, quarter, turn = -chance[-2] * float(on + off), True, 0, 0
    while quarter < 5760:
        edge += (on if running else off) * (0.8 + 0.4 * chance[turn])
        until = min(max(math.ceil(edge / _QUARTER), quarter), 5760)  # the first quarter of a minute after it
        if running:
            for q in range(quarter, until):
                total[q // 4] += watt / 4
        running, quarter, turn = not running, until, (turn + 1) % 1440


@compiled
def after_start(begins: Nanos, length: int, chance: Any, numbers: Any, total: Any) -> None:
    """For `length` (ns) from each of (n,) ascending `begins` (ns after midnight), on some of these occasions.

    numbers: (share of occasions, share of minutes in which it draws, W). Adds to (1440,) `total`.
    """
    lucky, duty, watt = numbers
    free = 0  # the first minute of which nothing is decided yet
    for since in begins:
        if 0 <= since < DAY and chance[1, since // MINUTE] < lucky:
            end = min(-(-(since + length) // MINUTE), 1440)
            for minute in range(max(-(-since // MINUTE), free), end):
                if chance[0, minute] < duty:
                    total[minute] += watt
            free = max(free, end)
