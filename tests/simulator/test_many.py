"""Several processes make the same batches, and each batch is what one sort of everything would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.simulator.days import Timeline, simulate
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import day_of
from mimamori.simulator.loops import by_cell, order_of
from mimamori.simulator.many import simulate_days
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
    told = [
        list(simulate_days(homes, start=START, end=START + 2 * DAY, seed=5, events=over_midnight(homes), processes=n))
        for n in (1, 2)
    ]
    assert len(told[0]) == len(told[1]) >= 2
    assert all(same(a, b) for a, b in zip(*told, strict=True))


def test_whoever_stops_early_leaves_no_process(full: tuple[SimulatedHome, ...]) -> None:
    days = simulate_days(full[:2], start=START, end=START + 300 * DAY, seed=5, processes=2)
    assert len(next(days)) > 2_000  # of an hour
    days.close()  # type: ignore[attr-defined]


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
def test_cells_come_in_order_and_their_rows_as_they_stand(rows: int) -> None:
    dice = np.random.default_rng(2)
    at, kept = dice.integers(0, 5000, rows), dice.random(rows) < 0.7
    plain = [i for i in np.argsort(at // 60, kind="stable").tolist() if kept[i]]
    assert by_cell(at, 60, kept).tolist() == plain


def test_the_file_does_not_hang_on_the_processes(tmp_path: Path) -> None:
    from mimamori.simulate import write_days
    from mimamori.site import load_site

    files = [tmp_path / f"{n}.parquet" for n in (1, 2)]
    for n, file in enumerate(files, 1):
        write_days(load_site(), file, None, count=3, seed=1, bed_every=MINUTE, start=START, days=2, processes=n)
    assert files[0].read_bytes() == files[1].read_bytes()
