"""`mimamori bench store`: bytes a reading of recordings after sealing, and how fast a full embedded store answers.

May import everything from site down. Works on stores of its own in a temporary folder; never on the service's.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np

from mimamori.bench.engine import DAY_MINUTES, START, made_day, made_homes
from mimamori.model.homes import Homes
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY, HOUR, SECOND
from mimamori.progress import progress
from mimamori.site import Site, load_site
from mimamori.store.embedded import FILE, EmbeddedReadings
from mimamori.stream.clock import stopwatch
from mimamori.stream.recorded import RecordedFile

DAYS = 14
A_HOUSEHOLD = DAYS * DAY_MINUTES * 4  # four metrics a minute
ASKED = 200  # questions of each kind, each to a household of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes a reading, all sealed. file: pages in use, tables and indexes with all; raw, figures: the packed parts."""

    recording: str
    readings: int
    file: float
    raw: float
    figures: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Milliseconds of one question, median and 99th percentile over ASKED households.

    day_*: all readings of the last 24 hours. minutes_*: 14 days of minute figures of one metric.
    """

    day_readings: int
    day_ms: float
    day_p99_ms: float
    minutes: int
    minutes_ms: float
    minutes_p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A store of `readings`. running: as a service has it, the newest unsealed. sealed: all in its final place."""

    readings: int
    households: int
    fill_seconds: float
    a_second: float
    waiting: int
    running: Answers
    sealed: Answers
    size: Size


async def sizes(site: Site, recordings: Iterable[Path]) -> list[Size]:
    """Seals each recording into a store of its own. Raises ValueError for a file that is no reading file."""
    found = []
    for path in recordings:
        with tempfile.TemporaryDirectory(prefix="mimamori-store-") as name:
            homes = Homes()
            store = await EmbeddedReadings.open(Path(name), homes=homes, metrics=site.metrics)
            try:
                for batch in RecordedFile(path, homes, site.metrics).batches():
                    await store.append(batch)
                await store.seal()
            finally:
                await store.close()
            found.append(_size(Path(name), path.name))
    return found


def _size(folder: Path, recording: str) -> Size:
    connection = sqlite3.connect(folder / FILE)
    try:
        n, raw, figures = connection.execute(
            "SELECT sum(n), sum(length(body)), sum(length(figures)) FROM chunk"
        ).fetchone()
        pages, free, page = (
            connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    return Size(
        recording=recording, readings=n, file=round((pages - free) * page / n, 2), raw=round(raw / n, 2),
        figures=round(figures / n, 2),
    )  # fmt: skip


async def fill_and_ask(site: Site, readings: int, seed: int, folder: Path | None = None) -> Full:
    """Fills a store with fourteen days of households that tell four metrics a minute, and asks it."""
    households = max(1, round(readings / A_HOUSEHOLD))
    with tempfile.TemporaryDirectory(prefix="mimamori-store-", dir=folder) as name:
        homes, rng = made_homes(households), np.random.default_rng(seed)
        store = await EmbeddedReadings.open(Path(name), homes=homes, metrics=site.metrics)
        try:
            begun = stopwatch()
            with progress("fill", DAYS, "day") as bar:
                for day in range(DAYS):
                    for hour in _hours(made_day(site, households, START + day * DAY, rng)):
                        # whole beats and watts, as sensors tell them
                        await store.append(replace(hour, value=np.round(hour.value)))
                    bar.update(1)
            took = (stopwatch() - begun) / SECOND
            await store.idle()
            waiting = store.counts.waiting
            asked = [f"b{i:07d}" for i in rng.integers(0, households, ASKED)]
            running = await _ask(store, asked)
            await store.seal()
            sealed = await _ask(store, asked)
        finally:
            await store.close()
        size = _size(Path(name), "made up")
    return Full(
        readings=size.readings, households=households, fill_seconds=round(took, 1),
        a_second=round(size.readings / took), waiting=waiting, running=running, sealed=sealed, size=size,
    )  # fmt: skip


async def _ask(store: EmbeddedReadings, households: list[str]) -> Answers:
    end = START + DAYS * DAY
    day_ms, day_rows, minute_ms, minutes = [], 0, [], 0
    for household in households:
        begun = stopwatch()
        day_rows = sum(len(s) for s in await store.scan(household, end - DAY, end))
        day_ms.append(_ms(begun))
    for household in households:
        begun = stopwatch()
        minutes = len((await store.minutes(household, "heart_rate", START, end)).start)
        minute_ms.append(_ms(begun))
    return Answers(
        day_readings=day_rows, day_ms=_median(day_ms), day_p99_ms=_p99(day_ms), minutes=minutes,
        minutes_ms=_median(minute_ms), minutes_p99_ms=_p99(minute_ms),
    )  # fmt: skip


def _hours(batch: ReadingBatch) -> Iterable[ReadingBatch]:
    """A day's batch in its order, an hour at a time."""
    hour = batch.taken // HOUR
    cuts = np.flatnonzero(np.diff(hour, prepend=hour[0] - 1, append=hour[-1] + 1))
    return (batch.take(slice(a, b)) for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _ms(begun: int) -> float:
    return (stopwatch() - begun) / 1e6


def _median(ms: list[float]) -> float:
    return round(float(np.median(ms)), 2)


def _p99(ms: list[float]) -> float:
    return round(float(np.quantile(ms, 0.99)), 2)


@click.command("store")
@click.argument("recordings", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--site", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of the four content folders.")  # fmt: skip
@click.option("--readings", default=0, show_default=True, type=click.IntRange(0, 1_000_000_000),
              help="Also fill a store with so many made-up readings, and ask it.")  # fmt: skip
@click.option("--seed", default=1, show_default=True)
def bench_store(recordings: tuple[Path, ...], site: Path | None, readings: int, seed: int) -> None:
    """Bytes a reading of RECORDINGS once sealed; with --readings, the answers of a full store."""
    loaded = load_site(site)
    try:
        told = {"recordings": [asdict(s) for s in asyncio.run(sizes(loaded, recordings))]}
        full = asdict(asyncio.run(fill_and_ask(loaded, readings, seed))) if readings else None
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(told | {"full": full}, indent=1))
