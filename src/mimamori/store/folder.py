"""An embedded reading store's folder while it is open: its file, what of it is in memory, and the threads at work.

May import model and its neighbours. Decides nothing; who stores, seals and asks is in `embedded`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import NEVER
from mimamori.store.keys import Keys
from mimamori.store.marks import Marks
from mimamori.store.pack import unpack_log
from mimamori.store.readings import StoreCounts
from mimamori.store.segments import connect, prepare, take_lock
from mimamori.store.tail import Tail, tail_of

STAGE_AT = 2_000_000
"""Readings in memory before they are staged: 62 MB, 25 s of 100,000 households, some milliseconds to search."""
FILE = "readings.sqlite"


class Folder:
    """Make it with `open`; `close` it."""

    def __init__(self, folder: Path, homes: Homes, metrics: Metrics, stage_at: int) -> None:
        self._folder, self._homes, self._metrics, self._stage_at = folder, homes, metrics, stage_at
        self._counts = StoreCounts()
        self._writer = ThreadPoolExecutor(1, "readings-write")
        self._sealer = ThreadPoolExecutor(1, "readings-seal")
        self._readers = ThreadPoolExecutor(2, "readings-read")
        self._own = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._sealing: Future[None] | None = None
        self._closing = threading.Event()
        self.trouble = ""  # why the last sealing in the background failed, for the console; "" = well

    @classmethod
    async def open(cls, folder: Path, *, homes: Homes, metrics: Metrics, stage_at: int = STAGE_AT) -> Self:
        """Makes or opens it. Raises StoreError if another process has it, ValueError if a newer version wrote it."""
        store = cls(folder, homes, metrics, stage_at)
        try:
            await asyncio.get_running_loop().run_in_executor(store._writer, store._open)
        except BaseException:
            for pool in (store._writer, store._sealer, store._readers):
                pool.shutdown()
            raise
        return store

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self._folder)
        path = self._folder / FILE
        self._connection = connect(path, write=True)
        try:
            prepare(self._connection, path)
        except ValueError:
            self._connection.close()
            self._lock.close()
            raise
        ask = self._connection.execute
        self._keys, self._marks = Keys(self._connection), Marks(self._connection)
        logged = ask("SELECT id, body FROM log ORDER BY id").fetchall()
        self._log_end = logged[-1][0] if logged else 0
        # the frozen tails come first: they are being staged; the last one grows
        self._tails: tuple[Tail, ...] = (tail_of([unpack_log(body, self._keys.device_home) for _, body in logged]),)
        self._frozen_end = 0
        runs = ask("SELECT id >> 32, count(*), sum(n), max(id & 4294967295) FROM staged GROUP BY 1").fetchall()
        self._staged: dict[int, tuple[int, int]] = {bucket: (count, n) for bucket, count, n, _ in runs}
        self._run = max((run for *_, run in runs), default=0)
        self._newest = NEVER  # `got` of what came since we opened it
        self._kept = ask("SELECT raw_before, figures_before, done FROM retention").fetchone() or (NEVER, NEVER, 0)

    @property
    def _raw_before(self) -> int:
        return self._kept[0]

    @property
    def counts(self) -> StoreCounts:
        """What passed through since the store was opened."""
        waiting = sum(len(t) for t in self._tails) + sum(n for _, n in list(self._staged.values()))
        return replace(self._counts, waiting=waiting)

    async def close(self) -> None:
        """Ends the sealing after its present step; the rest is sealed after the next start."""
        self._closing.set()
        loop = asyncio.get_running_loop()
        for pool in (self._sealer, self._readers, self._writer):
            await loop.run_in_executor(None, pool.shutdown)
        for connection in (*self._reading, self._connection):
            connection.close()
        self._lock.close()

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = connect(self._folder / FILE)
            self._reading.append(connection)
        return connection
