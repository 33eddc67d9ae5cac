"""What a rule may ask about the resident: signs of life, nights, mornings, absences. As staff write it.

May import model only. Times are ns.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from mimamori.model.alert import Priority
from mimamori.model.content import Content, Duration
from mimamori.model.times import HOUR, MINUTE

SIGNS = ("motion", "bed", "door", "power", "button")
"""Channels of evidence, in column order: which kind of sensor a sign of life came from."""


class TimeOfDay(Content):
    """Part of the day as "22:00-06:00" (may pass midnight), in nanoseconds after local midnight."""

    begin: int
    end: int

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", value)
        if found is None:
            msg = f'"{value}" is not a part of the day; write it as "22:00-06:00"'
            raise ValueError(msg)
        h1, m1, h2, m2 = (int(part) for part in found.groups())
        return {"begin": h1 * HOUR + m1 * MINUTE, "end": h2 * HOUR + m2 * MINUTE}

    @property
    def length(self) -> int:
        """How long it is, in nanoseconds: more than none, at most a day."""
        return (self.end - self.begin - 1) % (24 * HOUR) + 1

    def holds(self, time_of_day: int) -> bool:
        """Whether a time of day (ns after midnight) lies in it."""
        if self.begin <= self.end:
            return self.begin <= time_of_day < self.end
        return time_of_day >= self.begin or time_of_day < self.end


class Evidence(Content):
    """No sign of life: evidence summed against this household's own habit."""

    kind: Literal["evidence"]
    signs: tuple[Literal["motion", "bed", "door", "power", "button"], ...] = SIGNS  # type: ignore[assignment]
    one_false_alarm_in: Duration = Field(default=45 * 24 * HOUR, gt=0)
    call_after: float = Field(default=3.0, ge=1.0)
    call_after_with_bed: float = Field(default=4.0, ge=1.0)
    power_alone_false_alarm_in: Duration = Field(default=18 * 24 * HOUR, gt=0)
    forget_after: Duration = Field(default=35 * 24 * HOUR, gt=0)
    quiet_at_least: Duration = Field(default=HOUR, ge=0)
    at_most: Duration = Field(default=24 * HOUR, gt=0)
    out_at_least: Duration = Field(default=16 * HOUR, gt=0)
    out_at_most: Duration = Field(default=44 * HOUR, gt=0)
    out_high_after: float = Field(default=1.5, ge=1.0)
    movement_from: float = 10.0


class Away(Content):
    """Left the bed in a part of the day and has not come back for longer than is usual for this household."""

    kind: Literal["away"]
    between: TimeOfDay
    start_limit: Duration
    shortest_limit: Duration
    longest_limit: Duration
    no_sign_for: Duration
    high_after: float = Field(default=2.0, ge=1.0)


class Absent(Content):
    """In bed, and neither breathing nor heartbeat nor movement seen by a sensor that saw them minutes ago."""

    kind: Literal["absent"]
    confirm: Duration
    confirm_at_most: Duration
    seen_within: Duration
    sensor_within: Duration

    @model_validator(mode="after")
    def _check(self) -> Absent:
        if not self.confirm <= self.confirm_at_most < self.seen_within:
            msg = 'confirm, confirm_at_most and seen_within must grow; write "60s", "5m" and "10m"'
            raise ValueError(msg)
        return self


class Rise(Content):
    """Still in bed, long after this household's usual time of rising. Times of day are counted from midnight."""

    kind: Literal["rise"]
    between: TimeOfDay
    up_for: Duration
    margin: Duration
    start_limit: Duration
    latest: Duration
    high_after: Duration = 2 * HOUR

    @model_validator(mode="after")
    def _check(self) -> Rise:
        begin, end = self.between.begin, self.between.end
        if not (begin < self.start_limit <= end and begin < self.latest <= end):
            msg = 'start_limit and latest must lie in between; write "11h" and "13h"'
            raise ValueError(msg)
        return self


class Stay(Content):
    """In bed for much longer than on this household's own days: by day, or in the last 24 hours in all."""

    kind: Literal["stay"]
    by_day: TimeOfDay
    more_by_day: dict[Priority, Duration]
    more_in_all: dict[Priority, Duration]
    hold: Duration
    deviations: float = Field(default=3.5, gt=0)
    start_by_day: Duration = Field(default=HOUR, ge=0)
    start_in_all: Duration = Field(default=9 * HOUR, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Stay:
        if set(self.more_by_day) != set(self.more_in_all) or not self.more_by_day:
            msg = 'more_by_day and more_in_all need the same priorities; write { low = "3h", medium = "5h" }'
            raise ValueError(msg)
        for more in (self.more_by_day, self.more_in_all):
            hours = [more[p] for p in ("low", "medium", "high") if p in more]
            if hours != sorted(hours):
                msg = 'a higher priority needs more time in bed; write { low = "3h", medium = "5h" }'
                raise ValueError(msg)
        if self.hold % (10 * MINUTE) or not 10 * MINUTE <= self.hold <= 24 * HOUR:
            msg = 'hold is looked at every ten minutes; write a multiple, such as "30m"'
            raise ValueError(msg)
        if self.by_day.begin % (10 * MINUTE) or self.by_day.end % (10 * MINUTE):
            msg = 'by_day must be from and to a whole ten minutes; write "09:00-19:00"'
            raise ValueError(msg)
        return self


class Count(Content):
    """Too many minutes up and about in a window of the night, for this household."""

    kind: Literal["count"]
    between: TimeOfDay
    window: Duration = Field(ge=10 * MINUTE, le=50 * MINUTE)
    start_limit: float = Field(gt=0)
    lowest_limit: float = Field(gt=0)
    highest_limit: float = Field(gt=0)
    settled_after: Duration = Field(default=45 * MINUTE, gt=0)
    pending_at: float = Field(default=0.6, gt=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Count:
        whole = self.window // MINUTE
        if not (self.lowest_limit <= self.highest_limit <= whole and self.start_limit <= whole):
            msg = "lowest_limit, highest_limit and the window's minutes must grow; write 10 and 25"
            raise ValueError(msg)
        return self


class Overdue(Content):
    """A declared absence is over, and no sign of life has told of the return."""

    kind: Literal["overdue"]
    after: dict[Priority, Duration]
    longest: Duration = Field(default=30 * 24 * HOUR, gt=0)
    early: Duration = Field(default=2 * HOUR, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Overdue:
        if not self.after:
            msg = 'needs at least one priority; write after = { medium = "3h", high = "12h" }'
            raise ValueError(msg)
        return self


class Unexpected(Content):
    """Several signs of life in a home whose resident is declared away."""

    kind: Literal["unexpected"]
    least: Duration
    window: Duration = Field(default=HOUR)
    leaves_within: Duration = Field(default=2 * HOUR, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Unexpected:
        cell = 5 * MINUTE
        if self.least % cell or self.window % cell or not cell <= self.least <= self.window <= 16 * cell:
            msg = 'least and window are counted in five minutes, window at most 80m; write "15m" and "1h"'
            raise ValueError(msg)
        return self
