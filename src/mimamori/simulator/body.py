"""Heart rate, respiration and movement of the resident in bed, by sleep stage, wakefulness, hour and mishap.

May import model and the simulator's scene, dice and life. Pure; rates are those of the body, before any sensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, Nanos
from mimamori.simulator.decline import DECLINE
from mimamori.simulator.dice import bouts, inside, wave
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


def vitals_of(
    life: Life, persona: Persona, at: Nanos, *, events: Sequence[TruthEvent], rng: np.random.Generator, begin: int
) -> Vitals:
    """The body at times `at` (n,) ns, ascending, within the day that begins at `begin`.

    Every draw is made for the whole day whatever the resident does, so that an event changes nothing but itself.
    """
    step = life.steps_at(at)
    act, present = life.act[step], life.place[step] == Place.BED
    asleep = present & (act == Act.SLEEP)
    since = at - life.start[step]
    deep, dream = _depth(since)
    heart = persona.body.heart_rate + _heart_shift(at, since, np.where(asleep, 4 * (dream - deep), 7.0), rng, begin)
    heart = _rhythm(heart, persona.body.rhythm, rng)
    breath = persona.body.respiration_rate + _breath_shift(dream, asleep, rng, at, begin)
    movement = _movement(at, since, asleep, persona.sleep.restless, rng)
    pauses = bouts(rng, begin, DAY, 0.35, 25 * SECOND)
    for event in events:
        heart, breath = _mishap(event, at, heart, breath, pauses)
    gone = ~present | (act == Act.STILL)
    return Vitals(
        heart=np.where(gone, np.nan, heart), breath=np.where(gone, np.nan, breath),
        movement=np.where(gone, 0.0, movement), present=present,
    )  # fmt: skip


def _depth(since: Nanos) -> tuple[Floats, Floats]:
    """(deep sleep, dreaming), each 0-1: deep sleep fades over the night, dreaming grows."""
    cycle = (since % _CYCLE) / _CYCLE
    late = np.clip(since / (6 * HOUR), 0, 1)
    return np.sin(np.pi * cycle) ** 2 * (1 - 0.7 * late), np.clip((cycle - 0.75) * 4, 0, 1) * (0.4 + 0.6 * late)


def _heart_shift(at: Nanos, since: Nanos, stage: Floats, rng: np.random.Generator, begin: int) -> Floats:
    hour = ((at + UTC_OFFSET) % DAY) / HOUR
    circadian = -2.5 * np.cos(2 * np.pi * (hour - 4) / 24)
    settling = 5 * np.exp(-since / (10 * MINUTE))
    slow = 2.0 * wave(rng, at, begin, DAY) + rng.normal(0, 1.8)
    return np.asarray(circadian + settling + slow + stage)


def _rhythm(heart: Floats, rhythm: str, rng: np.random.Generator) -> Floats:
    beat = rng.standard_normal(len(heart))
    if rhythm == "fibrillation":
        return heart + 9 * beat
    return np.maximum(heart, 60.0) if rhythm == "paced" else heart


def _breath_shift(dream: Floats, asleep: NDArray[np.bool_], rng: np.random.Generator, at: Nanos, begin: int) -> Floats:
    slow = 0.9 * wave(rng, at, begin, DAY) + rng.normal(0, 0.5)
    uneven = rng.standard_normal(len(at))
    return np.asarray(slow + uneven * (0.4 + dream) + np.where(asleep, 0.0, 2.0))


def _movement(at: Nanos, since: Nanos, asleep: NDArray[np.bool_], restless: float, rng: np.random.Generator) -> Floats:
    """Breathing and heartbeat alone give 0-6; a turn gives 20-90; lying down gives most.

    Before a 60-GHz module 0-34 % of the values of people lie below 2, half of them below 2 %; here 21 % do.
    """
    period = float(np.median(np.diff(at))) / (10 * SECOND) if len(at) > 1 else 1.0
    turns = rng.random(len(at)) < np.minimum(np.where(asleep, 0.012, 0.1) * restless * period, 0.9)
    quiet, size = np.abs(rng.normal(2.6, 1.4, len(at))), rng.uniform(20, 90, len(at))
    return np.where(turns | (since < 20 * SECOND), size, quiet)


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
