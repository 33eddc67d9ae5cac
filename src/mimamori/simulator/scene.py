"""The content of simulator/: personas, homes and kits of sensors, as frozen records, with every mistake reported.

May import model. Does no I/O (tables come in parsed), draws nothing, reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mimamori.model.content import Content, ContentError, Duration, Text, validate
from mimamori.model.times import HOUR, MINUTE, SECOND

RoomName = Literal["bedroom", "hall", "toilet", "bathroom", "kitchen", "living"]
ROOMS: tuple[RoomName, ...] = ("bedroom", "hall", "toilet", "bathroom", "kitchen", "living")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Act(IntEnum):
    """What the resident is doing; homes' appliances name these in small letters."""

    SLEEP = 0
    LIE = 1  # awake in bed
    RISE = 2  # getting up, dressing
    WASH = 3
    TOILET = 4
    COOK = 5
    EAT = 6
    TIDY = 7
    TEA = 8
    TV = 9
    CHORE = 10
    WALK = 11
    SIT = 12  # quiet, awake: reading, telephone
    NAP = 13  # asleep on the sofa
    BATH = 14
    DOOR = 15  # at the front door, without going out
    OUT = 16
    DOWN = 17  # lies somewhere and cannot get up
    STILL = 18  # in bed, without breath, heartbeat or movement


ActName = Literal[
    "sleep", "lie", "rise", "wash", "toilet", "cook", "eat", "tidy", "tea", "tv", "chore", "walk", "sit", "nap", "bath",
]  # fmt: skip


def _time_of_day(text: object) -> int:
    hour, colon, minute = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not (colon and hour.isdigit() and minute.isdigit() and int(hour) < 30 and int(minute) < 60):
        msg = f'{text!r} is not a time of day; write "HH:MM" (after midnight go on to "25:30")'
        raise ValueError(msg)
    return int(hour) * HOUR + int(minute) * MINUTE


