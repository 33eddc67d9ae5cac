"""What a rule may ask about the equipment: silence of devices, homes and districts, and what flaps. As staff write it.

May import model only. Times are ns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mimamori.model.content import Content, Duration
from mimamori.model.times import HOUR, MINUTE


class Silent(Content):
    """A device that says nothing for longer than its own cadence explains."""

    kind: Literal["silent"]
    periods: float = Field(default=3.0, ge=1.0)
    at_least: Duration
    at_most: Duration


class CutOff(Content):
    """A home none of whose devices says anything."""

    kind: Literal["cut-off"]
    periods: float = Field(default=3.0, ge=1.0)
    at_least: Duration = Field(gt=0)
    at_most: Duration
    gateways: tuple[str, ...] = ("gateway",)
    offline_for: Duration = 2 * MINUTE
    medium_after: Duration = 2 * HOUR
    held_for: Duration = 6 * HOUR

    @model_validator(mode="after")
    def _check(self) -> CutOff:
        if not self.offline_for <= self.at_least <= self.at_most <= self.held_for:
            msg = 'offline_for, at_least, at_most and held_for must grow; write "2m", "10m", "2h" and "6h"'
            raise ValueError(msg)
        return self


class Outage(Content):
    """Many homes that fall silent together."""

    kind: Literal["outage"]
    of: Literal["district", "everybody"]
    households: int = Field(default=5, ge=2)
    share: float = Field(gt=0, le=1)
    share_of_all: float = Field(default=0.05, gt=0, le=1)
    periods: float = Field(default=2.0, ge=1.0)
    quiet_for: Duration = Field(default=3 * MINUTE, ge=2 * MINUTE)
    within: Duration = Field(default=10 * MINUTE, gt=0)
    gateways: tuple[str, ...] = ("gateway",)


class Flapping(Content):
    """What other rules tell turns on and off over and over."""

    kind: Literal["flapping"]
    of: Annotated[tuple[str, ...], Field(min_length=1)]
    each: Literal["device", "home"]
    look: Duration = Field(default=30 * MINUTE, ge=MINUTE)
    begins_at: float = Field(default=0.3, gt=0, le=1)
    ends_below: float = Field(default=0.2, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Flapping:
        if 24 * HOUR % self.look or self.look % MINUTE:
            msg = 'a day must be whole looks, and a look whole minutes; write look = "30m"'
            raise ValueError(msg)
        if self.ends_below > self.begins_at:
            msg = "ends_below must be at most begins_at; write 0.2 and 0.3"
            raise ValueError(msg)
        return self
