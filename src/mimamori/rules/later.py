"""Work on all rows that nobody needs at once: done a slice at a time in idle ticks, and in full before it is needed.

May import nothing of mimamori. The work of a row depends on that row alone, and nobody touches what it reads until it
is done: so it is the same however it was cut.
"""

from __future__ import annotations

from collections.abc import Callable

Work = Callable[[int, int], None]
"""(first, last): work on the rows first..last."""


class Later:
    """One such piece of work at a time."""

    def __init__(self, ticks: int) -> None:
        """ticks: in how many idle ticks it is done, if nobody needs it sooner."""
        self._ticks = ticks
        self._work: Work | None = None
        self._done = self._rows = self._slice = 0

    def put(self, work: Work, rows: int) -> None:
        """Work to be done; what was still to do is done first."""
        self.finish()
        self._work, self._done, self._rows, self._slice = work, 0, rows, -(-rows // self._ticks)

    def go_on(self) -> None:
        """A slice of it."""
        if self._work is None:
            return
        last = min(self._done + self._slice, self._rows)
        self._work(self._done, last)
        self._done = last
        if last == self._rows:
            self._work = None

    def finish(self) -> None:
        """All that is left of it."""
        if self._work is not None:
            self._slice = self._rows
            self.go_on()

    def drop(self) -> None:
        """Never mind: the rows are others."""
        self._work = None
