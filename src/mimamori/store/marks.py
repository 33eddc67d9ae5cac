"""What lies beside the newest readings for who takes them in: marks by which it knows a message that comes again.

May import its neighbours. Opaque here; on the disk with the batch it came with, or not at all.
"""

from __future__ import annotations

import sqlite3
from collections import deque

KEPT = 4 * 1024 * 1024
"""Bytes: the newest sixty thousand marks and some more."""


class Marks:
    """The table `unstamped`, bounded. Only the writer's thread calls `log`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.found: list[bytes] = [body for (body,) in connection.execute("SELECT body FROM unstamped ORDER BY id")]
        sizes = connection.execute("SELECT id, length(body) FROM unstamped ORDER BY id").fetchall()
        self._rows: deque[tuple[int, int]] = deque(sizes)
        self._size = sum(size for _, size in sizes)

    def log(self, connection: sqlite3.Connection, body: bytes, marks: bytes) -> int:
        """The batch into the log, and its marks if there are any, in one commit; its id in the log."""
        if not marks:
            return connection.execute("INSERT INTO log (body) VALUES (?)", (body,)).lastrowid or 0
        rows, size, gone = deque(self._rows), self._size + len(marks), -1
        while rows and size > KEPT:
            gone, old = rows.popleft()
            size -= old
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            logged = connection.execute("INSERT INTO log (body) VALUES (?)", (body,)).lastrowid or 0
            new = connection.execute("INSERT INTO unstamped (body) VALUES (?)", (marks,)).lastrowid or 0
            if gone >= 0:
                connection.execute("DELETE FROM unstamped WHERE id <= ?", (gone,))
        rows.append((new, len(marks)))
        self._rows, self._size = rows, size
        return logged
