"""What befalls a resident shows as it would, compared with the same days without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mimamori.model.readings import concat
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.truth import TruthEvent

from .conftest import SEED, START, Pair, between, motion, only, same, span


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


def test_wandering_shows_in_many_rooms_and_at_the_door(home: SimulatedHome, pair: Callable[..., Pair]) -> None:
    start, end = span("wandering")
    _, now = pair("wandering", start, end)
    about = motion(between(now, start, end))
    assert len(np.unique(about.device)) >= 5
    assert len(only(home, between(now, start, end), "door", "door_open")) >= 2


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
