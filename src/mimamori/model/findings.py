"""What the engine says: verdicts of rules about households, as columns of changes.

May import model.times only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import Nanos

FACTS = 12
"""Width of the facts table: the numbers a rule used, named by the detector kind's `facts` tuple."""


DECLARED_AWAY = -1.0
"""The score of an UNKNOWN that is one because the resident is declared away."""


class Verdict(IntEnum):
    """Three-valued and a warm-up: UNKNOWN is a verdict of its own and never resolves anything."""

    CLEAR = 0
    PENDING = 1
    FIRING = 2
    UNKNOWN = 3


class Level(IntEnum):
    """Priority as a number in the columns, after IEC 60601-1-8's three; NONE when not firing."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingBatch:
    """Changes of verdict or level, in order of (at, rule, home, device).

    home: (n,) int32. device: (n,) int32 device row, -1 where the rule is about the household. rule: (n,) int16 index
    in the engine's rules. verdict: (n,) int8 `Verdict`. level: (n,) int8 `Level`. since: (n,) int64 ns, when the
    condition began (for inactivity: the last sign of life). at: (n,) int64 ns, grid time of the decision.
    score: (n,) float32 (evidence in nats, or the value). facts: (n, FACTS) float64, NaN = not told.
    """

    home: NDArray[np.int32]
    device: NDArray[np.int32]
    rule: NDArray[np.int16]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]
    since: Nanos
    at: Nanos
    score: NDArray[np.float32]
    facts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.home)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> FindingBatch:
        """The rows `which` (indexes, mask or slice), as numpy indexing does."""
        return FindingBatch(
            home=self.home[which], device=self.device[which], rule=self.rule[which], verdict=self.verdict[which],
            level=self.level[which], since=self.since[which], at=self.at[which], score=self.score[which],
            facts=self.facts[which],
        )  # fmt: skip


def no_findings() -> FindingBatch:
    """The empty batch, always the same one: its arrays have no row to write to."""
    return _NONE


_NONE = FindingBatch(
    home=np.empty(0, np.int32), device=np.empty(0, np.int32), rule=np.empty(0, np.int16),
    verdict=np.empty(0, np.int8), level=np.empty(0, np.int8), since=np.empty(0, np.int64),
    at=np.empty(0, np.int64), score=np.empty(0, np.float32), facts=np.empty((0, FACTS), np.float64),
)  # fmt: skip


def concat_findings(parts: list[FindingBatch]) -> FindingBatch:
    """All rows in the order given."""
    kept = [p for p in parts if len(p)]
    if not kept:
        return no_findings()
    if len(kept) == 1:
        return kept[0]
    return FindingBatch(
        home=np.concatenate([p.home for p in kept]), device=np.concatenate([p.device for p in kept]),
        rule=np.concatenate([p.rule for p in kept]), verdict=np.concatenate([p.verdict for p in kept]),
        level=np.concatenate([p.level for p in kept]), since=np.concatenate([p.since for p in kept]),
        at=np.concatenate([p.at for p in kept]), score=np.concatenate([p.score for p in kept]),
        facts=np.concatenate([p.facts for p in kept]),
    )  # fmt: skip
