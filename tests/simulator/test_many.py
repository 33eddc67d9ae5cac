"""Several processes make the same batches, and each batch is what one sort of everything would give."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.simulator.days import Timeline, simulate
from mimamori.simulator.dice import lots
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import day_of
from mimamori.simulator.loops import by_minute, order_of
from mimamori.simulator.many import makers
from mimamori.simulator.plan import draw_events, own_events, plan_events, with_neighbours
from mimamori.simulator.report import report_day
from mimamori.simulator.truth import TruthEvent

START = parse_instant("2026-11-16T00:00:00+09:00")
COLUMNS = ("home", "device", "metric", "value", "taken")


def over_midnight(homes: tuple[SimulatedHome, ...]) -> tuple[TruthEvent, ...]:
    kinds = ("clock-drift", "duplicates", "late-data", "back-fill")
    return tuple(
        TruthEvent(household=home.id, kind=kind, start=START + 20 * HOUR, end=START + DAY - MINUTE)
        for home, kind in zip(homes, kinds, strict=False)
    )


def same(a: ReadingBatch, b: ReadingBatch) -> bool:
    return all(getattr(a, c).tobytes() == getattr(b, c).tobytes() for c in COLUMNS)


def test_two_processes_make_what_one_makes(full: tuple[SimulatedHome, ...]) -> None:
    homes = full[:5]
    told = []
    for processes in (1, 2):
        with makers(homes, processes) as made:
            from_to = {
                "start": START + 5 * MINUTE + 7,
                "end": START + 2 * DAY - 90 * MINUTE,
            }  # hours are cut at both ends
            told.append(list(made.days(**from_to, seed=5, events=over_midnight(homes))))
    assert len(told[0]) == len(told[1]) == 47
    assert all(same(a, b) for a, b in zip(*told, strict=True))


def test_whoever_stops_early_leaves_no_process(full: tuple[SimulatedHome, ...]) -> None:
    with makers(full[:2], processes=2) as made:
        assert len(next(made.days(start=START, end=START + 300 * DAY, seed=5))) > 2_000  # of an hour
    assert not multiprocessing.active_children()


def test_what_befalls_homes_does_not_hang_on_the_processes(full: tuple[SimulatedHome, ...]) -> None:
    span = {"start": START, "end": START + 20 * DAY, "seed": 5}
    homes, told = full[:5], []
    for processes in (1, 2):
        with makers(homes, processes) as made:
            drawn = made.each(draw_events, first_after=START + DAY, **span)
            told.append((drawn, made.each(own_events, events=with_neighbours(homes, drawn), **span)))
    assert told[0] == told[1]
    assert with_neighbours(homes, told[0][0]) == plan_events(homes, first_after=START + DAY, **span)


@pytest.mark.parametrize("order", ["sent", "taken"])
def test_batches_are_one_sort_of_all_rows(full: tuple[SimulatedHome, ...], order: str) -> None:
    homes, events = full[:4], over_midnight(full[:4])
    told = concat(simulate(homes, start=START, end=START + 2 * DAY, seed=5, events=events, order=order))  # type: ignore[arg-type]
    rows, first = [], 0
    for home in homes:
        line = Timeline(home, seed=5, events=events)
        for day in range(day_of(START), day_of(START) + 2):
            made = report_day(home, line.life(day), day, seed=5, events=line.around(day))
            key = made.sent if order == "sent" else made.taken
            rows += zip(
                key.tolist(), (made.device + first).tolist(), made.metric.tolist(), made.value.tolist(), strict=True
            )
        first += len(home.devices)
    expected = sorted((r for r in rows if START <= r[0] < START + 2 * DAY), key=lambda r: r[:3])
    key = told.got if order == "sent" else told.taken
    assert (
        list(zip(key.tolist(), told.device.tolist(), told.metric.tolist(), told.value.tolist(), strict=True))
        == expected
    )


@pytest.mark.parametrize("span", [1, 5, 10**6, 86_400_000])
@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_the_quick_sort_is_the_plain_one(span: int, rows: int) -> None:
    key = np.random.default_rng(1).integers(0, span, rows)
    assert order_of(key).tolist() == np.argsort(key, kind="stable").tolist()


@pytest.mark.parametrize("rows", [0, 1, 400])
def test_minutes_come_in_order_and_their_rows_as_they_stand(rows: int) -> None:
    dice = np.random.default_rng(2)
    at, value = START + dice.integers(0, DAY, rows), np.arange(rows) * 1.0
    parts = np.array([(3, 1, rows // 2), (4, 2, rows - rows // 2)])
    device, metric, values, taken = by_minute(parts, at, value, START, (0.3, 7))
    part = np.repeat([0, 1], parts[:, 2])
    whole = at // 1_000_000 * 1_000_000
    stays = np.flatnonzero(lots(whole, parts[part, 0], 7) >= 0.3)
    plain = stays[np.argsort(whole[stays] // MINUTE, kind="stable")]
    assert values.tolist() == value[plain].tolist()
    assert taken.tolist() == whole[plain].tolist()
    assert device.tolist() == parts[part, 0][plain].tolist()
    assert metric.tolist() == parts[part, 1][plain].tolist()
    assert rows < 400 or 0.6 < len(plain) / rows < 0.8


def test_the_file_does_not_hang_on_the_processes(tmp_path: Path) -> None:
    from mimamori.simulate import write_days
    from mimamori.site import load_site

    files = [tmp_path / f"{n}.parquet" for n in (1, 2)]
    for n, file in enumerate(files, 1):
        write_days(load_site(), file, None, count=3, seed=1, bed_every=MINUTE, start=START, days=2, processes=n)
    assert files[0].read_bytes() == files[1].read_bytes()
