"""Which households are simulated: persona, home and kit dealt by weight, and the devices that follow from the kit.

May import model and the simulator's scene and dice. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mimamori.model.content import Text
from mimamori.model.homes import Homes
from mimamori.model.times import SECOND
from mimamori.simulator.dice import Use, generator
from mimamori.simulator.noise import noisy_kit, varied_persona
from mimamori.simulator.scene import House, Kit, Noise, Persona, Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDevice:
    """A device as it is registered: id within the household, and the name of its profile in sensors/."""

    id: str
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedHome:
    """A household: id and number (from 0, part of its seed), the names of its content, the content, its devices."""

    id: str
    number: int
    persona_name: str
    house_name: str
    kit_name: str
    persona: Persona
    house: House
    kit: Kit
    devices: tuple[SimulatedDevice, ...]


class _Weighted(Protocol):
    @property
    def weight(self) -> int: ...


def households(
    scene: Scene, *, count: int, seed: int, bed_every: int | None = None, noise: str = "default"
) -> tuple[SimulatedHome, ...]:
    """Households home-001, home-002, ... (more digits beyond 999).

    Each kind is dealt like cards of a shuffled pack that holds it `weight` times, so that a dozen households already
    meet every persona. bed_every: cadence of all bed sensors in ns, instead of the kits' own. noise: one of the
    scene's levels; the same people in the same homes at each. Raises ValueError if there is no such level, or the scene
    lacks a persona, home or kit of weight 1 or more.
    """
    level = _level(scene, noise)
    rng = generator(seed, Use.HOMES)
    digits = max(3, len(str(count)))
    personas, houses, kits = (_deal(pack, count, rng) for pack in (scene.personas, scene.houses, scene.kits))
    made = []
    for number, (persona, house, kit_name) in enumerate(zip(personas, houses, kits, strict=True)):
        kit = noisy_kit(scene.kits[kit_name], level)
        if kit.bed and bed_every is not None:
            bed = kit.bed.model_copy(
                update={"every": max(bed_every, SECOND), "idle_every": max(kit.bed.idle_every, bed_every)}
            )
            kit = kit.model_copy(update={"bed": bed})
        made.append(
            SimulatedHome(
                id=f"home-{number + 1:0{digits}d}", number=number, persona_name=persona, house_name=house,
                kit_name=kit_name, persona=varied_persona(scene.personas[persona], level),
                house=scene.houses[house], kit=kit, devices=_devices(kit),
            )
        )  # fmt: skip
    return tuple(made)


def registry(homes: Iterable[SimulatedHome]) -> Homes:
    """The households and devices with the rows that simulated batches give them."""
    made = Homes()
    for home in homes:
        for device in home.devices:
            made.add_device(home.id, device.id, device.profile)
    return made


def _level(scene: Scene, name: str) -> Noise:
    found = scene.noises.get(name)
    if found is None and name != "default":
        msg = f'no noise level "{name}"; choose one of {", ".join(sorted({"default", *scene.noises}))}'
        raise ValueError(msg)
    return found or Noise(title=Text(ja="標準の雑音", en="Default noise"))


def _deal(found: Mapping[str, _Weighted], count: int, rng: np.random.Generator) -> list[str]:
    pack = [name for name in sorted(found) for _ in range(found[name].weight)]
    if not pack:
        msg = "the scene lacks a persona, home or sensors file with a weight of 1 or more; add one to simulator/"
        raise ValueError(msg)
    dealt: list[str] = []
    while len(dealt) < count:
        dealt += [pack[i] for i in rng.permutation(len(pack))]
    return dealt[:count]


def _devices(kit: Kit) -> tuple[SimulatedDevice, ...]:
    pairs = [("gateway", "gateway")]
    if kit.bed:
        pairs.append(("bed", "bed-sensor"))
    if kit.meter:
        pairs.append(("meter", "power-meter"))
    if kit.door:
        pairs.append(("door", "door-sensor"))
    if kit.climate:
        pairs.append(("climate", "room-climate"))
    if kit.motion:
        pairs += [(f"motion-{room}", "motion-sensor") for room in kit.motion.rooms]
    return tuple(SimulatedDevice(id=device, profile=profile) for device, profile in pairs)
