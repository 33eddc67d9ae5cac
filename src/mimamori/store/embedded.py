"""The embedded reading store: one SQLite file in one folder, no server.

May import model and its neighbours. Reads no clock. The event loop is never blocked: one thread writes, one seals in
the background, two read on their own connections and so never wait for the writer, nor it for them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND
from mimamori.store.copies import copy_file
from mimamori.store.expire import expire, put_expired
from mimamori.store.folder import FILE, Folder
from mimamori.store.history import History, arrivals
from mimamori.store.pack import pack_log
from mimamori.store.readings import Rollup, Series, StoreError
from mimamori.store.seal import Merge, StagedRow, merge, put_merged, put_settled, put_staged, settle, stage
from mimamori.store.segments import DAY_HOURS, HOUR_BITS, HOURS, arrivals_span, connect
from mimamori.store.tail import Tail

__all__ = ["FILE", "EmbeddedReadings"]

RUNS = 24
ROWS_A_BUCKET = 16_384
"""A bucket with so many runs or staged readings is merged into chunks: what a query may have to unpack in passing."""
SETTLES_AFTER, SPREAD = 2, 16
"""Hours after its end at which a day is packed as a whole, and over which the households are spread."""
HOMES_AT_ONCE = 64
"""Households of which old readings are let go in one transaction: some milliseconds of the writer's time."""
BROKEN = (sqlite3.Error, zlib.error, ValueError)
"""What a damaged or full disk, or bytes of a newer version, come out as."""

T = TypeVar("T")


