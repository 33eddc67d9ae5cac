"""`mimamori bench influx`: what an InfluxDB 1.x as shipped takes by itself, and what our spool hands on to it.

May import site, influxd and the stores. Prepared line protocol shows the server's own limit on this machine; the spool
shows ours, with the same points. Both after every household has been written once, which costs more than the rest.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import numpy as np

from mimamori.bench.ingest import METRICS
from mimamori.influxd import DATABASE, Influxd
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import SECOND
from mimamori.mosquitto import free_port
from mimamori.site import Site
from mimamori.store.influx import LANES, LINES, InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.lines import lines_of
from mimamori.store.spool import Spool
from mimamori.stream.clock import stopwatch

NAMES = ("heart_rate", "respiration_rate", "body_movement", "in_bed")
BEGUN = 1_795_380_000 * SECOND
A_BATCH = 2400  # messages, a tenth of a second of a hundred thousand households


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Messages (points of four metrics) a second of the wall, and processor microseconds a message."""

    a_second: int
    influx_us: float
    own_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Influx:
    """prepared: line protocol made beforehand. spooled: readings that wait in the spool. load: the machine's, 1 min."""

    messages: int
    households: int
    prepared: Taken
    spooled: Taken
    influx_memory_mb: float
    load: float


async def measure(site: Site, messages: int, households: int, seed: int) -> Influx:
    """Raises OSError if influxd is not installed. Needs some 300 bytes of memory a message."""
    homes = Homes()
    for i in range(households):
        homes.add_device(f"H{i:06}", "bed1", "bed-sensor")
    with tempfile.TemporaryDirectory(prefix="mimamori-influx-") as name:
        folder = Path(name)
        influx = Influxd(site, folder / "influx")
        await influx.start()
        try:
            first = list(_load(site.metrics, households, households, BEGUN, seed))
            await _spool(influx, folder / "first", homes, site.metrics, first)
            begun = BEGUN + 3600 * SECOND
            asked = list(_load(site.metrics, messages, households, begun, seed))
            prepared = await _prepared(influx, folder / "names", homes, site.metrics, asked)
            asked = list(_load(site.metrics, messages, households, begun + 3600 * SECOND, seed))
            spooled = await _spool(influx, folder / "spool", homes, site.metrics, asked)
            return Influx(
                messages=messages, households=households, prepared=prepared, spooled=spooled,
                influx_memory_mb=influx.peak_mb(), load=round(os.getloadavg()[0], 1),
            )  # fmt: skip
        finally:
            await influx.stop()


def _load(metrics: Metrics, messages: int, households: int, begun: int, seed: int) -> Iterator[ReadingBatch]:
    rng = np.random.default_rng(seed)
    indexes = np.array([metrics.index(name) for name in NAMES], np.int16)
    for first in range(0, messages, A_BATCH):
        n = min(A_BATCH, messages - first)
        device = np.repeat(((first + np.arange(n)) % households).astype(np.int32), METRICS)
        taken = np.repeat(begun + (first + np.arange(n)) * SECOND // 24_000 // 1_000_000 * 1_000_000, METRICS)
        in_bed = np.tile(np.arange(METRICS) == METRICS - 1, n)
        yield ReadingBatch(
            home=device, device=device, metric=np.tile(indexes, n),
            value=np.where(in_bed, 1.0, np.round(rng.uniform(10, 90, METRICS * n), 1)), taken=taken,
            got=taken + SECOND // 50, flags=np.zeros(METRICS * n, np.uint8),
        )  # fmt: skip


async def _prepared(influx: Influxd, folder: Path, homes: Homes, metrics: Metrics, asked: list[ReadingBatch]) -> Taken:
    """As many requests at once as the spool has under way, of as many lines."""
    spool = Spool(folder)  # for its names alone
    lines: list[bytes] = []
    for batch in asked:
        rows = spool.keys.translate(batch, homes, metrics, spool._connection)  # noqa: SLF001
        lines += lines_of(rows, spool.keys, np.zeros(len(rows), bool))
    spool.close()
    bodies = iter([b"\n".join(lines[i : i + LINES]) for i in range(0, len(lines), LINES)])
    where = {"db": DATABASE, "precision": "n"}

    async def lane(session: aiohttp.ClientSession) -> None:
        for body in bodies:  # shared: whoever is free takes the next
            async with session.post(f"{influx.url}/write", params=where, data=io.BytesIO(body)) as answer:
                answer.raise_for_status()

    async with aiohttp.ClientSession() as session:
        used = _Used(influx)
        await asyncio.gather(*(lane(session) for _ in range(LANES)))
        return used.by(len(lines))


async def _spool(influx: Influxd, folder: Path, homes: Homes, metrics: Metrics, asked: list[ReadingBatch]) -> Taken:
    """Puts all into a spool whose server is away, and then times how it is caught up."""
    away = Server(url=f"http://127.0.0.1:{free_port()}", bucket=DATABASE)
    store = await InfluxReadings.open(folder, away, homes=homes, metrics=metrics, pause=3600)
    for batch in asked:
        await store.append(batch)
    await store.close()
    store = await InfluxReadings.open(folder, Server(url=influx.url, bucket=DATABASE), homes=homes, metrics=metrics)
    used = _Used(influx)
    await store.flush()
    taken = used.by(sum(map(len, asked)) // METRICS)
    await store.close()
    return taken


class _Used:
    """Time and processors from its making on."""

    def __init__(self, influx: Influxd) -> None:
        self._influx = influx
        self._begun, self._own, self._others = stopwatch(), _own(), influx.cpu()

    def by(self, messages: int) -> Taken:
        seconds = (stopwatch() - self._begun) / SECOND
        return Taken(
            a_second=round(messages / seconds), own_us=round((_own() - self._own) / messages * 1e6, 2),
            influx_us=round((self._influx.cpu() - self._others) / messages * 1e6, 2),
        )  # fmt: skip


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def told(figures: Influx) -> str:
    """As JSON, one figure a line."""
    return json.dumps(asdict(figures), indent=1)