TimeOfDay = Annotated[int, BeforeValidator(_time_of_day)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Sleep(Content):
    """The night and naps in bed."""

    bed: TimeOfDay = 22 * HOUR
    bed_spread: Duration = 30 * MINUTE
    rise: TimeOfDay = 6 * HOUR
    rise_spread: Duration = 20 * MINUTE
    restless: NotNegative = 1.0
    nap_chance: Share = 0.15
    nap_length: Duration = 40 * MINUTE
    wander_chance: Share = 0.0
    wander_length: Duration = 40 * MINUTE


class Toilet(Content):
    """How often."""

    night: NotNegative = 1.4
    length: Duration = 4 * MINUTE
    day_every: Duration = 3 * HOUR


class Meals(Content):
    """When and how surely."""

    breakfast: TimeOfDay = 7 * HOUR
    lunch: TimeOfDay = 12 * HOUR
    supper: TimeOfDay = 18 * HOUR
    spread: Duration = 25 * MINUTE
    skip_chance: Share = 0.06


class Outing(Content):
    """Going out alone, and day service."""

    chance: Share = 0.55
    earliest: TimeOfDay = 9 * HOUR + 30 * MINUTE
    latest: TimeOfDay = 15 * HOUR
    length: Duration = 80 * MINUTE
    day_service: tuple[DayName, ...] = ()
    leave: TimeOfDay = 9 * HOUR
    back: TimeOfDay = 16 * HOUR


class Days(Content):
    """How free time is spent: relative shares, and the bath."""

    tv: NotNegative = 3.0
    sit: NotNegative = 2.0
    chore: NotNegative = 3.0
    tea: NotNegative = 1.0
    sofa_nap: NotNegative = 0.3
    lie_down: NotNegative = 0.2
    pace: Positive = 1.0
    bath: TimeOfDay = 19 * HOUR + 30 * MINUTE
    bath_chance: Share = 0.6
    callers: NotNegative = 0.3


class Body(Content):
    """Rates of the sleeping resident, and the heart's rhythm."""

    heart_rate: Annotated[float, Field(ge=35, le=110)] = 60.0
    respiration_rate: Annotated[float, Field(ge=8, le=28)] = 15.0
    rhythm: Literal["steady", "fibrillation", "paced"] = "steady"


class Persona(Content):
    """A kind of resident: persona-*.toml."""

    title: Text
    weight: Annotated[int, Field(ge=0)] = 1
    sleep: Sleep = Sleep()
    toilet: Toilet = Toilet()
    meals: Meals = Meals()
    outing: Outing = Outing()
    days: Days = Days()
    body: Body = Body()


class Appliance(Content):
    """One electric load. `runs` says when; the other keys belong to some of the ways only (README)."""

    name: str
    watt: Positive
    runs: Literal["always", "cycle", "during", "after-start", "dark", "heat", "weekly"]
    acts: tuple[ActName, ...] = ()
    on: Duration = 15 * MINUTE
    off: Duration = 35 * MINUTE
    length: Duration = 5 * MINUTE
    duty: Annotated[float, Field(gt=0, le=1)] = 1.0
    chance: Share = 1.0
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = ()
    below: float = 17.0
    warms: Literal["room", "person"] = "room"
    asleep: Share = 0.0


class House(Content):
    """A kind of home: home-*.toml."""

    title: Text
    weight: Annotated[int, Field(ge=0)] = 1
    outside: Annotated[tuple[float, ...], Field(min_length=12, max_length=12)] = (
        -0.9, -0.4, 2.8, 8.5, 13.7, 17.6, 21.8, 23.5, 19.9, 13.5, 7.2, 1.4,
    )  # fmt: skip
    swing: NotNegative = 3.5
    heated_to: float = 20.0
    night_to: float = 13.0
    gains: NotNegative = 3.0
    holds: Duration = 6 * HOUR
    humidity: Annotated[float, Field(ge=5, le=95)] = 50.0
    appliance: tuple[Appliance, ...] = ()


class BedSensor(Content):
    """Sensor in or under the bed."""

    every: Duration = 10 * SECOND
    idle_every: Duration = 60 * SECOND
    lost: Share = 0.1
    heart_noise: NotNegative = 1.5
    respiration_noise: NotNegative = 0.8
    phantom: Share = 0.05
    phantom_heart: NotNegative = 75.0
    phantom_respiration: NotNegative = 17.0


class MotionSensor(Content):
    """One passive infrared sensor a room."""

    rooms: tuple[RoomName, ...] = ROOMS
    hold_off: Duration = 30 * SECOND
    missed: Share = 0.1


class DoorSensor(Content):
    """Contact at the front door."""

    missed: Share = 0.0


class PowerMeter(Content):
    """Whole-house electricity."""

    every: Duration = 60 * SECOND
    noise: NotNegative = 0.01


class RoomClimate(Content):
    """Thermometer and hygrometer."""

    every: Duration = 5 * MINUTE
    noise: NotNegative = 0.1


class Kit(Content):
    """A set of sensors: sensors-*.toml. A section left out is a sensor the home does not have."""

    title: Text
    weight: Annotated[int, Field(ge=0)] = 1
    heartbeat: Duration = 10 * MINUTE
    gateway: Duration = MINUTE
    lost: Share = 0.002
    bed: BedSensor | None = None
    motion: MotionSensor | None = None
    door: DoorSensor | None = None
    meter: PowerMeter | None = None
    climate: RoomClimate | None = None


class Noise(Content):
    """How noisy everything is: noise-*.toml. Factors on what persona and kit say."""

    title: Text
    lost: NotNegative = 1.0
    error: NotNegative = 1.0
    phantom: NotNegative = 1.0
    days: NotNegative = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All content of simulator/, each by the part of its file's name after the first hyphen."""

    personas: Mapping[str, Persona]
    houses: Mapping[str, House]
    kits: Mapping[str, Kit]
    noises: Mapping[str, Noise] = field(default_factory=dict)


def read_simulator(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Scene, list[ContentError]]:
    """The scene of parsed TOML tables by file stem, and every mistake in them (the scene then holds the rest)."""
    errors: list[ContentError] = []
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _MODELS}
    for stem in sorted(tables):
        kind, _, name = stem.partition("-")
        file = f"simulator/{stem}.toml"
        if not name or kind not in _MODELS:
            mend = f"name the file {', '.join(f'{k}-NAME.toml' for k in _MODELS)}"
            errors.append(ContentError(file, "", "does not say what it describes", mend))
            continue
        record, wrong = validate(_MODELS[kind], tables[stem], file)
        if record:
            found[kind][name] = record
        errors += wrong or _beyond(record, file)
    for kind in ("persona", "home", "sensors"):
        if not any(record.weight for record in found[kind].values()):
            mend = f"add a {kind}-NAME.toml whose weight is at least 1"
            errors.append(ContentError("simulator", "", f"no {kind} can be drawn", mend))
    scene = Scene(
        personas=found["persona"], houses=found["home"], kits=found["sensors"], noises=found["noise"],
    )  # fmt: skip
    return scene, errors


_MODELS: Mapping[str, type[Content]] = {"persona": Persona, "home": House, "sensors": Kit, "noise": Noise}


def _beyond(record: Content | None, file: str) -> list[ContentError]:
    """Mistakes that one key alone does not show."""
    match record:
        case House():
            return _idle_appliances(record, file)
        case Kit():
            return _short_periods(record, file)
        case _:
            return []


def _idle_appliances(house: House, file: str) -> list[ContentError]:
    return [
        ContentError(file, f"appliance.{i}.acts", f'"{a.name}" never runs', 'name at least one act, such as ["cook"]')
        for i, a in enumerate(house.appliance)
        if a.runs in {"during", "after-start"} and not a.acts
    ]


def _short_periods(kit: Kit, file: str) -> list[ContentError]:
    periods = {"heartbeat": kit.heartbeat, "gateway": kit.gateway}
    if kit.bed:
        periods |= {"bed.every": kit.bed.every, "bed.idle_every": kit.bed.idle_every}
    if kit.meter:
        periods["meter.every"] = kit.meter.every
    if kit.climate:
        periods["climate.every"] = kit.climate.every
    return [
        ContentError(file, key, "is shorter than a second", 'write at least "1s"')
        for key, span in periods.items()
        if span < SECOND
    ]
