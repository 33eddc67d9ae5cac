"""Readings of many days: same seed same bytes, cut anywhere, sane in their distributions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, parse_instant
from mimamori.sensors.conformance import examine
from mimamori.sensors.heard import Heard
from mimamori.simulator.days import simulate
from mimamori.simulator.house import outside_at
from mimamori.simulator.households import SimulatedHome, households
from mimamori.simulator.scene import Scene
from mimamori.simulator.truth import TruthEvent
from mimamori.site import load_site

METRICS = Metrics()
START = parse_instant("2026-11-16T00:00:00+09:00")
COLUMNS = ("home", "device", "metric", "value", "taken", "got", "flags")


def bytes_of(batch: ReadingBatch) -> list[bytes]:
    return [getattr(batch, name).tobytes() for name in COLUMNS]


def all_of(homes: Any, start: int, end: int, **more: Any) -> ReadingBatch:
    return concat(simulate(homes, start=start, end=end, seed=more.pop("seed", 5), **more))


def test_same_seed_same_bytes_another_seed_another_life(full: tuple[SimulatedHome, ...]) -> None:
    one, two = (all_of(full[:3], START, START + 2 * DAY) for _ in range(2))
    assert bytes_of(one) == bytes_of(two)
    assert bytes_of(one) != bytes_of(all_of(full[:3], START, START + 2 * DAY, seed=6))


@pytest.mark.parametrize("order", ["sent", "taken"])
def test_cutting_time_anywhere_gives_the_same_readings(full: tuple[SimulatedHome, ...], order: Any) -> None:
    events = (TruthEvent(household=full[0].id, kind="back-fill", start=START + 20 * HOUR, end=START + 28 * HOUR),)
    whole = all_of(full[:2], START, START + 2 * DAY, events=events, order=order)
    fine = all_of(full[:2], START, START + 2 * DAY, events=events, order=order, step=17 * MINUTE)
    assert bytes_of(whole) == bytes_of(fine)
    cut = START + 27 * HOUR + 12_345 * SECOND // 7
    parts = [all_of(full[:2], a, b, events=events, order=order) for a, b in ((START, cut), (cut, START + 2 * DAY))]
    assert bytes_of(concat(parts)) == bytes_of(whole)


def test_a_household_does_not_depend_on_its_neighbours(full: tuple[SimulatedHome, ...]) -> None:
    together, alone = all_of(full[:3], START, START + DAY), all_of(full[2:3], START, START + DAY)
    mine = together.take(together.home == 2)
    assert mine.value.tobytes() == alone.value.tobytes()
    assert mine.taken.tobytes() == alone.taken.tobytes()


def test_batches_are_hours_in_order_and_within_the_metrics_ranges(full: tuple[SimulatedHome, ...]) -> None:
    chunks = list(simulate(full[:2], start=START + 30 * MINUTE, end=START + 5 * HOUR, seed=5))
    assert len(chunks) == 5
    for i, chunk in enumerate(chunks):
        assert len(chunk)
        assert (np.diff(chunk.got) >= 0).all()
        assert chunk.got[0] >= START + max(30 * MINUTE, i * HOUR)
        assert chunk.got[-1] < START + (i + 1) * HOUR
    batch = concat(chunks)
    low, high = METRICS.limits()
    assert np.isfinite(batch.value).all()
    assert ((batch.value >= low[batch.metric]) & (batch.value <= high[batch.metric])).all()
    assert (batch.taken % 1_000_000 == 0).all()
    assert (batch.taken == batch.got).all()
    assert batch.device.max() < sum(len(h.devices) for h in full[:2])


def test_a_kits_devices_all_speak_and_say_they_are_alive(full: tuple[SimulatedHome, ...], fortnight: Any) -> None:
    for i, home in enumerate(full[:3]):
        for device in home.devices:
            beats, _ = fortnight.find(i, device.id, "heartbeat")
            every = home.kit.gateway if device.id == "gateway" else home.kit.heartbeat
            assert len(beats) / (14 * DAY / every) == pytest.approx(1, abs=0.02)


def test_bed_cadence_can_be_chosen(scene: Scene) -> None:
    told = []
    for seconds in (10, 60):
        homes = households(scene, count=2, seed=1, bed_every=seconds * SECOND)
        batch = all_of(homes, START, START + DAY)
        told.append(int((batch.value[batch.metric == METRICS.index("in_bed")] == 1).sum()))
    assert told[0] == pytest.approx(6 * told[1], rel=0.03)


def test_nights_are_spent_in_bed_with_few_short_exits(full: tuple[SimulatedHome, ...], fortnight: Any) -> None:
    a_night, minutes = [], []
    for i in range(len(full)):
        at, value = fortnight.find(i, "bed", "in_bed")
        hour = ((at + 9 * HOUR) % DAY) / HOUR
        if full[i].persona_name != "night-owl":
            assert value[(hour > 1) & (hour < 4)].mean() > 0.9
        assert value[(hour > 9.5) & (hour < 20)].mean() < 0.75
        out = np.flatnonzero((np.diff(value) < 0) & ((hour[1:] > 23) | (hour[1:] < 5))) + 1
        back = np.flatnonzero(np.diff(value) > 0) + 1
        last = [(at[back[back > k][0]] - at[k]) / MINUTE for k in out if (back > k).any()]
        trips = [m for m in last if m < 60]
        a_night.append(len(trips) / 14)
        minutes += trips
    assert 0.5 < np.mean(a_night) < 2.5
    assert max(a_night) < 4.5
    assert 3 < np.median(minutes) < 10


def test_vitals_are_those_of_the_persona_and_phantoms_of_the_kit(
    full: tuple[SimulatedHome, ...], fortnight: Any
) -> None:
    for i, home in enumerate(full):
        at, rate = fortnight.find(i, "bed", "heart_rate")
        bed, occupied = fortnight.find(i, "bed", "in_bed")
        here = occupied[np.searchsorted(bed, at)] == 1
        assert abs(np.median(rate[here]) - home.persona.body.heart_rate) < 5
        assert np.median(rate[~here]) == pytest.approx(75, abs=1.5)
        told = here.sum() / (occupied == 1).sum()
        assert 0.78 < told < 0.95  # a tenth is lost in bouts, and turns drown some


def test_electricity_tells_activity_from_rest(full: tuple[SimulatedHome, ...], fortnight: Any) -> None:
    for i, home in enumerate(full):
        at, watt = fortnight.find(i, "meter", "power")
        hour = ((at + 9 * HOUR) % DAY) / HOUR
        if home.persona_name != "night-owl":
            night, day = watt[(hour > 1) & (hour < 3.5)], watt[(hour > 8) & (hour < 20)]
            assert np.median(night) < 320
            assert np.quantile(day, 0.9) > 1.5 * np.quantile(night, 0.5)
        assert watt.max() > 900  # a kettle


def test_motion_is_frequent_by_day_and_rare_in_sleep(full: tuple[SimulatedHome, ...], fortnight: Any) -> None:
    for i, home in enumerate(full):
        hour = ((fortnight.moving(i) + 9 * HOUR) % DAY) // HOUR
        each = np.bincount(hour.astype(int), minlength=24) / 14
        assert each[18:20].sum() > 3 * each[2:4].sum(), home.persona_name
        assert 120 < each.sum() < 1500


def test_winter_rooms_are_heated_by_day_and_cool_at_night(full: tuple[SimulatedHome, ...], fortnight: Any) -> None:
    for i, home in enumerate(full):
        at, warm = fortnight.find(i, "climate", "temperature")
        hour = ((at + 9 * HOUR) % DAY) / HOUR
        evening, dawn = warm[(hour > 17) & (hour < 19)], warm[(hour > 3.5) & (hour < 4.5)]
        assert np.median(evening) > np.median(dawn) + 1
        assert home.house.night_to - 2 < dawn.min()
        mild = outside_at(home.house, at, seed=5).max() + home.house.gains
        assert warm.max() < max(home.house.heated_to, mild) + 1


def test_impossible_events_are_refused(full: tuple[SimulatedHome, ...]) -> None:
    good = {"household": full[0].id, "kind": "collapse", "start": START, "end": START + HOUR}
    for wrong, words in (
        ({"kind": "alien"}, "no kind of event"),
        ({"household": "home-999"}, "no household"),
        ({"end": START}, "ends before it starts"),
    ):
        event = TruthEvent(**{**good, **wrong})
        with pytest.raises(ValueError, match=words):
            next(simulate(full, start=START, end=START + HOUR, seed=1, events=[event]))


def test_devices_speak_as_often_as_their_profiles_say(full: tuple[SimulatedHome, ...]) -> None:
    """By the kit for vendors, a day of two homes, each reading a message."""
    site = load_site()
    profiles = {p.name: p for p in site.profiles}
    devices = [(home.id, device) for home in full[:2] for device in home.devices]
    told = all_of(full[:2], START, START + DAY)
    for row, (home, device) in enumerate(devices):
        mine = told.take(told.device == row)
        heard = [
            Heard(
                topic=f"mimamori/v1/{home}/{device.id}/readings", got=got,
                payload=json.dumps({"t": taken // 10**6, "v": {METRICS[metric].name: value}}).encode(),
            )
            for taken, got, metric, value in zip(
                mine.taken.tolist(), mine.got.tolist(), mine.metric.tolist(), mine.value.tolist(), strict=True
            )
        ]  # fmt: skip
        report = examine(heard, None, profiles[device.profile], site.metrics)[0][0]
        assert next(f for f in report.findings if f.check == "cadence").verdict == "pass", (device, report)
