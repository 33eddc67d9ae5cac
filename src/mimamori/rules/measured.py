"""What a rule may ask about measured values: vital signs, the climate of the room, slow changes. As staff write it.

May import model and rules.life. Times are ns, temperatures °C.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mimamori.model.alert import Priority
from mimamori.model.content import Content, Duration
from mimamori.model.times import HOUR, MINUTE
from mimamori.rules.life import TimeOfDay

LARGEST = 60_000.0  # of a metric whose daily figures are kept in two bytes


class Band(Content):
    """A measured value outside limits for a time."""

    kind: Literal["band"]
    metric: str
    of: Literal["mean", "least"] = "mean"
    low: dict[Priority, float] = Field(default_factory=dict)
    high: dict[Priority, float] = Field(default_factory=dict)
    hold: Duration
    out_of: Duration
    clear_margin: float = 0.0
    clear_after: Duration
    backed_by: Literal["bed or movement", "nothing"] = "bed or movement"
    movement_from: float = 8.0
    unknown_after: Duration

    @model_validator(mode="after")
    def _check(self) -> Band:
        if not self.low and not self.high:
            msg = "has neither low nor high limits; add one, such as low = { high = 40 }"
            raise ValueError(msg)
        if self.of == "least" and self.high:
            msg = 'the least value of a minute has low limits only; remove high, or write of = "mean"'
            raise ValueError(msg)
        if not MINUTE <= self.hold <= self.out_of <= 32 * MINUTE:
            msg = 'hold must be at most out_of, at least 1m, out_of at most 32m; write hold = "5m", out_of = "6m"'
            raise ValueError(msg)
        return self


class Usual(Content):
    """A measured value outside this household's own usual band, for most of the last 32 minutes in bed."""

    kind: Literal["usual"]
    metric: str
    deviations: float = Field(gt=0)
    at_least: float = Field(ge=0)
    by_day: TimeOfDay = TimeOfDay(begin=9 * HOUR, end=20 * HOUR)
    wider_by_day: float = Field(default=1.0, ge=1.0)
    hold: Duration
    clear_below: Duration
    unknown_after: Duration

    @model_validator(mode="after")
    def _check(self) -> Usual:
        if not MINUTE <= self.clear_below < self.hold <= 32 * MINUTE:
            msg = 'hold must be more than clear_below and at most 32m; write hold = "25m", clear_below = "8m"'
            raise ValueError(msg)
        return self


class Drift(Content):
    """A figure of the day, the mean of a metric over a part of it, that slowly leaves the household's own weeks."""

    kind: Literal["drift"]
    metric: str
    between: TimeOfDay
    least_change: float = Field(gt=0)
    seen_at_least: float = Field(default=0.5, gt=0, le=1)
    learn_weeks: int = Field(default=3, ge=2, le=26)
    note_at: float = Field(default=4.0, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Drift:
        begin, end = self.between.begin, self.between.end
        if begin % (10 * MINUTE) or end % (10 * MINUTE) or begin == end:
            msg = 'between must be some time, from and to a whole ten minutes; write "01:00-05:00" or "00:00-24:00"'
            raise ValueError(msg)
        return self


class Climate(Content):
    """A room too hot or too cold, for a time that depends on how far."""

    kind: Literal["climate"]
    measure: Literal["wbgt", "temperature"]
    low: dict[Priority, float] = Field(default_factory=dict)
    high: dict[Priority, float] = Field(default_factory=dict)
    hold: dict[Priority, Duration]
    clear_margin: float = Field(default=1.0, ge=0)
    clear_after: Duration
    unknown_after: Duration
    while_absent: Literal["hold", "watch"] = "hold"

    @model_validator(mode="after")
    def _check(self) -> Climate:
        if bool(self.low) == bool(self.high) or (self.low and self.measure == "wbgt"):
            msg = "needs either high limits or, of temperature, low ones; write high = { medium = 28, high = 31 }"
            raise ValueError(msg)
        if set(self.hold) != set(self.low or self.high):
            msg = 'needs a hold for each of its limits; write hold = { medium = "30m", high = "15m" }'
            raise ValueError(msg)
        return self


class Cooling(Content):
    """A room that falls well below the coldest of its own days, or below what is usual while somebody is up."""

    kind: Literal["cooling"]
    drop: float = Field(default=3.0, gt=0)
    drop_unheated: float = Field(default=2.0, gt=0)
    below_coldest: float = Field(default=1.5, gt=0)
    only_below: float = 18.0
    start_coldest: float = 13.0
    start_up: float = 19.0
    high_below: float = 12.0
    hold: Duration
    unknown_after: Duration
    while_absent: Literal["hold", "watch"] = "hold"

    @model_validator(mode="after")
    def _check(self) -> Cooling:
        if not 10 * MINUTE <= self.hold <= 24 * HOUR:
            msg = 'hold is looked at every ten minutes; write at least "10m" and at most "24h"'
            raise ValueError(msg)
        if self.drop_unheated > self.drop:
            msg = "drop_unheated must be at most drop: with the heating's power gone less is needed"
            raise ValueError(msg)
        return self
