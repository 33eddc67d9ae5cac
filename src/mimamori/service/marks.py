"""Snapshots of the engine, kept in the ledger now and then: a restart goes on from the newest.

May import judging, snapshot, lights and store. Messages are taken in and ticks go on while one is packed and written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch
from mimamori.rules.engine import FORMAT
from mimamori.service.judging import Judging
from mimamori.service.lights import Lights
from mimamori.service.snapshot import pack
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.records import EngineMark

EVERY_S = 30.0  # wall seconds between snapshots
SHARE = 20  # and so many times what the last one took: that of 100,000 households is hundreds of megabytes


@dataclass(slots=True, kw_only=True)
class Marks:
    """At most one snapshot is under way. The first is due at once: a service that keeps dying still gets on.

    counts: the service's, of which "ledger_failures" are counted here.
    """

    ledger: Ledger
    lights: Lights
    judging: Judging[FindingBatch]
    counts: Counter[str]
    _due: float = 0.0
    _keeping: asyncio.Task[None] | None = None

    @property
    def due(self) -> bool:
        """Whether one is to be begun after this tick."""
        return _wall() >= self._due and (self._keeping is None or self._keeping.done())

    async def begin(self, now: int, digest: str, snapshot: Callable[[], dict[str, NDArray[Any]]]) -> None:
        """Starts the one of the tick at `now`, whose events the ledger has. digest: of the rules it was made by."""
        await self.judging.still.acquire()  # from here on: the snapshot is of this tick and no later one
        self._keeping = asyncio.create_task(self._keep(now, digest, snapshot), name="snapshot")

    async def end(self) -> None:
        """Returns when none is under way; the next is due at once."""
        if self._keeping is not None:
            await self._keeping
        self._due = _wall()

    async def _keep(self, now: int, digest: str, snapshot: Callable[[], dict[str, NDArray[Any]]]) -> None:
        """Holds the engine still until its state is copied.

        One that is a little older than the newest events is well: a restart catches up with the readings since, and
        holds what fires against the book.
        """
        begun = _wall()
        try:
            arrays = await self.judging.run(snapshot)
        finally:
            self.judging.still.release()
        blob = await asyncio.to_thread(pack, arrays)
        mark = EngineMark(at=now, version=FORMAT, digest=digest, blob=blob)
        try:
            await self.ledger.commit(events=[], notices=[], mark=mark, now=now)
        except LedgerError as error:
            self.counts["ledger_failures"] += 1
            self.lights.ledger(error)
        self._due = _wall() + max(EVERY_S, SHARE * (_wall() - begun))


def _wall() -> float:
    return asyncio.get_running_loop().time()
