"""Readings as equal-length columns, and what was set aside at the door.

May import model.times only. Arrays of a batch are never written to after it is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import Nanos

LATE, DUPLICATE, CLOCK, HISTORICAL = 1, 2, 4, 8
"""Bits of `flags`: taken before the household's newest reading; seen before; device clock doubtful (taken lies after
got, and is kept so that a redelivery is the same reading; the engine goes by got); back-fill, which is stored and
learned from but raises no live alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBatch:
    """n >= 0 readings as columns; `canonical` sorts for the engine.

    home, device: (n,) int32 rows. metric: (n,) int16 index. value: (n,) float64, finite.
    taken: (n,) int64 ns, device clock. got: (n,) int64 ns, our clock. flags: (n,) uint8.
    """

    home: NDArray[np.int32]
    device: NDArray[np.int32]
    metric: NDArray[np.int16]
    value: NDArray[np.float64]
    taken: Nanos
    got: Nanos
    flags: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.home)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> ReadingBatch:
        """The rows `which` (indexes, mask or slice), as numpy indexing does."""
        taken = self.taken[which]
        return ReadingBatch(
            home=self.home[which], device=self.device[which], metric=self.metric[which], value=self.value[which],
            taken=taken, got=taken if self.got is self.taken else self.got[which], flags=self.flags[which],
        )  # fmt: skip

    def canonical(self) -> ReadingBatch:
        """Sorted by (household, taken, metric), stable, so that broker interleaving does not matter."""
        return self.take(np.lexsort((self.metric, self.taken, self.home)))


def reading_batch(
    rows: Iterable[tuple[int, int, int, float, int, int, int]],
) -> ReadingBatch:
    """A batch from (home, device, metric, value, taken, got, flags) rows; for tests and small inputs."""
    table = list(rows)
    home, device, metric, value, taken, got, flags = zip(*table, strict=True) if table else ((),) * 7
    return ReadingBatch(
        home=np.array(home, np.int32), device=np.array(device, np.int32), metric=np.array(metric, np.int16),
        value=np.array(value, np.float64), taken=np.array(taken, np.int64), got=np.array(got, np.int64),
        flags=np.array(flags, np.uint8),
    )  # fmt: skip


def no_readings() -> ReadingBatch:
    """The empty batch."""
    return reading_batch(())


def concat(batches: Iterable[ReadingBatch]) -> ReadingBatch:
    """All rows in the order given; the empty batch for none."""
    parts = [b for b in batches if len(b)]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return no_readings()
    return ReadingBatch(
        home=np.concatenate([b.home for b in parts]), device=np.concatenate([b.device for b in parts]),
        metric=np.concatenate([b.metric for b in parts]), value=np.concatenate([b.value for b in parts]),
        taken=np.concatenate([b.taken for b in parts]), got=np.concatenate([b.got for b in parts]),
        flags=np.concatenate([b.flags for b in parts]),
    )  # fmt: skip


RejectReason = Literal[
    "not-json", "bad-shape", "bad-topic", "unknown-device", "unknown-metric", "wrong-unit", "not-a-number",
    "out-of-range", "time-too-old", "time-in-future", "too-large", "bad-row",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One message or row set aside: counted, shown, kept with its (clipped) bytes. Never raised out of the loop.

    place: the topic, or file and line. mend: what the sender should do. at: ns UTC when it came.
    """

    place: str
    reason: RejectReason
    mend: str
    payload: bytes
    at: int
