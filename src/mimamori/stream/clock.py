"""The one clock of the process: the wall's, or a simulated world's that runs faster. Only app and stream read it."""

from __future__ import annotations

import asyncio
import time

from mimamori.model.times import SECOND

MILLISECOND = SECOND // 1000


class Clock:
    """now() in ns UTC, whole milliseconds, never going back.

    start: where the clock begins, None for the wall's present; then it runs `speed` times as fast as the wall.
    At speed 1 from the present it follows the wall, corrections included, but never backwards: when the wall is set
    back it goes on at half speed until the wall has caught up, since a watch must neither stand still nor go back.
    """

    def __init__(self, *, speed: float = 1.0, start: int | None = None) -> None:
        self.speed = speed
        self._follows_wall = start is None and speed == 1.0
        self._began = time.monotonic_ns()
        self._start = time.time_ns() if start is None else start
        self._newest = 0  # exact; what is told is whole milliseconds
        self._read = self._began

    def now(self) -> int:
        """Nanoseconds UTC of this clock."""
        read = time.monotonic_ns()
        if self._follows_wall:
            at = max(time.time_ns(), self._newest + (read - self._read) // 2)
        else:
            at = self._start + round((read - self._began) * self.speed)
        self._read = read
        self._newest = max(self._newest, at)
        return self._newest // MILLISECOND * MILLISECOND

    def not_before(self, at: int) -> None:
        """Never tell a time before `at`, which an earlier process has told already."""
        self._newest = max(self._newest, at)

    def restart(self, start: int) -> None:
        """Begin again at `start` (ns), with the same speed: the wall went on while the world was being made."""
        self._began = self._read = time.monotonic_ns()
        self._start, self._newest = start, 0

    async def sleep_until(self, at: int) -> None:
        """Returns when now() has reached `at`."""
        while (left := at - self.now()) > 0:
            await asyncio.sleep(max(left / self.speed / SECOND, 0.001))


def wall() -> int:
    """Nanoseconds UTC of the wall clock, for sessions and logs."""
    return time.time_ns()


def stopwatch() -> int:
    """Nanoseconds of a clock that only measures spans."""
    return time.monotonic_ns()
