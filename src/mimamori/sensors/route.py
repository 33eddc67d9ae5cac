"""Topics: what a message's topic says it is and which device sent it, and the way back.

May import model and sensors.profile. Pure; a device that the registry does not know has no route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mimamori.model.homes import Homes
from mimamori.sensors.profile import TOPIC_ROOT, Profile, TopicMap
from mimamori.sensors.sample import Mistake

Kind = Literal["readings", "status", "wave"]
_KINDS = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a topic leads: household row, device row, and how its payload is to be read."""

    kind: Literal["readings", "status", "wave", "mapped"]
    home: int
    device: int
    entry: TopicMap | None = None  # for "mapped"


def topic_of(household: str, device: str, kind: Kind = "readings") -> str:
    """The contract's topic."""
    return f"{TOPIC_ROOT}/{household}/{device}/{kind}"


def find_route(topic: str, homes: Homes, profiles: Sequence[Profile]) -> Route:
    """The route of a topic. Raises Mistake for a topic nobody speaks and for a device that is not registered."""
    parts = topic.split("/")
    if "/".join(parts[:2]) == TOPIC_ROOT:
        if len(parts) != 5 or parts[4] not in _KINDS:
            raise Mistake("bad-topic", f"publish to {TOPIC_ROOT}/HOUSEHOLD/DEVICE/{{{'|'.join(_KINDS)}}}")
        home, device = homes.find(parts[2]), homes.find_device(parts[2], parts[3])
        if device < 0 or device in homes.retired:
            raise _unknown(parts[2], parts[3])
        return Route(kind=parts[4], home=home, device=device)  # type: ignore[arg-type]
    stranger: Mistake | None = None
    for profile in profiles:
        for entry in profile.mapping:
            match = entry.pattern.fullmatch(topic)
            if match is None:
                continue
            device = homes.find_device(match["household"], match["device"])
            if device < 0 or device in homes.retired:
                stranger = _unknown(match["household"], match["device"])
            elif homes.profile_of[device] == profile.name:
                return Route(kind="mapped", home=homes.find(match["household"]), device=device, entry=entry)
            else:
                stranger = Mistake(
                    "unknown-device", f'register the device with profile "{profile.name}" for this topic'
                )
    raise stranger or Mistake("bad-topic", f"publish under {TOPIC_ROOT}/, or add a mapping to the device's profile")


def _unknown(household: str, device: str) -> Mistake:
    return Mistake("unknown-device", f'register device "{device[:64]}" of household "{household[:64]}" first')