class EmbeddedReadings(Folder):
    """A `ReadingStore`. Make it with `open`; `close` it."""

    @property
    def marks(self) -> Sequence[bytes]:
        """As `ReadingStore.marks`."""
        return self._marks.found

    async def append(self, batch: ReadingBatch, marks: bytes = b"") -> None:
        """Durable when it returns: one transaction. Waits for the sealing if that is far behind."""
        if not len(batch):
            return
        if len(self._tails[-1]) >= 2 * self._stage_at and self._sealing is not None:
            await asyncio.wrap_future(self._sealing)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._append, batch, marks)

    def _append(self, batch: ReadingBatch, marks: bytes) -> None:
        try:
            rows = self._keys.translate(batch, self._homes, self._metrics, self._connection)
            self._log_end = self._marks.log(self._connection, pack_log(rows), marks)
        except sqlite3.Error as error:
            self._counts = replace(self._counts, failed=self._counts.failed + len(batch))
            raise StoreError(f"{self._folder}: cannot store readings: {error}; see to free disk space there") from error
        self._tails[-1].add(rows)
        self._newest = max(self._newest, int(batch.got.max()))
        self._counts = replace(self._counts, appended=self._counts.appended + len(batch))
        if len(self._tails[-1]) >= self._stage_at and (self._sealing is None or self._sealing.done()):
            self._freeze()
            self._sealing = self._sealer.submit(self._seal, everything=False)

    def _freeze(self) -> None:
        if len(self._tails) == 1 and len(self._tails[0]):  # else an earlier staging failed: it is tried again first
            self._frozen_end = self._log_end
            self._tails = (self._tails[0], Tail())

    async def seal(self, *, days: bool = True) -> None:
        """Moves every reading into its chunk, hours into days; for a measurement or a quiet hour. Raises StoreError.

        days: False leaves days that are not over as they are.
        """
        await asyncio.get_running_loop().run_in_executor(self._sealer, self._seal_everything, days)
        if self.trouble:
            raise StoreError(self.trouble)

    async def idle(self) -> None:
        """Returns when no sealing in the background is under way."""
        if self._sealing is not None:
            await asyncio.wrap_future(self._sealing)

    def _seal_everything(self, days: bool) -> None:  # noqa: FBT001 - an executor passes no keywords
        while sum(len(t) for t in self._tails):
            self._writer.submit(self._freeze).result()
            self._seal(everything=True)
            if self.trouble:
                return
        self._seal(everything=True, days=days)

    def _seal(self, *, everything: bool, days: bool = False) -> None:
        """In the sealer's thread: computes beside the writer, which then only writes one step at a time."""
        trouble = self._try(self._stage) if len(self._tails) == 2 else ""
        for bucket in sorted(self._staged):
            if self._closing.is_set():
                break
            if everything or self._due(bucket):
                trouble = self._try(self._merge, bucket) or trouble  # one damaged bucket does not stop the others
        self.trouble = self._settle_days(everything=days) or trouble

    def _settle_days(self, *, everything: bool) -> str:
        """Days that are over; of those twice as many readings as were staged, so that it keeps up and ends soon."""
        trouble, left = "", 2 * self._stage_at
        for (day,) in self._reader().execute("SELECT id FROM open_day").fetchall():
            if self._closing.is_set() or (left <= 0 and not everything):
                break
            over = (day & HOURS) + DAY_HOURS + SETTLES_AFTER + (day >> HOUR_BITS) % SPREAD
            if everything or over * HOUR <= self._newest:
                try:
                    left -= self._settle(day)
                except BROKEN as error:
                    trouble = self._unsealed(error)
        return trouble

    def _settle(self, day: int) -> int:
        row = settle(self._reader(), day, self._keys.device_home)
        self._writer.submit(put_settled, self._connection, day, row).result()
        return row[1] if row else 0

    def _try(self, step: Callable[..., None], *args: int) -> str:
        try:
            step(*args)
        except BROKEN as error:
            return self._unsealed(error)
        return ""

    def _unsealed(self, error: Exception) -> str:
        # readings stay durable where they are; the next round tries again, and the console shows the light
        return f"{self._folder}: cannot seal readings: {error}; see to the disk and its free space"

    def _stage(self) -> None:
        self._writer.submit(self._commit_stage, stage(self._tails[0].rows(), self._run + 1)).result()

    def _merge(self, bucket: int) -> None:
        step = merge(self._reader(), bucket, self._keys.device_home, self._raw_before)
        self._writer.submit(self._commit_merge, bucket, step).result()

    def _due(self, bucket: int) -> bool:
        runs, rows = self._staged[bucket]
        # buckets fill alike; half of the full number comes round for one bucket after the other, never for all at once
        turn = runs >= RUNS // 2 and (bucket + self._run) % (RUNS // 2) == 0
        return turn or runs >= RUNS or rows >= ROWS_A_BUCKET

    def _commit_stage(self, staged: list[StagedRow]) -> None:
        put_staged(self._connection, staged, self._frozen_end)
        self._run += 1
        for key, n, *_ in staged:
            runs, rows = self._staged.get(key >> 32, (0, 0))
            self._staged[key >> 32] = (runs + 1, rows + n)
        self._tails = self._tails[1:]

    def _commit_merge(self, bucket: int, step: Merge) -> None:
        put_merged(self._connection, step)
        del self._staged[bucket]
        self._counts = replace(
            self._counts, sealed=self._counts.sealed + step.sealed,
            duplicates=self._counts.duplicates + step.duplicates, expired=self._counts.expired + step.expired,
        )  # fmt: skip

    async def scan(self, household: str, start: int, end: int, metrics: Sequence[str] | None = None) -> list[Series]:
        """As `ReadingStore.scan`."""
        home = self._keys.household(household)
        if home < 0 or max(start, self._raw_before) >= end:
            return []
        return await self._read(home, lambda history: history.series(max(start, self._raw_before), end, metrics))

    async def minutes(self, household: str, metric: str, start: int, end: int) -> Rollup:
        """As `ReadingStore.minutes`."""
        return await self.rollup(household, metric, start, end, step=MINUTE)

    async def rollup(self, household: str, metric: str, start: int, end: int, *, step: int, offset: int = 0) -> Rollup:
        """As `ReadingStore.rollup`. Raises ValueError for a step or offset that is no whole number of minutes."""
        if step <= 0 or step % MINUTE or offset % MINUTE:
            raise ValueError(f"step {step} ns and offset {offset} ns must be whole minutes")
        home, key = self._keys.household(household), self._keys.metric(metric)
        return await self._read(home, lambda history: history.rollup(key, start, end, step=step, offset=offset))

    async def scan_all(self, start: int, end: int) -> AsyncIterator[ReadingBatch]:
        """As `ReadingStore.scan_all`. Memory: the readings of one hour of all households."""
        loop = asyncio.get_running_loop()
        newest = [tail.rows() for tail in self._tails]  # first, as in `_snapshot`
        connection = connect(self._folder / FILE)
        try:
            connection.execute("BEGIN")
            span = await loop.run_in_executor(self._readers, arrivals_span, connection)
            spans = [(rows.got.min() // SECOND, rows.got.max() // SECOND) for rows in newest if len(rows)]
            spans += [span] if span else []
            if not spans:
                return
            begin = max(start, int(min(s for s, _ in spans)) * SECOND)
            end = min(end, (int(max(s for _, s in spans)) + 1) * SECOND)
            while begin < end:
                stop = min(end, (begin // HOUR + 1) * HOUR)
                found = await loop.run_in_executor(
                    self._readers, lambda a, b: list(arrivals(connection, self._keys, a, b, newest)), begin, stop
                )
                for rows in found:
                    yield self._as_rows(rows)
                begin = stop
        except BROKEN as error:
            raise self._unreadable(error) from error
        finally:
            connection.close()

    def _as_rows(self, rows: ReadingBatch) -> ReadingBatch:
        told, left_out = self._keys.as_rows(rows, self._homes, self._metrics)
        self._counts = replace(self._counts, unknown=self._counts.unknown + left_out)
        return told

    async def prune(self, *, raw_before: int, figures_before: int) -> None:
        """As `ReadingStore.prune`, by whole hours; the disk is freed by whole chunks. Limits never move back."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._sealer, self._prune, raw_before, figures_before)
        except BROKEN as error:
            raise StoreError(f"{self._folder}: cannot let old readings go: {error}") from error

    def _prune(self, raw_before: int, figures_before: int) -> None:
        raw = max(raw_before, figures_before) // HOUR  # figures are made from raw readings and so outlive them
        self._writer.submit(self._retain, raw * HOUR, figures_before // HOUR * HOUR, 0).result()
        raw, figures, done = (max(self._kept[0] // HOUR, 0), max(self._kept[1] // HOUR, 0), self._kept[2])
        households = len(self._keys.households)
        for first in range(0, households, HOMES_AT_ONCE):
            if self._closing.is_set():
                return
            step = expire(
                self._reader(), range(first, min(first + HOMES_AT_ONCE, households)), self._keys.device_home,
                done=done, raw=raw, figures=figures,
            )  # fmt: skip
            if step:
                self._writer.submit(put_expired, self._connection, step).result()
        self._writer.submit(self._retain, NEVER, NEVER, raw).result()

    def _retain(self, *limits: int) -> None:
        kept = tuple(map(max, self._kept, limits))
        self._connection.execute("INSERT OR REPLACE INTO retention VALUES (1, ?, ?, ?)", kept)
        self._kept = kept

    async def backup(self, folder: Path) -> None:
        """A consistent copy, by SQLite's online backup, while readings go on being stored."""
        await asyncio.get_running_loop().run_in_executor(self._readers, copy_file, self._folder / FILE, folder / FILE)

    async def _read(self, home: int, ask: Callable[[History], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._snapshot, home, ask)

    def _snapshot(self, home: int, ask: Callable[[History], T]) -> T:
        newest = [tail.of(home) for tail in self._tails]  # first: what moves meanwhile is seen twice, never missed
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            history = History(
                connection=connection, keys=self._keys, home=home, newest=newest, raw_before=self._kept[0],
                figures_before=self._kept[1],
            )  # fmt: skip
            return ask(history)
        except BROKEN as error:
            raise self._unreadable(error) from error
        finally:
            connection.execute("COMMIT")

    def _unreadable(self, error: Exception) -> StoreError:
        return StoreError(f"{self._folder}: cannot read readings: {error}; restore the newest backup beside it")
