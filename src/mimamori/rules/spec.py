"""A rule as staff write it, read from an already parsed table, with every mistake collected.

May import model only. One rule a file; the file's name is the rule's name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mimamori.model.alert import Category, Priority
from mimamori.model.content import Content, ContentError, Duration, Text, validate
from mimamori.model.metrics import Metrics
from mimamori.model.times import HOUR, MINUTE

SIGNS = ("motion", "bed", "door", "power", "button")
"""Channels of evidence, in column order: which kind of sensor a sign of life came from."""


LARGEST = 60_000.0  # of a metric whose daily figures are kept in two bytes


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
    power_alone_false_alarm_in: Duration = Field(default=18 * 24 * HOUR, gt=0)
    forget_after: Duration = Field(default=35 * 24 * HOUR, gt=0)
    quiet_at_least: Duration = Field(default=HOUR, ge=0)
    at_most: Duration = Field(default=24 * HOUR, gt=0)
    out_at_least: Duration = Field(default=24 * HOUR, gt=0)
    out_at_most: Duration = Field(default=44 * HOUR, gt=0)
    out_high_after: float = Field(default=1.5, ge=1.0)
    movement_from: float = 10.0


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


Condition = Annotated[
    Evidence
    | Band
    | Usual
    | Away
    | Absent
    | Rise
    | Climate
    | Cooling
    | Count
    | Drift
    | Silent
    | Stay
    | CutOff
    | Outage
    | Overdue
    | Unexpected
    | Flapping,
    Field(discriminator="kind"),
]


class Example(Content):
    """A few readings ("02:00 bed in_bed 1"; "02:00-03:00 every 1m bed heart_rate 60") and the verdicts expected
    ("02:40 firing"). Times are on the wall clock of one invented day, which may run past 24:00; `usual`: the readings
    of each of the `days_before`; `lately`: instead of them, on the last `days_lately` of those days. `absences`:
    "08:00-30:00", declared on the invented day.
    """

    name: str
    days_before: int = Field(default=0, ge=0, le=60)
    usual: tuple[str, ...] = ()
    days_lately: int = Field(default=0, ge=0, le=60)
    lately: tuple[str, ...] = ()
    absences: tuple[str, ...] = ()
    readings: tuple[str, ...]
    expect: tuple[str, ...]


class Rule(Content):
    """One rule: what it is called, why it is there, when it fires, and examples that prove it."""

    name: str
    title: Text
    why: Text
    category: Category
    priority: Priority
    condition: Condition
    bounds: dict[str, tuple[float | str, float | str]] = Field(default_factory=dict)
    example: tuple[Example, ...] = ()


def read_rules(
    tables: Mapping[str, Mapping[str, Any]], metrics: Metrics
) -> tuple[tuple[Rule, ...], list[ContentError]]:
    """Rules sorted by name from parsed tables by file stem, and every mistake found in them."""
    rules: list[Rule] = []
    errors: list[ContentError] = []
    for name, table in sorted(tables.items()):
        file = f"rules/{name}.toml"
        rule, mistakes = validate(Rule, {"name": name, **table}, file)
        errors += [e for e in mistakes if e.key != "name"]
        if rule is not None:
            errors += _cross_check(rule, file, metrics)
            rules.append(rule)
    return tuple(rules), errors + _check_watched(rules, tables)


def watched(rule: Rule, rules: Sequence[Rule]) -> list[Rule]:
    """The rules whose verdicts this one looks at: it says nothing without them."""
    return [r for r in rules if isinstance(rule.condition, Flapping) and r.name in rule.condition.of]


def _check_watched(rules: Sequence[Rule], names: Collection[str]) -> list[ContentError]:
    """Whether what flapping rules look at is there, and is told of devices or of households as they say."""
    errors, kinds = [], {r.name: isinstance(r.condition, Silent) for r in rules}
    for rule in rules:
        if not isinstance(condition := rule.condition, Flapping):
            continue
        file = f"rules/{rule.name}.toml"
        for name in condition.of:
            if name not in names:
                known = ", ".join(sorted(kinds))
                errors.append(ContentError(file, "condition.of", f'no rule is called "{name}"', f"known: {known}"))
            elif name in kinds and kinds[name] != (condition.each == "device"):
                reason = f'"{name}" is not told of each {condition.each}'
                mend = 'devices are told of by kind = "silent" alone; all else is of the home'
                errors.append(ContentError(file, "condition.of", reason, mend))
    return errors


def _cross_check(rule: Rule, file: str, metrics: Metrics) -> Sequence[ContentError]:
    found = []
    if isinstance(rule.condition, Evidence) and not rule.name.startswith("inactivity"):
        found.append(
            ContentError(file, "condition.kind", "a rule about lack of activity must be named inactivity...",
                         f"rename the file to inactivity-{rule.name}.toml")
        )  # fmt: skip
    if isinstance(rule.condition, Band | Drift) and rule.condition.metric not in metrics:
        found.append(
            ContentError(file, "condition.metric", f'no profile and no base metric is called "{rule.condition.metric}"',
                         "use a metric of sensors/README.md")
        )  # fmt: skip
    if isinstance(rule.condition, Drift) and rule.condition.metric in metrics:
        metric = metrics[metrics.index(rule.condition.metric)]
        if metric.nature not in {"level", "state"} or max(-metric.low, metric.high) > LARGEST:
            found.append(
                ContentError(file, "condition.metric", f'"{metric.name}" has no mean over a day that could drift',
                             "use a level or a state, such as in_bed, heart_rate or power")
            )  # fmt: skip
    words = {line.rsplit(" ", 1)[-1] for e in rule.example for line in e.expect}
    if "firing" not in words or not words & {"clear", "pending", "unknown"}:
        found.append(
            ContentError(file, "example", "needs one example that fires and one that does not",
                         'add [[example]] with expect = ["02:40 firing"], and another with "... clear"')
        )  # fmt: skip
    return found
