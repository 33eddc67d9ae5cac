"""What is let go and when: a real store, and clocks that cannot be believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import reading_batch
from mimamori.model.times import DAY, HOUR, NEVER, parse_instant
from mimamori.service.retention import Kept, let_go, look_after
from mimamori.settings import read_settings
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.readings import ReadingStore
from mimamori.stream.clock import Clock

NOW = parse_instant("2026-11-24T12:00:00+09:00")
KEPT = Kept(readings=10, figures=30)
AGES = (1, 9, 11, 29, 31)  # days


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ReadingStore]:
    homes, metrics = Homes(), Metrics()
    homes.add_device("h1", "bed")
    made = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=metrics)
    heart = metrics.index("heart_rate")
    times = [NOW - age * DAY for age in sorted(AGES, reverse=True)]
    await made.append(reading_batch([(0, 0, heart, 60.0, t, t, 0) for t in times]))
    await made.seal()
    yield made
    await made.close()


async def left(store: ReadingStore) -> tuple[list[int], list[int]]:
    """Ages in days of the readings and of the minute figures that are still there."""
    readings = [int(t) for s in await store.scan("h1", NOW - 99 * DAY, NOW + DAY) for t in s.taken]
    figures = (await store.minutes("h1", "heart_rate", NOW - 99 * DAY, NOW + DAY)).start.tolist()
    return sorted((NOW - t) // DAY for t in readings), sorted((NOW - t) // DAY for t in figures)


async def test_readings_go_first_and_their_figures_later(store: ReadingStore) -> None:
    await let_go(store, KEPT, NOW, NOW - HOUR)
    assert await left(store) == ([1, 9], [1, 9, 11, 29])


async def test_zero_keeps_for_ever(store: ReadingStore) -> None:
    await let_go(store, Kept(readings=0, figures=0), NOW, NEVER)
    assert await left(store) == ([1, 9, 11, 29, 31], [1, 9, 11, 29, 31])
    await let_go(store, Kept(readings=10, figures=0), NOW, NEVER)
    assert await left(store) == ([1, 9], [1, 9, 11, 29, 31])


async def test_a_clock_that_has_leapt_empties_nothing(store: ReadingStore, caplog: pytest.LogCaptureFixture) -> None:
    await let_go(store, KEPT, NOW + 3650 * DAY, NOW)
    assert await left(store) == ([1, 9, 11, 29, 31], [1, 9, 11, 29, 31])
    assert "3650 days ahead" in caplog.text


async def test_the_service_looks_after_it_from_its_start(store: ReadingStore) -> None:
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(look_after(store, Clock(start=NOW), stop, KEPT, NOW - DAY), 20)
    assert await left(store) == ([1, 9], [1, 9, 11, 29])


@pytest.mark.parametrize(
    ("readings", "figures", "words"),
    [
        ("3", "1830", "MIMAMORI_KEEP_READINGS_DAYS is 3; keep them 7 days at least"),
        ("-1", "1830", "MIMAMORI_KEEP_READINGS_DAYS is -1"),
        ("400", "100", "MIMAMORI_KEEP_FIGURES_DAYS is 100; figures outlive readings"),
        ("0", "1830", "figures outlive readings \\(for ever\\)"),
        ("a year", "1830", "MIMAMORI_KEEP_READINGS_DAYS is 'a year'; write a number such as 400"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(tmp_path: Path, readings: str, figures: str, words: str) -> None:
    told = {"MIMAMORI_KEEP_READINGS_DAYS": readings, "MIMAMORI_KEEP_FIGURES_DAYS": figures}
    with pytest.raises(ValueError, match=words):
        read_settings(told, data=tmp_path)
