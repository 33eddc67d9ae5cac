"""Heart rate, respiration and movement of the resident in bed, by sleep stage, wakefulness, hour and mishap.

May import model and the simulator's scene, dice and life. Pure; rates are those of the body, before any sensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, Nanos
from mimamori.simulator.decline import DECLINE
from mimamori.simulator.dice import bouts, inside, knots, wave
from mimamori.simulator.life import UTC_OFFSET, Life, Place
from mimamori.simulator.scene import Act, Persona
from mimamori.simulator.truth import TruthEvent

_CYCLE = 95 * MINUTE  # of light, deep and dreaming sleep
_RAMP = 90 * SECOND  # an onset is not a step

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """The body at n moments. heart, breath: (n,) float64 1/min, NaN where there is none (or nobody). movement: (n,)
    float64 0-100, 0 where nobody is in bed. present: (n,) bool.
    """

    heart: Floats
    breath: Floats
    movement: Floats
    present: NDArray[np.bool_]

    def take(self, which: NDArray[np.intp]) -> Vitals:
        """The moments `which` (indexes)."""
        return Vitals(
            heart=self.heart[which], breath=self.breath[which], movement=self.movement[which],
            present=self.present[which],
        )  # fmt: skip


def vitals_of(
    life: Life, persona: Persona, at: Nanos, *, events: Sequence[TruthEvent], rng: np.random.Generator, begin: int
) -> Vitals:
    """The body at times `at` (n,) ns, ascending, within the day that begins at `begin`.

    Every draw is made for the whole day whatever the resident does, so that an event changes nothing but itself.
    """
    step = life.steps_at(at)
    present = life.place[step] == Place.BED
    day = _draw(rng, len(at), begin)
    period = float(at[-1] - at[0]) / max(len(at) - 1, 1) / (10 * SECOND)
    heart, breath, movement = np.full(len(at), np.nan), np.full(len(at), np.nan), np.zeros(len(at))
    here = np.flatnonzero(present & (life.act[step] != Act.STILL))
    if len(here):
        heart[here], breath[here], movement[here] = _alive(
            at[here], life.act[step[here]] == Act.SLEEP, at[here] - life.start[step[here]], persona, events=events,
            day=replace(day, each=day.each[:, here]), period=period,
        )  # fmt: skip
    return Vitals(heart=heart, breath=breath, movement=movement, present=present)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chance:
    """The chance of one day. each: (5, n) float32: heart, breath, movement (standard normal), turns, size (uniform).

    heart, breath: (k,) knots of slow waves; heart_shift, breath_shift: of the whole day. pauses: of breathing.
    """

    begin: int
    each: NDArray[np.float32]
    heart: Floats
    breath: Floats
    heart_shift: float
    breath_shift: float
    pauses: tuple[Nanos, Nanos]


def _draw(rng: np.random.Generator, n: int, begin: int) -> _Chance:
    each = np.empty((5, n), np.float32)
    rng.standard_normal(dtype=np.float32, out=each[:3])
    rng.random(dtype=np.float32, out=each[3:])
    return _Chance(
        begin=begin, each=each, heart=knots(rng, DAY), breath=knots(rng, DAY), heart_shift=rng.normal(0, 1.8),
        breath_shift=rng.normal(0, 0.5), pauses=bouts(rng, begin, DAY, 0.35, 25 * SECOND),
    )  # fmt: skip


def _alive(
    at: Nanos, asleep: NDArray[np.bool_], since: Nanos, persona: Persona, *, events: Sequence[TruthEvent],
    day: _Chance, period: float,
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """(heart, breath, movement) of somebody in bed at times `at` (n,), who has slept or lain awake for `since` (n,).

    period: cadence of the sensor in ten seconds: it sees a turn as often as it looks.
    """
    deep, dream = _depth(since)
    heart = persona.body.heart_rate + _heart_shift(at, since, day) + np.where(asleep, 4 * (dream - deep), 7.0)
    heart = _rhythm(heart, persona.body.rhythm, day.each[0])
    slow = 0.9 * wave(day.breath, at - day.begin) + day.breath_shift
    uneven = day.each[1] * (0.4 + dream)
    breath = persona.body.respiration_rate + slow + uneven + np.where(asleep, 0.0, 2.0)
    for event in events:
        heart, breath = _mishap(event, at, heart, breath, day.pauses)
    return heart, breath, _movement(since, asleep, persona.sleep.restless * period, day.each[2:])


def _depth(since: Nanos) -> tuple[Floats, Floats]:
    """(deep sleep, dreaming), each 0-1: deep sleep fades over the night, dreaming grows."""
    cycle = (since % _CYCLE) / _CYCLE
    late = np.clip(since / (6 * HOUR), 0, 1)
    return np.sin(np.pi * cycle) ** 2 * (1 - 0.7 * late), np.clip((cycle - 0.75) * 4, 0, 1) * (0.4 + 0.6 * late)


def _heart_shift(at: Nanos, since: Nanos, day: _Chance) -> Floats:
    hour = ((at + UTC_OFFSET) % DAY) / HOUR
    circadian = -2.5 * np.cos(2 * np.pi * (hour - 4) / 24)
    settling = 5 * np.exp(-since / (10 * MINUTE))
    return np.asarray(circadian + settling + 2.0 * wave(day.heart, at - day.begin) + day.heart_shift)


def _rhythm(heart: Floats, rhythm: str, beat: NDArray[np.float32]) -> Floats:
    if rhythm == "fibrillation":
        return np.asarray(heart + 9 * beat)
    return np.asarray(np.maximum(heart, 60.0)) if rhythm == "paced" else heart


def _movement(since: Nanos, asleep: NDArray[np.bool_], restless: float, chance: NDArray[np.float32]) -> Floats:
    """Breathing and heartbeat alone give 0-6; a turn gives 20-90; lying down gives most.

    Before a 60-GHz module 0-34 % of the values of people lie below 2, half of them below 2 %; here 21 % do.
    """
    turns = chance[1] < np.minimum(np.where(asleep, 0.012, 0.1) * restless, 0.9)
    quiet, size = np.abs(2.6 + 1.4 * chance[0]), 20 + 70 * chance[2]
    return np.asarray(np.where(turns | (since < 20 * SECOND), size, quiet))


_GROWING: Mapping[str, tuple[int, float, float]] = {
    "fever": (6 * HOUR, 22, 7), "heat-stroke": (2 * HOUR, 35, 8), "slow-decline": (DECLINE, 6, 0),
}  # fmt: skip
"""Kinds that grow: (time to the full of it, heart rate, respiration), both added in 1/min."""


def _mishap(
    event: TruthEvent, at: Nanos, heart: Floats, breath: Floats, pauses: tuple[Nanos, Nanos]
) -> tuple[Floats, Floats]:
    now = (at >= event.start) & (at < event.end)
    onset = np.clip((at - event.start) / _RAMP, 0, 1)
    match event.kind:
        case "tachycardia":
            return np.where(now, heart + onset * (132 - 0.8 * heart), heart), np.where(now, breath + 5 * onset, breath)
        case "bradycardia":
            return np.where(now, heart + onset * (30 - 0.9 * heart), heart), breath
        case kind if kind in _GROWING:
            span, more_heart, more_breath = _GROWING[kind]
            share = np.where(now, np.clip((at - event.start) / span, 0, 1), 0)
            return heart + more_heart * share, breath + more_breath * share
        case "apnoea":
            return heart, np.where(now & inside(at, *pauses), 0.0, breath)
        case _:
            return heart, breath
