"""Steps of the engine in a thread of their own, so that messages are taken in meanwhile; one after another.

May import nothing of mimamori. Compiled loops and copies let go of the interpreter's lock, so both really go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")
QUICK_S = 0.02  # wall seconds; a step that is over sooner is waited for: most are


class Judging(Generic[T]):
    """At most one piece of work at a time. still: held while one is under way.

    Whoever changes what the work reads or writes (rules, parameters, the rows that there are) holds `still` meanwhile.
    """

    def __init__(self) -> None:
        self.still = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "judge")
        self._step: asyncio.Future[T] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way, or being changed."""
        return self.still.locked()

    @property
    def done(self) -> bool:
        """Whether a step is over, and `end` does not wait."""
        return self._step is not None and self._step.done()

    @property
    def begun(self) -> bool:
        """Whether there is a step to be ended."""
        return self._step is not None

    async def begin(self, step: Callable[[], T], over: Callable[[], None]) -> None:
        """Starts one; the one before has been ended. Returns soon, over or not; calls `over` once it is."""
        await self.still.acquire()
        self._step = asyncio.get_running_loop().run_in_executor(self._thread, step)
        self._step.add_done_callback(lambda _: over())
        await asyncio.wait([self._step], timeout=QUICK_S)

    async def end(self, after: Callable[[], None]) -> T:
        """What came of the step, or what it raised; `after` is called while all is still held."""
        assert self._step is not None
        step, self._step = self._step, None
        try:
            found = await step
            after()
        finally:
            self.still.release()
        return found

    async def run(self, work: Callable[[], S]) -> S:
        """Something else in the same thread, by whoever holds `still`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Nothing is begun any more."""
        self._thread.shutdown(wait=False)
