"""How noisy a simulation is: a household's kit and persona with more or less loss, error, phantoms and variation.

May import model and the simulator's scene. Pure.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from mimamori.simulator.scene import Kit, Noise, Persona

T = TypeVar("T", bound=BaseModel)

_MOST = 0.6
"""No share is scaled above this: a sensor that is mostly wrong is a broken one, not a noisy one."""


def noisy_kit(kit: Kit, noise: Noise) -> Kit:
    """The kit with its loss, errors and phantoms scaled."""
    parts = {
        "bed": kit.bed and _scaled(kit.bed, lost=noise.lost, heart_noise=noise.error, respiration_noise=noise.error,
                                   phantom=noise.phantom),
        "motion": kit.motion and _scaled(kit.motion, missed=noise.lost),
        "door": kit.door and _scaled(kit.door, missed=noise.lost),
        "meter": kit.meter and _scaled(kit.meter, noise=noise.error),
        "climate": kit.climate and _scaled(kit.climate, noise=noise.error),
    }  # fmt: skip
    return _scaled(kit, lost=noise.lost).model_copy(update=parts)


def varied_persona(persona: Persona, noise: Noise) -> Persona:
    """The persona with days that differ more or less from each other."""
    by = noise.days
    parts = {
        "sleep": _scaled(persona.sleep, bed_spread=by, rise_spread=by, wander_chance=by),
        "meals": _scaled(persona.meals, spread=by, skip_chance=by),
    }
    return persona.model_copy(update=parts)


_SHARES = frozenset({"lost", "missed", "phantom", "skip_chance", "wander_chance"})


def _scaled(record: T, **factors: float) -> T:
    """The record with fields multiplied: shares stay shares, durations whole nanoseconds, a factor of 1 nothing."""
    changed: dict[str, float | int] = {}
    for name, factor in factors.items():
        now = getattr(record, name)
        if factor == 1:
            continue
        more = now * factor
        if name in _SHARES:
            more = min(more, max(_MOST, now))
        changed[name] = int(more) if isinstance(now, int) else more
    return record.model_copy(update=changed)
