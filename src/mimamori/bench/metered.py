"""What passes through a reading store, for a benchmark: how late it came to the disk, and what lies there in the end.

May import the stores. Adds no work to the store but a histogram.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import NEVER, SECOND
from mimamori.store.keys import Keys
from mimamori.store.pack import unpack, unpack_log
from mimamori.store.readings import ReadingStore, Rollup, Series, StoreCounts
from mimamori.store.segments import connect

LATEST = 60_000  # ms; what was later counts as this
SPAN = 10 * SECOND  # of arrival, told by itself


class Metered:
    """A `ReadingStore` in front of another. clock: ns UTC, the one that the devices' stamps go by.

    steady: ns UTC; what was stamped before it belongs to the start. by_span: ms within which 99 % of what came in each
    SPAN was on the disk, over spans that are full.
    """

    def __init__(self, inner: ReadingStore, clock: Callable[[], int]) -> None:
        self.inner, self._clock = inner, clock
        self.rows = 0
        self.came = asyncio.Event()  # the first of them
        self.steady = NEVER
        self.by_span: list[float] = []
        self._late: NDArray[np.int64] = np.zeros((2, LATEST + 1), np.int64)  # readings by ms: at the start, and steady
        self._span = NEVER
        self._late_in_span = np.zeros(LATEST + 1, np.int64)

    async def append(self, batch: ReadingBatch, marks: bytes = b"") -> None:
        """Notes how long it was from the stamp to the return of the inner store."""
        await self.inner.append(batch, marks)
        now = self._clock()
        late = np.clip((now - batch.taken) // (SECOND // 1000), 0, LATEST)
        steady = batch.taken >= self.steady
        for part, rows in enumerate((late[~steady], late[steady])):
            self._late[part] += np.bincount(rows, minlength=LATEST + 1)
        if now // SPAN != self._span:
            if self._late_in_span.any():
                self.by_span.append(_within(self._late_in_span, 0.99))
            self._span, self._late_in_span[:] = now // SPAN, 0
        self._late_in_span += np.bincount(late, minlength=LATEST + 1)
        self.rows += len(batch)
        self.came.set()

    def now(self) -> int:
        """Its clock."""
        return self._clock()

    def late_ms(self, share: float, *, start: bool = False) -> float:
        """Ms within which this share of the readings was on the disk, steady or at the start; NaN if none came."""
        return _within(self._late[0 if start else 1], share)

    @property
    def counts(self) -> StoreCounts:
        """The inner store's."""
        return self.inner.counts

    @property
    def marks(self) -> Sequence[bytes]:
        """The inner store's."""
        return self.inner.marks

    @property
    def trouble(self) -> str:
        """The inner store's."""
        return self.inner.trouble

    async def scan(self, household: str, start: int, end: int, metrics: Sequence[str] | None = None) -> list[Series]:
        """The inner store's."""
        return await self.inner.scan(household, start, end, metrics)

    async def minutes(self, household: str, metric: str, start: int, end: int) -> Rollup:
        """The inner store's."""
        return await self.inner.minutes(household, metric, start, end)

    async def rollup(self, household: str, metric: str, start: int, end: int, *, step: int, offset: int = 0) -> Rollup:
        """The inner store's."""
        return await self.inner.rollup(household, metric, start, end, step=step, offset=offset)

    def scan_all(self, start: int, end: int) -> AsyncIterator[ReadingBatch]:
        """The inner store's."""
        return self.inner.scan_all(start, end)

    async def prune(self, *, raw_before: int, figures_before: int) -> None:
        """The inner store's."""
        await self.inner.prune(raw_before=raw_before, figures_before=figures_before)

    async def backup(self, folder: Path) -> None:
        """The inner store's."""
        await self.inner.backup(folder)

    async def close(self) -> None:
        """The inner store's."""
        await self.inner.close()


def _within(late: NDArray[np.int64], share: float) -> float:
    total = np.cumsum(late)
    return float(np.searchsorted(total, share * total[-1])) if total[-1] else float("nan")


def instants(path: Path, metric: str) -> tuple[int, int]:
    """(different readings of a metric in an embedded store's file, rows that repeat one of them), wherever they lie.

    Rows that repeat are redeliveries that were not yet sealed.
    """
    connection = connect(path)
    try:
        connection.execute("BEGIN")  # one moment for all three: sealing may go on, and moves rows from one to the next
        keys = Keys(connection)
        wanted, home = keys.metric(metric), keys.device_home
        found: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for (body,) in connection.execute("SELECT body FROM log"):
            rows = unpack_log(body, home)
            found.append(_keys_of(rows.device[rows.metric == wanted], rows.taken[rows.metric == wanted]))
        for table in ("staged", "chunk"):
            for (body,) in connection.execute(f"SELECT body FROM {table} WHERE body IS NOT NULL"):
                rows = unpack(body, home)
                found.append(_keys_of(rows.device[rows.metric == wanted], rows.taken[rows.metric == wanted]))
    finally:
        connection.close()
    told = np.concatenate(found)
    different = len(np.unique(told))
    return different, len(told) - different


def _keys_of(device: NDArray[np.int32], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number a device and millisecond; 2^24 devices and nine years apart are enough for a load."""
    key: NDArray[np.int64] = device.astype(np.int64) << 39 | taken // (SECOND // 1000) % (1 << 39)
    return key
