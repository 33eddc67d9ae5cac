"""Each kind of truth changes exactly what it says: compared with the same days without it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, parse_instant
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.truth import KINDS, OWN, TruthEvent

METRICS = Metrics()
START = parse_instant("2026-11-16T00:00:00+09:00")
SEED = 5
LEAD, SETTLE = 16 * MINUTE, HOUR
"""How long before the start the line of life may differ, and how long after the end an appliance may still run."""

BED_KINDS = ("no-rise", "no-breathing", "tachycardia", "bradycardia", "apnoea")
Pair = tuple[ReadingBatch, ReadingBatch]


@pytest.fixture(scope="module")
def home(full: tuple[SimulatedHome, ...]) -> SimulatedHome:
    """One whose messages all arrive, so that what is missing is missing for the reason tested."""
    found = next(h for h in full if h.persona_name == "early-riser")
    return replace(found, kit=found.kit.model_copy(update={"lost": 0.0}))


@pytest.fixture(scope="module")
def pair(home: SimulatedHome) -> Callable[..., Pair]:
    """(without, with) an event, three days from START, in the order sent."""

    def simulated(*events: TruthEvent) -> ReadingBatch:
        return concat(simulate([home], start=START, end=START + 3 * DAY, seed=SEED, events=events))

    plain = simulated()

    def made(kind: str, start: int, end: int, device: str = "") -> Pair:
        return plain, simulated(TruthEvent(household=home.id, kind=kind, start=start, end=end, device=device))

    return made


def span(kind: str) -> tuple[int, int]:
    """A night's event from 02:00 on the second day, a day's from 10:00."""
    night = kind in {*BED_KINDS, "night-fall", "wandering", "fever"}
    start = START + DAY + (2 if night else 10) * HOUR
    return start, start + (3 if night else 6) * HOUR


def only(home: SimulatedHome, batch: ReadingBatch, device: str, metric: str = "") -> ReadingBatch:
    row = [d.id for d in home.devices].index(device)
    which = batch.device == row
    return batch.take(which & (batch.metric == METRICS.index(metric)) if metric else which)


def between(batch: ReadingBatch, low: int, high: int) -> ReadingBatch:
    return batch.take((batch.taken >= low) & (batch.taken < high))


def same(a: ReadingBatch, b: ReadingBatch) -> bool:
    return all(
        getattr(a, c).tobytes() == getattr(b, c).tobytes() for c in ("device", "metric", "value", "taken", "got")
    )


def motion(batch: ReadingBatch) -> ReadingBatch:
    return batch.take(batch.metric == METRICS.index("motion"))


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


@pytest.mark.parametrize("kind", ["collapse", "night-fall", "bath-fall"])
def test_a_fall_ends_all_signs_of_life(home: SimulatedHome, pair: Callable[..., Pair], kind: str) -> None:
    start, end = span(kind)
    _, now = pair(kind, start, end)
    fallen = between(now, start + 2 * MINUTE, end)
    assert len(motion(fallen)) == 0
    assert len(only(home, fallen, "door", "door_open")) == 0
    in_bed = only(home, fallen, "bed", "in_bed")
    assert len(in_bed) > 100
    assert in_bed.value.max() == 0
    assert len(only(home, fallen, "meter", "heartbeat")) >= (end - start) // home.kit.heartbeat - 2


def test_after_a_collapse_only_the_house_itself_draws_power(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("collapse")
    _, now = pair("collapse", start, end)
    fallen = only(home, between(now, start + 40 * MINUTE, end), "meter", "power")
    alone = [a for a in home.house.appliance if a.runs in {"always", "cycle", "heat"}]
    assert fallen.value.max() < 1.45 * sum(a.watt for a in alone)
    assert fallen.value.min() >= 0.9 * sum(a.watt for a in alone if a.runs == "always")
    active = only(home, between(now, START + 5 * HOUR, START + 11 * HOUR), "meter", "power")
    assert active.value.max() > 2 * fallen.value.max()


def test_a_night_fall_leaves_the_bed_through_the_bedroom(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("night-fall")
    _, now = pair("night-fall", start, end)
    before = only(home, between(now, start - 10 * MINUTE, start - 15 * SECOND), "bed", "in_bed")
    assert before.value.min() == 1
    after = only(home, between(now, start + 15 * SECOND, end), "bed", "in_bed")
    assert after.value.max() == 0
    assert len(motion(between(now, start, start + 2 * MINUTE))) >= 1


def test_no_rise_keeps_the_vitals_of_sleep(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start = START + DAY + 4 * HOUR
    _, now = pair("no-rise", start, start + 8 * HOUR)
    still = between(now, start, start + 8 * HOUR)
    assert only(home, still, "bed", "in_bed").value.min() == 1
    assert len(only(home, still, "bed", "heart_rate")) > 0.75 * 8 * 360
    assert only(home, still, "bed", "body_movement").value.max() > 20
    assert len(only(home, still, "motion-kitchen", "motion")) == 0


def test_no_breathing_ends_vitals_and_movement_in_an_occupied_bed(
    home: SimulatedHome, pair: Callable[..., Pair]
) -> None:
    start, end = span("no-breathing")
    _, now = pair("no-breathing", start, end)
    still = between(now, start, end)
    for metric in ("heart_rate", "respiration_rate"):
        assert len(only(home, still, "bed", metric)) == 0
        assert len(only(home, between(now, start - 10 * MINUTE, start), "bed", metric)) > 5
    assert only(home, still, "bed", "in_bed").value.min() == 1
    assert only(home, still, "bed", "body_movement").value.max() == 0
    assert len(motion(still)) == 0


@pytest.mark.parametrize(("kind", "low", "high"), [("tachycardia", 132, 160), ("bradycardia", 28, 40)])
def test_the_heart_races_or_slows_and_breathing_goes_on(
    home: SimulatedHome, pair: Callable[..., Pair], kind: str, low: float, high: float
) -> None:
    start, end = span(kind)
    _, now = pair(kind, start, end)
    ill = between(now, start + 2 * MINUTE, end)
    rate = only(home, ill, "bed", "heart_rate").value
    assert len(rate) > 500
    assert low < np.quantile(rate, 0.02)
    assert np.quantile(rate, 0.98) <= high
    assert only(home, ill, "bed", "respiration_rate").value.min() > 8


def test_fever_raises_both_rates(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start = START + 10 * HOUR
    without, now = pair("fever", start, start + 40 * HOUR)
    night = (START + DAY - HOUR, START + DAY + 3 * HOUR)
    for metric, rise in (("heart_rate", 22), ("respiration_rate", 7)):
        well, ill = (np.median(only(home, between(b, *night), "bed", metric).value) for b in (without, now))
        assert ill - well == pytest.approx(rise, abs=1.1)


def test_apnoea_is_pauses_not_silence(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("apnoea")
    without, now = pair("apnoea", start, end)
    rate = only(home, between(now, start, end), "bed", "respiration_rate").value
    assert 0.1 < (rate == 0).mean() < 0.6
    assert only(home, without, "bed", "respiration_rate").value.min() > 0


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


def test_wandering_shows_in_many_rooms_and_at_the_door(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("wandering")
    _, now = pair("wandering", start, end)
    about = motion(between(now, start, end))
    assert len(np.unique(about.device)) >= 5
    assert len(only(home, between(now, start, end), "door", "door_open")) >= 2


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


@pytest.mark.parametrize("device", ["", "meter", "motion-kitchen"])
def test_an_unplugged_sensor_is_silent_alone(home: SimulatedHome, pair: Callable[..., Pair], device: str) -> None:
    start, end = span("sensor-unplugged")
    without, now = pair("sensor-unplugged", start, end, device)
    hit = device or "bed"
    assert len(between(only(home, now, hit), start, end)) == 0
    assert all(same(only(home, without, d.id), only(home, now, d.id)) for d in home.devices if d.id != hit)


@pytest.mark.parametrize("kind", ["wifi-out", "power-cut"])
def test_an_outage_silences_the_whole_home(pair: Callable[..., Pair], kind: str) -> None:
    start, end = span(kind)
    without, now = pair(kind, start, end)
    assert len(between(now, start, end)) == 0
    assert same(without.take((without.taken < start) | (without.taken >= end)), now)


def test_back_fill_loses_nothing_and_comes_late_in_order(pair: Callable[..., Pair]) -> None:
    start, end = span("back-fill")
    without, now = pair("back-fill", start, end)
    held = between(now, start, end)
    assert held.got.min() >= end
    assert (np.diff(held.taken) >= 0).all()
    order = np.lexsort((now.metric, now.device, now.taken))
    assert now.take(order).value.tobytes() == without.value.tobytes()
    assert len(now) == len(without)


def test_duplicates_are_copies_that_come_a_little_later(pair: Callable[..., Pair]) -> None:
    start, end = span("duplicates")
    without, now = pair("duplicates", start, end)
    late = now.take(now.got > now.taken)
    assert len(now) - len(without) == pytest.approx(0.3 * len(between(without, start, end)), rel=0.15)
    assert len(late) == pytest.approx(len(now) - len(without), abs=2)
    rows = set(zip(without.device, without.metric, without.taken, without.value, strict=True))
    assert all(row in rows for row in zip(late.device, late.metric, late.taken, late.value, strict=True))
    assert (late.got - late.taken).max() <= 30 * SECOND


def test_a_drifting_clock_gains_ten_minutes_and_is_set_right(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("clock-drift")
    without, now = pair("clock-drift", start, end)
    bed = only(home, now, "bed")
    wrong = bed.taken - bed.got
    assert wrong.min() == 0
    assert 9 * MINUTE < wrong.max() <= 10 * MINUTE
    assert bed.got.tobytes() == only(home, without, "bed").got.tobytes()
    assert wrong[bed.got >= end].max() == 0


def test_late_data_overtakes_but_loses_nothing(pair: Callable[..., Pair]) -> None:
    start, end = span("late-data")
    without, now = pair("late-data", start, end)
    late = between(now, start, end)
    assert 0 <= (late.got - late.taken).min() < MINUTE < 8 * MINUTE < (late.got - late.taken).max() < 9 * MINUTE
    assert (np.diff(late.taken) < 0).mean() > 0.3
    order = np.lexsort((now.metric, now.device, now.taken))
    assert now.take(order).value.tobytes() == without.value.tobytes()


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


@pytest.mark.parametrize("kit", ["all", "no motion", "meter alone"])
def test_a_moved_sensor_tells_something_else(home: SimulatedHome, kit: str) -> None:
    gone = {"no motion": ("motion",), "meter alone": ("motion", "bed")}.get(kit, ())
    moved = replace(home, kit=home.kit.model_copy(update=dict.fromkeys(gone)))
    moved = replace(moved, devices=tuple(d for d in home.devices if d.id.split("-")[0] not in gone))
    event = TruthEvent(household=home.id, kind="sensor-moved", start=START + 12 * HOUR, end=START + 2 * DAY)
    without, now = (
        between(
            concat(simulate([moved], start=START, end=START + 2 * DAY, seed=SEED, events=e)), event.start, event.end
        )
        for e in ((), (event,))
    )
    device, metric = {"all": ("motion-living", "motion"), "no motion": ("bed", "heart_rate")}.get(
        kit, ("meter", "power")
    )
    before, after = (only(moved, b, device, metric) for b in (without, now))
    if kit == "all":
        assert not np.isin(before.taken, after.taken).any()
        assert len(after) > 10
        assert len(only(moved, now, "motion-hall")) < len(only(moved, without, "motion-hall"))
    elif kit == "no motion":
        assert 0.1 < len(after) / len(before) < 0.3
        assert only(moved, now, "bed", "body_movement").value.max() < 31
    else:
        assert after.value.mean() == pytest.approx(0.45 * before.value.mean(), rel=0.02)


def test_heat_stroke_is_a_hot_room_with_a_racing_heart_in_bed(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("heat-stroke")
    without, now = pair("heat-stroke", start, end)
    last = between(now, end - HOUR, end)
    assert only(home, last, "climate", "temperature").value.min() > 30
    assert only(home, last, "bed", "in_bed").value.min() == 1
    asleep = only(home, between(without, START + DAY, START + DAY + 4 * HOUR), "bed", "heart_rate").value
    assert np.median(only(home, last, "bed", "heart_rate").value) > np.median(asleep) + 30


def test_slow_decline_grows_from_week_to_week(home: SimulatedHome) -> None:
    event = TruthEvent(household=home.id, kind="slow-decline", start=START, end=START + 56 * DAY)
    weeks = {}
    for name, events in (("well", ()), ("ill", (event,))):
        batches = simulate([home], start=START + 49 * DAY, end=START + 56 * DAY, seed=SEED, events=events)
        weeks[name] = concat(batches)
    in_bed = {n: only(home, b, "bed", "in_bed").value.sum() / 360 / 7 for n, b in weeks.items()}
    assert in_bed["ill"] > in_bed["well"] + 1.2  # hours a day
    assert len(motion(weeks["ill"])) < 0.9 * len(motion(weeks["well"]))
    outside = {n: len(only(home, b, "door", "door_open")) for n, b in weeks.items()}
    assert outside["ill"] < outside["well"]
    first = [concat(simulate([home], start=START, end=START + DAY, seed=SEED, events=e)) for e in ((), (event,))]
    assert same(motion(first[0]), motion(first[1]))  # the first day is as it was, but for a trace of the pulse


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
