"""What each sensor of a household says in one calendar day, given the life, the body and the home.

May import model and the simulator's other pure files. Pure: the same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mimamori.model.metrics import Metrics
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, Nanos
from mimamori.simulator.body import tell_bed
from mimamori.simulator.dice import Use, generator, lots, stream
from mimamori.simulator.electricity import load
from mimamori.simulator.faults import Rows, disturb, faults, in_time
from mimamori.simulator.house import climate, daytime, within
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import Life, Place, midnight
from mimamori.simulator.loops import apart, by_minute, thinned
from mimamori.simulator.scene import ROOMS, Act, RoomClimate
from mimamori.simulator.truth import TruthEvent

_METRICS = Metrics()
_MS = 1_000_000

_MOST = 8.0  # movements a minute that a motion sensor could see at most
_SEEN = {
    Act.SLEEP: 0.01, Act.LIE: 0.06, Act.RISE: 6.0, Act.WASH: 6.0, Act.TOILET: 2.5, Act.COOK: 5.0, Act.EAT: 0.3,
    Act.TIDY: 6.0, Act.TEA: 4.0, Act.TV: 0.05, Act.CHORE: 5.0, Act.WALK: 8.0, Act.SIT: 0.08, Act.NAP: 0.015,
    Act.BATH: 1.0, Act.DOOR: 5.0,
}  # fmt: skip
_RATE = np.array([_SEEN.get(act, 0.0) for act in Act])

_GUESTS = ("visitors", "grandchildren")
_MINUTES = np.arange(1440, dtype=np.int64) * MINUTE
_UP = daytime(midnight(0) + _MINUTES)  # others are, in each minute of any day

Part = tuple[str, str, Nanos, NDArray[np.float64]]
"""(device id, metric, times taken, values)."""


def report_day(home: SimulatedHome, life: Life, day: int, *, seed: int, events: Sequence[TruthEvent]) -> Rows:
    """All readings of the household taken on the calendar day. events: this household's.

    Minute by minute, and each minute's in the order of (device, metric, time); or of (time, device, metric) throughout
    where a device or line of the household fails.
    """
    parts = [
        *_bed(home, life, day, seed, events), *_meter(home, life, day, seed, events), *_door(home, life, day, events),
        *_climate(home, life, day, seed, events), *_motion(home, life, day, seed, events), *_beats(home, day),
    ]  # fmt: skip
    ids = [device.id for device in home.devices]
    told = sorted((ids.index(p[0]), _METRICS.index(p[1]), i) for i, p in enumerate(parts))
    device, metric, value, taken = by_minute(
        np.array([(d, m, len(parts[i][2])) for d, m, i in told]), np.concatenate([parts[i][2] for _, _, i in told]),
        np.concatenate([parts[i][3] for _, _, i in told]), midnight(day),
        (home.kit.lost, seed * 1000 + home.number),
    )  # fmt: skip
    rows = Rows(device=device, metric=metric, value=value, taken=taken, sent=taken)
    broken = faults(events, midnight(day), midnight(day + 1))
    return disturb(in_time(rows), broken, ids, seed) if broken else rows


def _grid(home: SimulatedHome, day: int, every: int, shift: int) -> Nanos:
    """The device's own beat: every home and device is a little off the others'."""
    phase = (home.number * 1_237 + shift * 4_111) * _MS % every
    return midnight(day) + phase + np.arange(0, DAY - phase, every, dtype=np.int64)


def _bed(home: SimulatedHome, life: Life, day: int, seed: int, events: Sequence[TruthEvent]) -> list[Part]:
    sensor = home.kit.bed
    if sensor is None:
        return []
    today, begin = (home.number, day), midnight(day)
    rng = generator(seed, Use.BED, *today)
    at = _grid(home, day, sensor.every, 1) + rng.integers(0, 200, 1) * _MS
    told = tell_bed(
        life, home.persona, sensor, at, events=events, begin=begin, rng=rng,
        pauses=generator(seed, Use.PAUSES, *today), seed=seed * 1000 + home.number,
        feet=_spans(events, "sensor-moved") if home.kit.motion is None else (),
    )  # fmt: skip
    return [
        ("bed", "heart_rate", told.heart_at, told.heart),
        ("bed", "respiration_rate", told.breath_at, told.breath),
        ("bed", "body_movement", told.at, told.movement),
        ("bed", "in_bed", told.at, told.in_bed),
    ]


def _spans(events: Sequence[TruthEvent], *kinds: str) -> list[tuple[int, int]]:
    return [(e.start, e.end) for e in events if e.kind in kinds]


def _during(at: Nanos, events: Sequence[TruthEvent], *kinds: str) -> NDArray[np.bool_]:
    """(n,) whether an event of one of the kinds goes on at each time."""
    return within(at, _spans(events, *kinds))


def _meter(home: SimulatedHome, life: Life, day: int, seed: int, events: Sequence[TruthEvent]) -> list[Part]:
    sensor = home.kit.meter
    if sensor is None:
        return []
    minutes = midnight(day) + _MINUTES
    unheated = _during(minutes, events, "heater-failure")
    guests = _during(minutes, events, *_GUESTS) & _UP
    watt = load(home.house, life, seed=seed, home=home.number, day=day, unheated=unheated, guests=guests)
    full = _during(minutes, events, "grandchildren") & _UP
    if full.any():  # lights, television, a kettle now and then
        watt = watt + full * (120 + 900 * (lots(minutes, home.number, seed + 11) < 0.08))
    if home.kit.motion is None and home.kit.bed is None:  # the clamp sits on one of two circuits
        watt = np.where(_during(minutes, events, "sensor-moved"), 0.45 * watt, watt)
    at = _grid(home, day, sensor.every, 2)
    if sensor.every > MINUTE:
        total = np.concatenate([[0.0], np.cumsum(watt)])
        edges = np.clip((at - minutes[0]) // MINUTE, 0, 1440)
        before = np.clip(edges - sensor.every // MINUTE, 0, 1440)
        mean = (total[edges] - total[before]) / np.maximum(edges - before, 1)
    else:
        mean = watt[(at - minutes[0]) // MINUTE]
    wobble = generator(seed, Use.BEATS, home.number, day).standard_normal(len(at))
    return [("meter", "power", at, np.maximum(np.rint(mean * (1 + sensor.noise * wobble)), 0.0))]


def _door(home: SimulatedHome, life: Life, day: int, events: Sequence[TruthEvent]) -> list[Part]:
    if home.kit.door is None:
        return []
    out = life.place == Place.OUT
    left = life.start[1:][out[1:] & ~out[:-1]]
    back = life.start[1:][~out[1:] & out[:-1]]
    called = life.start[life.act == Act.DOOR] + 8 * SECOND
    visits = np.array(_spans(events, "visitors"), np.int64).ravel()  # they come by the door, and leave by it
    called = np.concatenate([called, _comings(home, day, events), visits])
    opened = np.concatenate([left - 4 * SECOND, back - 3 * SECOND, called])
    closed = np.concatenate([left + 3 * SECOND, back + 4 * SECOND, called + 40 * SECOND])
    parts: list[Part] = []
    for at, value in ((opened, 1.0), (closed, 0.0)):
        today = np.sort(at[(at >= midnight(day)) & (at < midnight(day + 1))])
        seen = today[lots(today, home.number, 7) >= home.kit.door.missed]
        parts.append(("door", "door_open", seen, np.full(len(seen), value)))
    return parts


def _comings(home: SimulatedHome, day: int, events: Sequence[TruthEvent]) -> Nanos:
    """When grandchildren who stay come in or go out."""
    if not _spans(events, "grandchildren"):
        return np.zeros(0, np.int64)
    at = midnight(day) + np.arange(7 * HOUR, 21 * HOUR, HOUR, dtype=np.int64)
    at += (lots(at, home.number, 8) * HOUR).astype(np.int64)
    return at[_during(at, events, "grandchildren") & (lots(at, home.number, 9) < 0.5)]


def _climate(home: SimulatedHome, life: Life, day: int, seed: int, events: Sequence[TruthEvent]) -> list[Part]:
    sensor: RoomClimate | None = home.kit.climate
    if sensor is None:
        return []
    at = _grid(home, day, sensor.every, 3)
    warm, damp = climate(
        home.house,
        life,
        at,
        seed=seed,
        unheated=_spans(events, "heater-failure"),
        hot=_spans(events, "hot-room", "heat-stroke"),
        guests=_spans(events, *_GUESTS),
    )
    noise = generator(seed, Use.CLIMATE, home.number, day).standard_normal((2, len(at))) * sensor.noise
    return [
        ("climate", "temperature", at, np.round(warm + noise[0], 1)),
        ("climate", "humidity", at, np.round(np.clip(damp + 5 * noise[1], 5, 99), 1)),
    ]


def _motion(home: SimulatedHome, life: Life, day: int, seed: int, events: Sequence[TruthEvent]) -> list[Part]:
    sensor = home.kit.motion
    if sensor is None:
        return []
    at, room = _movements(home, life, day, seed, events)
    seen = lots(at, room, seed + home.number) >= sensor.missed
    at, room = at[seen], room[seen]
    # A sensor of the living room that was turned looks into the hall.
    turned = _during(at, events, "sensor-moved")
    room = np.where(turned & (room == Place.HALL), Place.LIVING, np.where(turned & (room == Place.LIVING), -1, room))
    room[~apart(at, room, sensor.hold_off)] = -1  # a sensor is blind for a while after each report
    return [
        (f"motion-{name}", "motion", when, np.ones(len(when)))
        for name in sensor.rooms
        for when in [at[room == ROOMS.index(name)]]
    ]


def _movements(
    home: SimulatedHome, life: Life, day: int, seed: int, events: Sequence[TruthEvent]
) -> tuple[Nanos, NDArray[np.int64]]:
    """(times, room indexes) of all visible movements: a Poisson stream thinned by what the resident does (Lewis and
    Shedler 1979), and each entry into a room.
    """
    rng, begin = generator(seed, Use.MOTION, home.number, day), midnight(day)
    at = begin + stream(rng, DAY, _MOST / MINUTE)
    mark = rng.random(len(at)) * _MOST
    places = life.place.astype(np.int64)
    places[places == Place.BED] = Place.BEDROOM
    seen, place = thinned(at, mark, life.start, _RATE[life.act] * home.persona.days.pace, places)
    if _spans(events, *_GUESTS):
        place, seen = _guests(at, mark, place, seen, events)
    moved = np.flatnonzero((life.place[1:] != life.place[:-1]) & (life.place[1:] < Place.BED)) + 1
    moved = moved[(life.act[moved] != Act.DOWN)]
    entered = life.start[moved] + SECOND
    today = (entered >= begin) & (entered < begin + DAY)
    times = np.concatenate([at[seen], entered[today]])
    rooms = np.concatenate([place[seen], life.place[moved][today].astype(np.int64)])
    order = np.argsort(times, kind="stable")
    return times[order], rooms[order]


def _guests(
    at: Nanos, mark: NDArray[np.float64], place: NDArray[np.int64], seen: NDArray[np.bool_],
    events: Sequence[TruthEvent],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:  # fmt: skip
    """The same movements with those of visitors and grandchildren."""
    visit = _during(at, events, "visitors") & (mark < 4)
    place = np.where(visit & ~seen, np.where(mark < 2.5, Place.LIVING, Place.KITCHEN), place)
    return _family(at, mark, place, seen | visit, events)


def _family(
    at: Nanos, mark: NDArray[np.float64], place: NDArray[np.int64], seen: NDArray[np.bool_],
    events: Sequence[TruthEvent],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:  # fmt: skip
    """Grandchildren who stay: all over the home by day, to the toilet at night."""
    stay = _during(at, events, "grandchildren")
    if not stay.any():
        return place, seen
    day = daytime(at)
    theirs = stay & np.where(day, mark < 4.5, mark < 0.03) & ~seen
    by_day = np.array(
        (Place.LIVING, Place.LIVING, Place.LIVING, Place.KITCHEN, Place.HALL, Place.BATHROOM, Place.TOILET)
    )
    by_night = np.array((Place.HALL, Place.TOILET))
    rooms = np.where(day, by_day[(mark * 997).astype(np.int64) % 7], by_night[(mark * 9_973).astype(np.int64) % 2])
    return np.where(theirs, rooms, place), seen | theirs


def _beats(home: SimulatedHome, day: int) -> list[Part]:
    """Each device's sign of life, and the battery's charge at the first of the day."""
    parts: list[Part] = []
    for k, device in enumerate(home.devices):
        every = home.kit.gateway if device.id == "gateway" else home.kit.heartbeat
        at = _grid(home, day, every, 10 + k)
        parts.append((device.id, "heartbeat", at, np.ones(len(at))))
        if device.profile in {"motion-sensor", "door-sensor"}:
            charge = 98 - 0.15 * ((day + 37 * (home.number + k)) % 480)
            parts.append((device.id, "battery", at[:1], np.full(len(at[:1]), round(charge))))
    return parts
