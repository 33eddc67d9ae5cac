"""What a reading store promises: the protocol that the embedded store and InfluxDB both keep, and its records.

May import model only. Holds no store of its own; a store keeps ids, never the process's row numbers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import Nanos


class StoreError(OSError):
    """The store cannot do it now (disk full, file locked or damaged); nothing was half done, trying again is safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one device of a household said about one metric, ascending in `taken`, one row an instant.

    taken, got: (n,) int64 ns UTC. value: (n,) float64. flags: (n,) uint8, bits of model.readings.
    """

    device: str
    metric: str
    taken: Nanos
    value: NDArray[np.float64]
    got: Nanos
    flags: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """Figures of one metric by step of time, over all devices of the household; steps without a reading are left out.

    start: (n,) int64 ns UTC, ascending. count: (n,) int64 >= 1. mean, low, high: (n,) float64 in the metric's unit.
    """

    start: Nanos
    count: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCounts:
    """Readings since the store was opened; `waiting` is how many are durable but not yet in their final place now.

    duplicates: found when sealing. expired: came older than the retention. failed: appends refused by the disk.
    unknown: left out of `scan_all`, because no loaded profile declares their metric any more. refused: set aside
    because a server would not have them.
    """

    appended: int = 0
    sealed: int = 0
    duplicates: int = 0
    expired: int = 0
    waiting: int = 0
    failed: int = 0
    unknown: int = 0
    refused: int = 0


class ReadingStore(Protocol):
    """Durable history of readings. Times are int ns UTC, ranges are half open [start, end).

    Of readings with the same household, device, metric and `taken` the first that came stands.
    """

    @property
    def counts(self) -> StoreCounts:
        """What passed through since the store was opened."""
        ...

    @property
    def trouble(self) -> str:
        """What keeps readings from their final place now, in words for the console; "" when all is well."""
        ...

    @property
    def marks(self) -> Sequence[bytes]:
        """What the last appends before the store was opened were given to keep, oldest first."""
        ...

    async def append(self, batch: ReadingBatch, marks: bytes = b"") -> None:
        """Durable when it returns, and the marks with it. Raises StoreError, and then none of the batch is stored."""
        ...

    async def scan(self, household: str, start: int, end: int, metrics: Sequence[str] | None = None) -> list[Series]:
        """Readings taken in the range, by (device, metric); all metrics for None; [] for an unknown household."""
        ...

    async def minutes(self, household: str, metric: str, start: int, end: int) -> Rollup:
        """Figures of the whole UTC minutes that begin in the range."""
        ...

    async def rollup(self, household: str, metric: str, start: int, end: int, *, step: int, offset: int = 0) -> Rollup:
        """As `minutes` for steps of `step` ns (a whole number of minutes) that begin at offset + k * step.

        A local day is step=DAY, offset=-(UTC offset of the zone).
        """
        ...

    def scan_all(self, start: int, end: int) -> AsyncIterator[ReadingBatch]:
        """Every household's readings with `got` in the range, ascending in got; rows of one got are never parted.

        For catching up after a restart. Households and devices that the process does not know are registered. A
        redelivered reading may be told again at its later got until it is sealed, just as the live source told it.
        """
        ...

    async def prune(self, *, raw_before: int, figures_before: int) -> None:
        """Lets go of raw readings and of figures of hours that ended before; what comes later for them is dropped."""
        ...

    async def backup(self, folder: Path) -> None:
        """A consistent copy into `folder`, while running."""
        ...

    async def close(self) -> None:
        """Returns when nothing is under way; everything appended stays durable."""
        ...
