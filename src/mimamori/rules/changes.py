"""From full verdict columns to the batch of what changed. May import model only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FACTS, FindingBatch, Level, Verdict, no_findings
from mimamori.model.times import Nanos

LEVELS = {"low": Level.LOW, "medium": Level.MEDIUM, "high": Level.HIGH}

Facts = Callable[[NDArray[np.intp]], NDArray[np.float64]]
"""(rows,) -> (rows, k <= FACTS) float64: the numbers the rule used for those rows."""


def changed(
    *, rule: int, old: tuple[NDArray[np.int8], NDArray[np.int8]], verdict: NDArray[np.int8], level: NDArray[np.int8],
    since: Nanos, score: NDArray[np.float64], facts: Facts, home: NDArray[np.int32] | None, at: int,
) -> FindingBatch:  # fmt: skip
    """Rows whose verdict or level differs from `old` (verdict, level), which are overwritten in place.

    All arrays (n,): one row a household, or one a device when `home` gives each device's household row.
    """
    rows = np.flatnonzero((verdict != old[0]) | (level != old[1]))
    if not len(rows):  # nearly every minute of nearly every rule
        return no_findings()
    old[0][rows] = verdict[rows]
    old[1][rows] = level[rows]
    return findings_of(rows, rule=rule, verdict=verdict, level=level, since=since, score=score, facts=facts,
                       home=home, at=at)  # fmt: skip


def findings_of(
    rows: NDArray[np.intp], *, rule: int, verdict: NDArray[np.int8], level: NDArray[np.int8], since: Nanos,
    score: NDArray[np.float64], facts: Facts, home: NDArray[np.int32] | None, at: int,
) -> FindingBatch:  # fmt: skip
    """The findings of those rows."""
    told = facts(rows) if len(rows) else np.empty((0, 0))
    table = np.full((len(rows), FACTS), np.nan)
    table[:, : told.shape[1]] = told
    return FindingBatch(
        home=rows.astype(np.int32) if home is None else home[rows],
        device=np.full(len(rows), -1, np.int32) if home is None else rows.astype(np.int32),
        rule=np.full(len(rows), rule, np.int16), verdict=verdict[rows], level=level[rows], since=since[rows],
        at=np.full(len(rows), at, np.int64), score=score[rows].astype(np.float32), facts=table,
    )  # fmt: skip


def leveled(firing: NDArray[np.bool_], level: Level) -> NDArray[np.int8]:
    """(n,) int8: `level` where firing, NONE elsewhere."""
    return np.where(firing, np.int8(level), np.int8(Level.NONE)).astype(np.int8)


def judged(*, firing: NDArray[np.bool_], pending: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.int8]:
    """(n,) int8 verdicts: UNKNOWN unless known, else FIRING, PENDING or CLEAR."""
    verdict = np.where(pending, np.int8(Verdict.PENDING), np.int8(Verdict.CLEAR))
    verdict[firing] = Verdict.FIRING
    verdict[~known] = Verdict.UNKNOWN
    return verdict.astype(np.int8)
