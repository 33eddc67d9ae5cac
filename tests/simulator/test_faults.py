"""Each kind of truth changes exactly what it says, compared with the same days without it; and who comes and goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mimamori.model.readings import concat
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.truth import KINDS, OWN, TruthEvent

from .conftest import LEAD, SEED, SETTLE, START, Pair, between, motion, only, same, span


def test_there_are_25_kinds_and_the_readme_describes_each() -> None:
    assert len(KINDS) >= 25
    text = (Path(__file__).parents[2] / "simulator" / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([a-z-]+)` \| (.{10,}) \|$", text.partition("## Truth")[2], re.MULTILINE)
    assert sorted(kind for kind, _ in told) == sorted({*KINDS, *OWN})


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"slow-decline"}))
def test_it_changes_something_and_nothing_long_before_or_after(
    home: SimulatedHome, pair: Callable[..., Pair], kind: str
) -> None:
    start, end = span(kind)
    without, with_it = pair(kind, start, end)
    assert not same(without, with_it)
    climate = [d.id for d in home.devices].index("climate")  # a room forgets over hours
    for low, high in ((0, start - LEAD), (end + SETTLE, START + 4 * DAY)):
        a, b = (between(x.take(x.device != climate), low, high) for x in (without, with_it))
        assert same(a, b)
    assert same(between(without, 0, start - LEAD), between(with_it, 0, start - LEAD))


@pytest.mark.parametrize("kind", ["outing", "overnight-stay", "hospital-stay"])
def test_going_out_is_told_by_the_door_and_by_nothing_inside(
    home: SimulatedHome, pair: Callable[..., Pair], kind: str
) -> None:
    start, end = span(kind)
    _, now = pair(kind, start, end)
    away = between(now, start + MINUTE, end - MINUTE)
    assert len(motion(away)) == 0
    assert only(home, away, "bed", "in_bed").value.max() == 0
    assert len(only(home, away, "door", "door_open")) == 0
    for moment in (start, end):
        values = only(home, between(now, moment - 30 * SECOND, moment + 30 * SECOND), "door", "door_open").value
        assert values.tolist() == [1, 0]


def test_a_sofa_nap_is_quiet_but_not_silent(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("sofa-nap")
    _, now = pair("sofa-nap", start, end)
    rooms = [d.id for d in home.devices if d.id.startswith("motion-") and d.id != "motion-living"]
    asleep = between(now, start + MINUTE, end)
    assert all(len(only(home, asleep, room, "motion")) == 0 for room in rooms)
    assert 1 <= len(only(home, asleep, "motion-living", "motion")) < 30


def test_visitors_add_motion_and_take_none(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("visitors")
    without, now = pair("visitors", start, end)
    assert len(motion(between(now, start, end))) > 2 * len(motion(between(without, start, end)))
    theirs = {"motion-living", "motion-kitchen", "meter", "climate"}  # they warm the room as well
    by_the_door = set(only(home, now, "door", "door_open").taken) - set(only(home, without, "door", "door_open").taken)
    assert by_the_door == {start, start + 40 * SECOND, end, end + 40 * SECOND}
    others = [d.id for d in home.devices if d.id not in theirs | {"door"}]
    assert all(same(only(home, without, d), only(home, now, d)) for d in others)


def test_a_broken_heater_cools_the_room_and_saves_electricity(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start = START + DAY + 8 * HOUR
    end = start + 20 * HOUR
    without, now = pair("heater-failure", start, end)
    warm, cold = (only(home, between(b, end - HOUR, end), "climate", "temperature").value for b in (without, now))
    assert cold.max() < warm.min() - 1
    used, saved = (only(home, between(b, start, end), "meter", "power").value.sum() for b in (without, now))
    assert saved < used
    others = [d.id for d in home.devices if d.id not in {"climate", "meter"}]
    assert all(same(only(home, without, d), only(home, now, d)) for d in others)


def test_a_hot_room_passes_thirty_degrees(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("hot-room")
    _, now = pair("hot-room", start, end)
    assert only(home, between(now, end - HOUR, end), "climate", "temperature").value.min() > 30


def test_grandchildren_fill_the_home_and_the_door(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    without, now = pair("grandchildren", START + 8 * HOUR, START + 2 * DAY)
    day = START + DAY + 7 * HOUR, START + DAY + 22 * HOUR
    night = START + DAY + 0 * HOUR, START + DAY + 5 * HOUR
    assert len(motion(between(now, *day))) > 3 * len(motion(between(without, *day)))
    assert len(motion(between(now, *night))) < 60
    doors = [len(only(home, between(b, *day), "door", "door_open")) for b in (without, now)]
    assert doors[1] >= doors[0] + 6
    power = [only(home, between(b, *day), "meter", "power").value.mean() for b in (without, now)]
    assert power[1] > power[0] + 100
    assert same(only(home, without, "bed"), only(home, now, "bed"))


def test_guests_keep_the_room_warm_while_the_resident_is_out(home: SimulatedHome) -> None:
    out = TruthEvent(household=home.id, kind="outing", start=START + 9 * HOUR, end=START + 17 * HOUR)
    guests = TruthEvent(household=home.id, kind="visitors", start=START + 10 * HOUR, end=START + 16 * HOUR)
    late = START + 13 * HOUR, START + 16 * HOUR
    cold, warm = (
        between(concat(simulate([home], start=START, end=START + DAY, seed=SEED, events=e)), *late)
        for e in ((out,), (out, guests))
    )
    room = [only(home, b, "climate", "temperature").value.mean() for b in (cold, warm)]
    power = [only(home, b, "meter", "power").value.mean() for b in (cold, warm)]
    assert room[1] > room[0] + 2
    assert power[1] > power[0] + 10


def test_two_visits_within_days_both_happen(home: SimulatedHome) -> None:
    visits = [
        TruthEvent(household=home.id, kind="visitors", start=at, end=at + 3 * HOUR)
        for at in (START + 10 * HOUR, START + 2 * DAY + 10 * HOUR)
    ]
    with_it, without = (
        concat(simulate([home], start=START, end=START + 3 * DAY, seed=SEED, events=e)) for e in (visits, ())
    )
    for visit in visits:
        many, few = (len(motion(between(b, visit.start, visit.end))) for b in (with_it, without))
        assert many > 1.5 * few


def test_two_events_in_one_home_both_happen(home: SimulatedHome, full: Any) -> None:
    first = TruthEvent(household=home.id, kind="collapse", start=START + 9 * HOUR, end=START + 11 * HOUR)
    second = TruthEvent(household=home.id, kind="outing", start=START + 13 * HOUR, end=START + 15 * HOUR)
    batch = concat(simulate([home], start=START, end=START + DAY, seed=SEED, events=(second, first)))
    for event in (first, second):
        assert len(motion(between(batch, event.start + MINUTE, event.end - MINUTE))) == 0
    assert len(motion(between(batch, first.end, second.start))) > 0
