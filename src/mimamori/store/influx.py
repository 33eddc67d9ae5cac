"""The reading store on an InfluxDB server (1.x, 2.x or 3.x): a spool on the local disk, and one task that empties it.

May import model and its neighbours. Reads no clock. `append` never waits for the server: a reading is durable in the
spool, goes to the server in order of arrival, and only then leaves the spool; a server that is away is caught up later.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.store import tell
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.influxql import LargeError, RefusedError, Server
from mimamori.store.lines import figure_lines, lines_of
from mimamori.store.pack import starts_of
from mimamori.store.readings import Rollup, Series, StoreCounts, StoreError
from mimamori.store.spool import Hours, Spool

BATCH = 60_000
"""Readings taken off the spool at a time; bounds memory whatever has piled up."""
LINES = 10_000  # a request
LANES = 2
"""Requests under way at once, each with its own devices: the server reads one while it stores the other."""
LINGER = 0.2  # s; what arrives together is sent together
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # s between attempts: doubling, with jitter
LAST = 2**63 - 1

T = TypeVar("T")
log = logging.getLogger(__name__)


class InfluxReadings:
    """A `ReadingStore`. Make it with `open`; `close` it. pause: s before the second attempt, doubling after it."""

    def __init__(self, spool: Spool, server: Server, homes: Homes, metrics: Metrics, pause: float) -> None:
        self._spool, self._server, self._homes, self._metrics, self._pause = spool, server, homes, metrics, pause
        self._counts = StoreCounts()
        self._writer = ThreadPoolExecutor(1, "spool-write")
        self._work, self._idle = asyncio.Event(), asyncio.Event()
        self._tried = asyncio.Event()
        self._random = np.random.default_rng()
        self._floor = LAST  # newest `taken` on the server when we began; LAST until we have asked
        self._newest = np.empty(0, np.int64)  # by device key: newest `taken` that we have sent
        self._pusher: asyncio.Task[None] | None = None
        self.trouble = ""

    @classmethod
    async def open(
        cls, folder: Path, server: Server, *, homes: Homes, metrics: Metrics, pause: float = FIRST_PAUSE
    ) -> InfluxReadings:
        """Opens the spool in `folder`; the server need not be there. Raises StoreError or ValueError as `Spool`."""
        store = cls(await asyncio.to_thread(Spool, folder), server, homes, metrics, pause)
        store._work.set()
        store._pusher = asyncio.create_task(store._push_on(), name="influx")
        return store

    @property
    def counts(self) -> StoreCounts:
        """What passed through since the store was opened."""
        return replace(self._counts, waiting=self._spool.waiting)

    @property
    def marks(self) -> Sequence[bytes]:
        """As `ReadingStore.marks`."""
        return self._spool.marks.found

    async def append(self, batch: ReadingBatch, marks: bytes = b"") -> None:
        """Durable in the spool when it returns. When the disk is full the broker keeps what we cannot."""
        if not len(batch):
            return
        try:
            await self._on_writer(lambda: self._spool.put(batch, self._homes, self._metrics, marks))
        except sqlite3.Error as error:
            self._counts = replace(self._counts, failed=self._counts.failed + len(batch))
            raise StoreError(f"{self._spool.path}: cannot store readings: {error}; see to free disk space") from error
        self._counts = replace(self._counts, appended=self._counts.appended + len(batch))
        self._idle.clear()
        self._work.set()

    async def flush(self) -> None:
        """Returns when the server has everything. Raises StoreError when an attempt fails meanwhile."""
        self._tried.clear()
        self._work.set()
        while self._spool.waiting:
            waits = [asyncio.create_task(e.wait()) for e in (self._idle, self._tried)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if self._tried.is_set() and not self._idle.is_set():
                raise StoreError(self.trouble)

    # -- to the server -------------------------------------------------------------------------------------------

    async def _push_on(self) -> None:
        pause = self._pause
        while True:
            try:
                if self._floor == LAST:
                    await self._begin()
                more = await self._push_some()
            except (StoreError, sqlite3.Error) as error:
                if not self.trouble:
                    log.warning("readings wait on the local disk: %s", error)
                self.trouble = f"{error} (waiting on the local disk)"
                self._tried.set()
                wait = max(pause * self._random.uniform(0.5, 1.5), getattr(error, "after", 0.0))
                pause = min(2 * pause, LONGEST_PAUSE)
                await asyncio.sleep(wait)
                continue
            pause = self._pause
            self.trouble = ""
            if not more:
                self._work.clear()
                if not self._spool.waiting:
                    self._idle.set()
                    await self._work.wait()
                await asyncio.sleep(LINGER)

    async def _begin(self) -> None:
        """What the server holds: later readings than its newest cannot be there already."""
        tables = (await self._server.ask('SELECT last("got") FROM readings'))[0]
        floor = int(tables[0][2][0][0]) if tables else NEVER
        if floor != NEVER and not self._spool.hours:  # the spool is new, the database is not
            hours = await tell.hours_of(self._server, floor)
            await self._on_writer(lambda: self._spool.sent(0, 0, hours, ()))
        self._floor = floor

    async def _push_some(self) -> bool:
        last, rows = await self._on_writer(lambda: self._spool.head(BATCH))
        if not last:
            return False
        kept = _first_in_order(rows.take(rows.taken >= self._spool.raw_before))
        expired = int((rows.taken < self._spool.raw_before).sum())
        kept, known = await self._without_duplicates(kept)
        lanes = [kept.device % LANES == lane for lane in range(LANES)]
        written = await asyncio.gather(
            *(self._write_lane(kept.take(mine), known[mine]) for mine in lanes), return_exceptions=True
        )
        refused = []
        for told in written:  # all have ended by now: nothing of a batch is under way when it is tried again
            if isinstance(told, BaseException):
                raise told
            refused += told
        aside = [(line.decode(), reason) for line, reason in refused]
        await self._on_writer(lambda: self._spool.sent(last, len(rows), _hours(kept), aside))
        np.maximum.at(self._newest, kept.device, kept.taken)
        self._counts = replace(
            self._counts, sealed=self._counts.sealed + len(kept), expired=self._counts.expired + expired,
            duplicates=self._counts.duplicates + len(rows) - len(kept) - expired,
            refused=self._counts.refused + len(refused),
        )  # fmt: skip
        for _, reason in refused[:1]:
            log.error("InfluxDB refuses %d lines; they are set aside in the spool: %s", len(refused), reason)
        return True

    async def _write_lane(self, rows: ReadingBatch, known: np.ndarray) -> list[tuple[bytes, str]]:
        """Writes the rows of some devices, one request after the other, so that each device's go in order."""
        lines = lines_of(rows, self._spool.keys, known) if len(rows) else []
        refused = []
        for begin in range(0, len(lines), LINES):
            refused += await self._write(lines[begin : begin + LINES])
        return refused

    async def _write(self, lines: list[bytes]) -> list[tuple[bytes, str]]:
        """Writes them, halving a refused request until the lines to blame stand alone; those, with the reason."""
        try:
            await self._server.write(lines)
        except (RefusedError, LargeError) as error:
            if len(lines) == 1:
                return [(lines[0], str(error))]
            middle = len(lines) // 2
            return await self._write(lines[:middle]) + await self._write(lines[middle:])
        return []

    async def _without_duplicates(self, rows: ReadingBatch) -> tuple[ReadingBatch, np.ndarray]:
        """(rows that the server does not have, whether it has other metrics of their instant).

        Only what is not newer than all we know of its device can be there already; that alone is asked for.
        """
        devices = len(self._spool.keys.devices)
        if len(self._newest) < devices:
            wider = np.full(max(devices, 2 * len(self._newest)), self._floor, np.int64)
            wider[: len(self._newest)] = self._newest
            self._newest = wider
        suspect = np.flatnonzero(rows.taken <= self._newest[rows.device])
        new, known = np.ones(len(rows), bool), np.zeros(len(rows), bool)
        if len(suspect):
            there = await tell.points_there(self._server, self._spool.keys, rows.take(suspect))
            for i in suspect.tolist():
                names = there.get((int(rows.device[i]), int(rows.taken[i])))
                if names is not None:
                    known[i] = True
                    new[i] = self._spool.keys.metrics[int(rows.metric[i])] not in names
        return rows.take(new), known[new]

    # -- from the server -----------------------------------------------------------------------------------------

    async def scan(self, household: str, start: int, end: int, metrics: Sequence[str] | None = None) -> list[Series]:
        """As `ReadingStore.scan`: the server's, and what still waits here."""
        start = max(start, self._spool.raw_before)
        newest = await self._unsent(household)
        return await tell.series(self._server, self._spool.keys, household, (start, end), metrics, newest)

    async def minutes(self, household: str, metric: str, start: int, end: int) -> Rollup:
        """As `ReadingStore.minutes`."""
        return await self.rollup(household, metric, start, end, step=MINUTE)

    async def rollup(self, household: str, metric: str, start: int, end: int, *, step: int, offset: int = 0) -> Rollup:
        """As `ReadingStore.rollup`, from minute figures that the server computes."""
        newest = await self._unsent(household)
        newest = newest.take(newest.metric == self._spool.keys.metric(metric))
        limits = (self._spool.figures_before, self._spool.raw_before, self._oldest(), self._latest())
        cells = await tell.cells(
            self._server, self._spool.keys, household, metric, (start, end + step), limits, newest
        )  # fmt: skip
        return tell.rolled(cells, start, end, step=step, offset=offset)

    async def scan_all(self, start: int, end: int) -> AsyncIterator[ReadingBatch]:
        """As `ReadingStore.scan_all`. Raises AwayError when the server is not there."""
        if self._floor == LAST:
            await self._begin()
        newest = await asyncio.to_thread(self._spool.unsent)
        spans = list(self._spool.hours.values())
        if len(newest):
            spans.append((int(newest.got.min()), int(newest.got.max())))
        if not spans:
            return
        begin, end = max(start, min(s for s, _ in spans)), min(end, max(last for _, last in spans) + 1)
        fields = await tell.metrics_there(self._server)
        step = MINUTE // 2
        while begin < end:
            stop = min(end, begin + step)
            rows, unknown = await tell.arrivals(
                self._server, fields, dict(self._spool.hours), (begin, stop), self._homes, self._metrics
            )
            near = newest.take((newest.got >= begin) & (newest.got < stop))
            waiting, left_out = self._spool.keys.as_rows(near, self._homes, self._metrics)
            self._counts = replace(self._counts, unknown=self._counts.unknown + unknown + left_out)
            for batch in tell.in_order([rows, waiting]):
                yield batch
            begin = stop
            step = step * 2 if len(rows) < tell.ROWS_A_BATCH else max(step // 2, MINUTE // 60)

    async def _unsent(self, household: str) -> ReadingBatch:
        """What of a household is not on the server yet; asked for first, so that nothing is missed on its way."""
        rows = await asyncio.to_thread(self._spool.unsent)
        return rows.take(rows.home == self._spool.keys.household(household))

    def _oldest(self) -> int:
        return min(self._spool.hours, default=0) * HOUR

    def _latest(self) -> int:
        return (max(self._spool.hours, default=0) + 1) * HOUR

    # -- housekeeping --------------------------------------------------------------------------------------------

    async def prune(self, *, raw_before: int, figures_before: int) -> None:
        """As `ReadingStore.prune`. 3.x deletes nothing by query: there the bucket's own retention frees the disk."""
        raw = max(raw_before, figures_before) // HOUR * HOUR
        figures = figures_before // HOUR * HOUR
        await self.flush()
        for household in await tell.households_there(self._server):
            for device, told in await tell.figures_to_keep(
                self._server, household, (max(self._spool.raw_before, self._oldest()), raw)
            ):
                lines = figure_lines(household, device, told)
                for begin in range(0, len(lines), LINES):
                    await self._write(lines[begin : begin + LINES])
        await self._on_writer(lambda: self._spool.retain(raw, figures))
        await self._server.ask(
            f"DELETE FROM readings WHERE time < {max(raw, 0)}", f"DELETE FROM figures WHERE time < {max(figures, 0)}"
        )

    async def backup(self, folder: Path) -> None:
        """The readings, row by row, as an embedded store in `folder`. Minute figures older than those stay behind."""
        copy = await EmbeddedReadings.open(folder, homes=self._homes, metrics=self._metrics)
        try:
            async for batch in self.scan_all(NEVER, LAST):
                await copy.append(batch)
            await copy.seal()
        finally:
            await copy.close()

    async def close(self) -> None:
        """Stops sending; what is in the spool goes on its way after the next start."""
        if self._pusher is not None:
            self._pusher.cancel()
            await asyncio.gather(self._pusher, return_exceptions=True)
        await asyncio.to_thread(self._writer.shutdown)
        self._spool.close()
        await self._server.close()

    async def _on_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


def _first_in_order(rows: ReadingBatch) -> ReadingBatch:
    """Of equal readings the first that came, still in order of arrival."""
    order = np.lexsort((rows.taken, rows.metric, rows.device))
    sorted_rows = rows.take(order)
    return rows.take(np.sort(order[starts_of(sorted_rows.device, sorted_rows.metric, sorted_rows.taken)]))


def _hours(rows: ReadingBatch) -> Hours:
    hour = rows.taken // HOUR
    spans: Hours = {}
    for one in np.unique(hour).tolist():
        got = rows.got[hour == one]
        spans[one] = (int(got.min()), int(got.max()))
    return spans
