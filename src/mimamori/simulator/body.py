"""The resident in bed and what the bed sensor under them tells, as one compiled pass over a day.

May import model and the simulator's scene, dice, life, truth and loops. Pure. The body: heart rate, respiration and
movement by sleep stage, wakefulness, hour and mishap; then the sensor: its noise, bouts of loss, and phantoms of the
empty bed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, Nanos
from mimamori.simulator.decline import DECLINE
from mimamori.simulator.dice import KNOT, bouts, knots
from mimamori.simulator.life import UTC_OFFSET, Life, Place
from mimamori.simulator.loops import bell, compiled, hashed, share, within_bouts
from mimamori.simulator.scene import Act, BedSensor, Persona
from mimamori.simulator.truth import TruthEvent

_CYCLE = 95 * MINUTE  # of light, deep and dreaming sleep
_RAMP = 90 * SECOND  # an onset is not a step
_SETTLED = 3 * HOUR  # the heart has long settled

Floats = NDArray[np.float64]

_GROWING: Mapping[str, tuple[int, float, float]] = {
    "fever": (6 * HOUR, 22, 7), "heat-stroke": (2 * HOUR, 35, 8), "slow-decline": (DECLINE, 6, 0),
}  # fmt: skip
"""Kinds that grow: (time to the full of it, heart rate, respiration), both added in 1/min."""
_TACHYCARDIA, _BRADYCARDIA, _APNOEA, _GROWS = range(4)
_KINDS = {"tachycardia": _TACHYCARDIA, "bradycardia": _BRADYCARDIA, "apnoea": _APNOEA} | dict.fromkeys(_GROWING, _GROWS)
_RHYTHMS = ("steady", "fibrillation", "paced")


class _Line(NamedTuple):
    """The line of life, and the (k,) mishaps of the body: kind, start, end, and how what grows grows."""

    start: Nanos
    place: NDArray[np.int8]
    act: NDArray[np.int8]
    kind: NDArray[np.int64]
    begins: Nanos
    ends: Nanos
    grows: Floats


class _Chance(NamedTuple):
    """The chance of a day: knots of slow waves, shifts of the whole day, bouts as (starts, ends), and the seed of what
    hangs on the moment alone.
    """

    begin: int
    heart: Floats
    breath: Floats
    heart_shift: float
    breath_shift: float
    lost_heart: tuple[Nanos, Nanos]
    lost_breath: tuple[Nanos, Nanos]
    phantom: tuple[Nanos, Nanos]
    pauses: tuple[Nanos, Nanos]
    faint: tuple[Nanos, Nanos]
    seed: int


class _Numbers(NamedTuple):
    """Of persona and sensor, as in their files; turns: of somebody asleep and awake, a look of the sensor."""

    heart_rate: float
    respiration_rate: float
    rhythm: int
    turns_asleep: float
    turns_awake: float
    heart_noise: float
    respiration_noise: float
    phantom_heart: float
    phantom_respiration: float
    slower: int


class Told(NamedTuple):
    """What the sensor says. heart: (n,) times, values in 1/min; breath: (m,) likewise; movement (k,) 0-100 and in_bed
    (k,) 0 or 1 at times at (k,). Times ns, ascending.
    """

    heart_at: Nanos
    heart: Floats
    breath_at: Nanos
    breath: Floats
    at: Nanos
    movement: Floats
    in_bed: Floats


def tell_bed(
    life: Life, persona: Persona, sensor: BedSensor, at: Nanos, *, events: Sequence[TruthEvent], begin: int,
    rng: np.random.Generator, pauses: np.random.Generator, seed: int, feet: Sequence[tuple[int, int]],
) -> Told:  # fmt: skip
    """What the sensor tells at times `at` (n,) ns, ascending, on the day that begins at `begin`.

    Nothing is drawn that hangs on what the resident does: an event changes nothing but itself. rng: of the home and
    day; pauses: likewise, for pauses of breathing only; seed: of the home. feet: (start, end) of times at which the
    sensor lies at the feet, where little is felt.
    """
    mishaps = [e for e in events if e.kind in _KINDS]
    line = _Line(
        start=life.start, place=life.place, act=life.act, kind=np.array([_KINDS[e.kind] for e in mishaps], np.int64),
        begins=np.array([e.start for e in mishaps], np.int64), ends=np.array([e.end for e in mishaps], np.int64),
        grows=np.array([_GROWING.get(e.kind, (1, 0, 0)) for e in mishaps], np.float64).reshape(-1, 3),
    )  # fmt: skip
    chance = _Chance(
        begin=begin, heart=knots(rng, DAY), breath=knots(rng, DAY), heart_shift=rng.normal(0, 1.8),
        breath_shift=rng.normal(0, 0.5), lost_heart=bouts(rng, begin, DAY, sensor.lost, 100 * SECOND),
        lost_breath=bouts(rng, begin, DAY, sensor.lost, 100 * SECOND),
        phantom=bouts(rng, begin, DAY, sensor.phantom, 8 * MINUTE),
        pauses=bouts(pauses, begin, DAY, 0.35 if _APNOEA in line.kind else 0.0, 25 * SECOND),
        faint=(np.array([s for s, _ in feet], np.int64), np.array([e for _, e in feet], np.int64)), seed=seed,
    )  # fmt: skip
    looks = persona.sleep.restless * sensor.every / (10 * SECOND)  # it sees a turn as often as it looks
    numbers = _Numbers(
        heart_rate=persona.body.heart_rate, respiration_rate=persona.body.respiration_rate,
        rhythm=_RHYTHMS.index(persona.body.rhythm), turns_asleep=min(0.012 * looks, 0.9),
        turns_awake=min(0.1 * looks, 0.9), heart_noise=sensor.heart_noise, respiration_noise=sensor.respiration_noise,
        phantom_heart=sensor.phantom_heart, phantom_respiration=sensor.phantom_respiration,
        slower=max(sensor.idle_every // sensor.every, 1),
    )  # fmt: skip
    return Told(*_tell(at, line, chance, numbers))


_SLEEP, _STILL, _BED = int(Act.SLEEP), int(Act.STILL), int(Place.BED)
_NONE, _FIBRILLATION, _PACED = range(3)


@compiled
def _depth(since: int) -> Any:
    """(deep sleep, dreaming), each 0-1: deep sleep fades over the night, dreaming grows."""
    cycle = (since % _CYCLE) / _CYCLE
    late = min(max(since / (6 * HOUR), 0.0), 1.0)
    wave = math.sin(math.pi * cycle)
    return wave * wave * (1 - 0.7 * late), min(max((cycle - 0.75) * 4, 0.0), 1.0) * (0.4 + 0.6 * late)


@compiled
def _wave(through: Any, since: int) -> float:
    """Smooth noise, standard deviation about 0.8, `since` ns after the beginning of what `knots` drew."""
    before = since // KNOT
    part = (since - before * KNOT) / KNOT
    return float(through[before] * (1 - part) + through[before + 1] * part)


@compiled
def _alive(now: int, rest: Any, numbers: Any, chance: Any, dice: Any) -> Any:
    """(heart rate, respiration) of somebody in bed. rest: (ns since they fell asleep or lay down awake, asleep)."""
    since, asleep = rest
    deep, dream = _depth(since)
    into = now - chance.begin
    heart = numbers.heart_rate + 2.0 * _wave(chance.heart, into) + chance.heart_shift
    heart -= 2.5 * math.cos(2 * math.pi * (((now + UTC_OFFSET) % DAY) / HOUR - 4) / 24)
    if since < _SETTLED:
        heart += 5 * math.exp(-since / (10 * MINUTE))
    heart += 4 * (dream - deep) if asleep else 7.0
    if numbers.rhythm == _FIBRILLATION:
        heart += 9 * bell(dice, 0)
    elif numbers.rhythm == _PACED:
        heart = max(heart, 60.0)
    breath = numbers.respiration_rate + 0.9 * _wave(chance.breath, into) + chance.breath_shift
    breath += bell(dice, 1) * (0.4 + dream) + (0.0 if asleep else 2.0)
    return heart, breath


@compiled
def _mishaps(now: int, heart: float, breath: float, line: Any, pause: Any) -> Any:
    for k in range(len(line.kind)):
        if not line.begins[k] <= now < line.ends[k]:
            continue
        kind, since = line.kind[k], now - line.begins[k]
        onset = min(since / _RAMP, 1.0)
        if kind == _TACHYCARDIA:
            heart, breath = heart + onset * (132 - 0.8 * heart), breath + 5 * onset
        elif kind == _BRADYCARDIA:
            heart += onset * (30 - 0.9 * heart)
        elif kind == _GROWS:
            grown = min(since / line.grows[k, 0], 1.0)
            heart, breath = heart + line.grows[k, 1] * grown, breath + line.grows[k, 2] * grown
        elif pause:
            breath = 0.0
    return heart, breath


@compiled
def _movement(since: int, asleep: Any, numbers: Any, dice: Any, turn: Any) -> float:
    """Breathing and heartbeat alone give 0-6; a turn gives 20-90; lying down gives most.

    Before a 60-GHz module 0-34 % of the values of people lie below 2, half of them below 2 %; here 21 % do.
    """
    chance = numbers.turns_asleep if asleep else numbers.turns_awake
    if share(turn, 0) < chance or since < 20 * SECOND:
        return float(20 + 70 * share(turn, 1))
    return float(abs(2.6 + 1.4 * bell(dice, 2)))


@compiled
def _felt(heart: float, breath: float, phantom: Any, numbers: Any, dice: Any) -> Any:
    """What the sensor makes of the body, or of an empty bed."""
    if phantom:
        return numbers.phantom_heart + bell(dice, 3), numbers.phantom_respiration + 0.3 * bell(dice, 4)
    told = breath + numbers.respiration_noise * bell(dice, 4)
    return heart + numbers.heart_noise * bell(dice, 3), 0.0 if breath == 0 else told  # a pause is a measured zero


@compiled
def _tell(at: Any, line: Any, chance: Any, numbers: Any) -> Any:
    n = len(at)
    times, values, count = np.empty((3, n), np.int64), np.empty((4, n)), np.zeros(3, np.int64)
    no_heart, no_breath, in_phantom, in_pause = (
        within_bouts(at, chance.lost_heart), within_bouts(at, chance.lost_breath), within_bouts(at, chance.phantom),
        within_bouts(at, chance.pauses),
    )  # fmt: skip
    faint = within_bouts(at, chance.faint)
    step, was = 0, False
    for i in range(n):
        now = at[i]
        while step + 1 < len(line.start) and line.start[step + 1] <= now:
            step += 1
        present = line.place[step] == _BED
        told = present or present != was or i % numbers.slower == 0
        was = present
        if not told:
            continue
        dice, moved, heart, breath = hashed(now, 1000, chance.seed), 0.0, math.nan, math.nan
        phantom = not present and in_phantom[i]
        if present and line.act[step] != _STILL:
            since, asleep = now - line.start[step], line.act[step] == _SLEEP
            heart, breath = _alive(now, (since, asleep), numbers, chance, dice)
            heart, breath = _mishaps(now, heart, breath, line, in_pause[i])
            moved = _movement(since, asleep, numbers, dice, hashed(now, 1001, chance.seed))
        heart, breath = _felt(heart, breath, phantom, numbers, dice)
        dull = hashed(now, 1002, chance.seed) if faint[i] else dice
        if faint[i]:
            moved /= 3
        shaken = moved > 60  # a turn drowns the small signals
        times[2, count[2]], values[2, count[2]], values[3, count[2]] = now, np.rint(moved), 1.0 if present else 0.0
        count[2] += 1
        if not (math.isnan(heart) or no_heart[i] or shaken or (faint[i] and share(dull, 0) < 0.8)):
            times[0, count[0]], values[0, count[0]] = now, min(max(np.rint(heart), 25.0), 220.0)
            count[0] += 1
        if not (math.isnan(breath) or no_breath[i] or shaken or (faint[i] and share(dull, 1) < 0.8)):
            times[1, count[1]], values[1, count[1]] = now, min(max(np.rint(breath * 10) / 10, 0.0), 60.0)
            count[1] += 1
    h, b, k = count
    return (
        times[0, :h].copy(), values[0, :h].copy(), times[1, :b].copy(), values[1, :b].copy(), times[2, :k].copy(),
        values[2, :k].copy(), values[3, :k].copy(),
    )  # fmt: skip
