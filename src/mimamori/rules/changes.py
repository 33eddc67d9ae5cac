"""From full verdict columns to the batch of what changed. May import model and rules.columns."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FACTS, FindingBatch, Level, Verdict, concat_findings, no_findings
from mimamori.model.times import MINUTE, NEVER, Nanos

NOT_DUE = 2**62
"""ns, of a row that nothing but new readings can change: most rows at most minutes, and the rules pass them over."""
NO_MINUTE, NOT_DUE_MINUTE = -(2**31), 2**31 - 1
"""NEVER and NOT_DUE of instants on the grid, which columns keep in four bytes: minutes since 1970."""
CLEAR, PENDING, FIRING, UNKNOWN = (int(v) for v in (Verdict.CLEAR, Verdict.PENDING, Verdict.FIRING, Verdict.UNKNOWN))
LEVELS = {"low": Level.LOW, "medium": Level.MEDIUM, "high": Level.HIGH}

Facts = Callable[[NDArray[np.intp]], NDArray[np.float64]]
"""(rows,) -> (rows, k <= FACTS) float64: the numbers the rule used for those rows."""


def changed(
    rows: NDArray[np.intp], *, rule: int, old: tuple[NDArray[np.int8], NDArray[np.int8]], verdict: NDArray[np.int8],
    level: NDArray[np.int8], since: Nanos, score: NDArray[np.float64], facts: Facts, home: NDArray[np.int32] | None,
    at: int,
) -> FindingBatch:  # fmt: skip
    """Of the rows that were judged, those whose verdict or level differs from `old`, which is overwritten in place.

    old: full columns (verdict, level), a row a household, or a device when `home` gives each device's household row.
    verdict, level, since, score: one entry for each of `rows`.
    """
    differs = np.flatnonzero((verdict != old[0][rows]) | (level != old[1][rows]))
    if not len(differs):  # nearly every minute of nearly every rule
        return no_findings()
    rows, verdict, level = rows[differs], verdict[differs], level[differs]
    old[0][rows] = verdict
    old[1][rows] = level
    return findings_of(rows, rule=rule, verdict=verdict, level=level, since=since[differs], score=score[differs],
                       facts=facts, home=home, at=at)  # fmt: skip


def findings_of(
    rows: NDArray[np.intp], *, rule: int, verdict: NDArray[np.int8], level: NDArray[np.int8], since: Nanos,
    score: NDArray[np.float64], facts: Facts, home: NDArray[np.int32] | None, at: int,
) -> FindingBatch:  # fmt: skip
    """The findings of those rows; arrays with one entry for each of them."""
    told = facts(rows) if len(rows) else np.empty((0, 0))
    table = np.full((len(rows), FACTS), np.nan)
    table[:, : told.shape[1]] = told
    return FindingBatch(
        home=rows.astype(np.int32) if home is None else home[rows],
        device=np.full(len(rows), -1, np.int32) if home is None else rows.astype(np.int32),
        rule=np.full(len(rows), rule, np.int16), verdict=verdict, level=level, since=since,
        at=np.full(len(rows), at, np.int64), score=score.astype(np.float32), facts=table,
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


def instant(minute: NDArray[np.int32]) -> Nanos:
    """(n,) ns of whole minutes since 1970; NEVER for NO_MINUTE."""
    return np.where(minute == NO_MINUTE, NEVER, minute.astype(np.int64) * MINUTE)


def minutes_since(minute: NDArray[np.int32], at: int) -> NDArray[np.int64]:
    """(n,) whole minutes from each to `at` (ns); 0 where it is NO_MINUTE."""
    return np.where(minute == NO_MINUTE, 0, at // MINUTE - minute.astype(np.int64))


def in_order(found: list[FindingBatch]) -> FindingBatch:
    """All of them by (at, rule, home, device). Each batch is of one grid point and rule, and mostly in order."""
    parts = []
    for _, same in groupby(sorted((f for f in found if len(f)), key=_of), key=_of):
        batch = concat_findings(list(same))
        place = (batch.home.astype(np.int64) << 32) + batch.device
        parts.append(batch if (place[1:] > place[:-1]).all() else batch.take(np.argsort(place)))
    return concat_findings(parts)


def _of(found: FindingBatch) -> tuple[int, int]:
    return int(found.at[0]), int(found.rule[0])
