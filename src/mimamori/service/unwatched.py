"""Time that nobody watched: the loop did not tick, or did not run. It is unknown, not quiet.

May import rules, inlet, lights and store. Reads no clock. It is written down before it is judged, so that whoever
catches up with it after a restart passes over the same time.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from mimamori.model.findings import FindingBatch, concat_findings
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import MINUTE, NEVER, SECOND
from mimamori.rules.told import Steps, Told
from mimamori.service.inlet import after
from mimamori.service.lights import Lights
from mimamori.service.stall import LONGEST
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.records import Unwatched

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Watch:
    """counts: the service's, of which "gaps" and "ledger_failures" are counted here."""

    ledger: Ledger
    lights: Lights
    counts: Counter[str]
    _fresh: list[Unwatched] = field(default_factory=list)  # not in the ledger yet

    async def look(self, ticked: int, now: int, speed: float) -> bool:
        """Whether it is too long since the tick before the one at `now`. Both ns; ticked: NEVER before the first."""
        gap = ticked != NEVER and now - ticked > LONGEST * max(1.0, speed)
        if gap:
            log.warning("no tick for %.0f s of the service's clock: that time is unknown, not quiet",
                        (now - ticked) / SECOND)  # fmt: skip
            self.counts["gaps"] += 1
            self._fresh.append(Unwatched(since=ticked, until=now))
        if self._fresh:
            await self._keep(now)
        return gap

    async def _keep(self, now: int) -> None:
        """What the ledger does not take is offered again with the next tick: the watch goes on."""
        try:
            await self.ledger.commit(events=[], notices=[], unwatched=self._fresh, now=now)
        except LedgerError as error:
            self.counts["ledger_failures"] += 1
            self.lights.ledger(error)
        else:
            self._fresh = []


def go_on(engine: Steps | Told, came: ReadingBatch, until: int) -> FindingBatch:
    """The step of the tick `until` (ns), before which nobody watched; what came in the meantime is heard at its end."""
    before = engine.resume(until)  # as old as it came, it would have been heard long ago
    found = [before, engine.step(after(came, (until - 1) // MINUTE * MINUTE), until)]
    return concat_findings([f for f in found if f is not None])
