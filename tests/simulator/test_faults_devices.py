"""What befalls devices and their messages shows as it would, compared with the same days without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mimamori.model.readings import concat
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.truth import TruthEvent

from .conftest import SEED, START, Pair, between, only, same, span


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
