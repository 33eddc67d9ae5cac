"""Lets go, once a day, of readings and figures that are older than the site keeps them.

May import the store's interface and stream.clock. What the store cannot do now is done the next day.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from mimamori.model.times import DAY, NEVER
from mimamori.store.readings import ReadingStore, StoreError
from mimamori.stream.clock import Clock

log = logging.getLogger(__name__)
EVERY_S = 86_400.0  # wall seconds
LEAP = 30 * DAY  # a clock that is further ahead than this of where it was is not believed: it would empty the store


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Days; 0 keeps for ever. Figures are made from readings, and kept as long or longer."""

    readings: int
    figures: int


async def look_after(readings: ReadingStore, clock: Clock, stop: asyncio.Event, kept: Kept, known: int) -> None:
    """Now, and every day until `stop`. known: ns, when this service ran last; NEVER if that is not known."""
    while True:
        now = clock.now()
        await let_go(readings, kept, now, known)
        known = now
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                await stop.wait()
                return


async def let_go(readings: ReadingStore, kept: Kept, now: int, known: int) -> None:
    """One round at `now` (ns). It is put off when the store cannot do it, or the clock has leapt since `known`."""
    if known != NEVER and now - known > LEAP:
        log.warning("the clock is %d days ahead of when this service ran last; if that is right, old readings are "
                    "let go tomorrow", (now - known) // DAY)  # fmt: skip
        return
    raw = max(now - kept.readings * DAY, 0) if kept.readings else 0
    figures = max(now - kept.figures * DAY, 0) if kept.figures else 0
    try:
        await readings.prune(raw_before=raw, figures_before=figures)
    except StoreError as error:
        log.warning("old readings are let go tomorrow: %s", error)
