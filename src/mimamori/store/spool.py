"""The spool in front of a reading store on a server: an SQLite log on the local disk, first in, first out.

May import model and its neighbours. One thread uses it, except `unsent`. Reads no clock, speaks to no server.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import NEVER
from mimamori.store.keys import Keys
from mimamori.store.marks import Marks
from mimamori.store.pack import LOG_ROW, pack_log, unpack_log
from mimamori.store.segments import NAMES_AND_LOG, UPGRADES, connect, prepare, take_lock

FILE = "spool.sqlite"
SCHEMA = f"""{NAMES_AND_LOG}
CREATE TABLE hour (id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE TABLE refused (id INTEGER PRIMARY KEY, line TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE retention (one INTEGER PRIMARY KEY CHECK (one = 1), raw_before INTEGER NOT NULL,
    figures_before INTEGER NOT NULL);
"""
# hour: of readings on the server, by hours since 1970 of `taken`, between which `got` (ns UTC) they came.
KEPT_REFUSED = 10_000

Hours = dict[int, tuple[int, int]]


class Spool:
    """The file in `folder`. Raises StoreError if another process has it open, ValueError if a newer version made it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self.is_new = not self.path.exists()
        self._lock = take_lock(folder)
        self._connection = connect(self.path, write=True)
        try:
            prepare(self._connection, self.path, SCHEMA, {2: UPGRADES[2]})
        except ValueError:
            self.close()
            raise
        self.keys, self.marks = Keys(self._connection), Marks(self._connection)
        ask = self._connection.execute
        (size,) = ask("SELECT coalesce(sum(length(body)), 0) FROM log").fetchone()
        self.waiting: int = size // LOG_ROW
        kept = ask("SELECT raw_before, figures_before FROM retention").fetchone()
        self.raw_before: int = kept[0] if kept else NEVER
        self.figures_before: int = kept[1] if kept else NEVER
        self.hours: Hours = {hour: (first, last) for hour, first, last in ask("SELECT id, first, last FROM hour")}

    def close(self) -> None:
        """What is in it stays for the next start."""
        self._connection.close()
        self._lock.close()

    def put(self, batch: ReadingBatch, homes: Homes, metrics: Metrics, marks: bytes = b"") -> None:
        """On the disk when it returns. Raises sqlite3.Error, and then none of it is."""
        rows = self.keys.translate(batch, homes, metrics, self._connection)
        self.marks.log(self._connection, pack_log(rows), marks)
        self.waiting += len(rows)

    def head(self, rows: int) -> tuple[int, ReadingBatch]:
        """(log id up to which they are, the oldest unsent readings in order of arrival): about `rows`, 0 if none."""
        last, parts, n = 0, [], 0
        for last, body in self._connection.execute("SELECT id, body FROM log ORDER BY id"):  # noqa: B007 - told below
            parts.append(unpack_log(body, self.keys.device_home))
            n += len(parts[-1])
            if n >= rows:
                break
        return last, concat(parts)

    def sent(self, last: int, rows: int, hours: Hours, refused: Iterable[tuple[str, str]]) -> None:
        """The readings up to log id `last` (so many rows) are on the server, but for the lines it refused."""
        wider = {hour: _wider(self.hours.get(hour), span) for hour, span in hours.items()}
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR REPLACE INTO hour VALUES (?, ?, ?)", [(hour, *span) for hour, span in wider.items()]
            )
            self._connection.executemany("INSERT INTO refused (line, reason) VALUES (?, ?)", refused)
            self._connection.execute(
                "DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?", (KEPT_REFUSED,)
            )
            self._connection.execute("DELETE FROM log WHERE id <= ?", (last,))
        self.hours.update(wider)
        self.waiting -= rows

    def retain(self, raw_before: int, figures_before: int) -> None:
        """Limits never move back."""
        raw, figures = max(raw_before, self.raw_before), max(figures_before, self.figures_before)
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT OR REPLACE INTO retention VALUES (1, ?, ?)", (raw, figures))
        self.raw_before, self.figures_before = raw, figures

    def unsent(self) -> ReadingBatch:
        """All that is not on the server yet, in order of arrival; on a connection of its own, from any thread."""
        connection = connect(self.path)
        try:
            found = connection.execute("SELECT body FROM log ORDER BY id").fetchall()
        finally:
            connection.close()
        rows = concat(unpack_log(body, self.keys.device_home) for (body,) in found)
        return rows.take(rows.taken >= self.raw_before)


def _wider(known: tuple[int, int] | None, span: tuple[int, int]) -> tuple[int, int]:
    return span if known is None else (min(known[0], span[0]), max(known[1], span[1]))
