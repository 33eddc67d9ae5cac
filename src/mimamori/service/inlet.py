"""The way in: messages are decoded and stored, and only then acknowledged to the broker.

May import sensors, store and lights. Reads no clock. A store that fails is tried again until it takes what we hold;
nothing else is read meanwhile, so the broker holds the rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import numpy as np

from mimamori.model.readings import ReadingBatch, no_readings
from mimamori.model.times import NEVER
from mimamori.sensors.collector import Collector
from mimamori.sensors.decode import Decoded, Decoder
from mimamori.service.lights import Lights
from mimamori.store.ledger import Ledger, LedgerError
from mimamori.store.readings import ReadingStore, StoreError
from mimamori.stream.clock import MILLISECOND

AGAIN_S = 1.0  # wall seconds between attempts to store


@dataclass(slots=True, kw_only=True)
class Inlet:
    """counts: the service's, of which "readings", "quarantined" and "store_failures" are counted here."""

    collector: Collector
    decoder: Decoder
    readings: ReadingStore
    ledger: Ledger
    lights: Lights
    counts: Counter[str]

    async def take(self, now: int, ticked: int, meanwhile: Callable[[], Awaitable[None]]) -> ReadingBatch:
        """The readings of all messages that have come, now on the disk. ticked: ns of the last tick.

        meanwhile: called before each further attempt, while the store does not take them.
        """
        delivery = self.collector.take()
        if not len(delivery):
            return no_readings()
        decoded = self.decoder.decode(delivery.messages, now)
        batch = after(decoded.batch, ticked)
        try:
            await self.readings.append(batch, decoded.marks)
            if decoded.rejected:
                await self.ledger.quarantine(decoded.rejected)
        except (StoreError, LedgerError) as error:
            # Not acknowledged: the broker keeps it and sends it again once we reconnect, or a restart asks for it.
            self.lights.store(error)
            self.counts["store_failures"] += 1
            await self._store_again(batch, decoded, meanwhile)
        self.lights.store()
        self.collector.done(delivery)
        self.counts["readings"] += len(batch)
        self.counts["quarantined"] += len(decoded.rejected)
        return batch

    async def _store_again(
        self, batch: ReadingBatch, decoded: Decoded, meanwhile: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            await meanwhile()
            try:
                await self.readings.append(batch, decoded.marks)
                await self.ledger.quarantine(decoded.rejected)
            except (StoreError, LedgerError):
                self.counts["store_failures"] += 1
            else:
                return


def after(batch: ReadingBatch, ticked: int) -> ReadingBatch:
    """Readings taken in after a tick count as arrived after it, however long they waited on their way to the disk.

    So the engine gets every cell of time once, and a snapshot is followed by exactly what it does not hold.
    """
    if ticked == NEVER or not len(batch) or batch.got.min() > ticked:
        return batch
    return replace(batch, got=np.maximum(batch.got, ticked + MILLISECOND))
