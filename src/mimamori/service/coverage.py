"""Watch coverage (見守り率): what share of the last 24 hours each household was really watched, and each gap's cause.

May import the engine's columns, the web's records and model. Pure: `now` is an argument. One row a household, no loop
over households; gaps are kept as columns, so a household that is watched costs 17 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.times import DAY, MINUTE, NEVER, SECOND
from mimamori.rules.engine import Engine
from mimamori.web.desk import Cause, Gap

CAUSES: tuple[Cause, ...] = get_args(Cause)
SERVICE, BROKER, DEVICES, LEARNING, NOBODY = range(1, len(CAUSES) + 1)
_LATE = np.iinfo(np.int64).max
_COLUMNS = {"first": np.int64, "cause": np.int8, "since": np.int64, "home": np.int32, "why": np.int8,
            "begin": np.int64, "end": np.int64}  # fmt: skip


class Coverage:
    """The ledger of gaps. A household is watched while it sends, a rule about its resident knows enough to judge, the
    broker is connected, somebody who can be reached is on duty, and we run.

    first: (n,) ns, known since. cause: (n,) int8, 0 while watched; since: (n,) ns, that began. home, why, begin, end:
    (g,) gaps that are over, of the last 24 h.
    """

    def __init__(self) -> None:
        for name, dtype in _COLUMNS.items():
            setattr(self, name, np.empty(0, dtype))
        self.first: NDArray[np.int64]
        self.cause: NDArray[np.int8]
        self.since: NDArray[np.int64]
        self.home: NDArray[np.int32]
        self.why: NDArray[np.int8]
        self.begin: NDArray[np.int64]
        self.end: NDArray[np.int64]
        self._told: tuple[int, NDArray[np.float64]] = (NEVER, np.empty(0))
        self._gaps: _Gaps | None = None
        self._looked = NEVER

    def look(self, engine: Engine, homes: Homes, now: int, *, connected: bool, reached: bool) -> None:
        """Take note of how things stand at `now`, at most once a second of it. A silent household's gap begins with its
        last message and ends with the next, whenever that was noticed.
        """
        if self._looked != NEVER and now - self._looked < SECOND:
            return
        self._looked = now
        heard, alive, known = self._heard(engine, homes)
        cause = np.where(alive, np.where(known, 0 if reached else NOBODY, LEARNING), DEVICES).astype(np.int8)
        since = np.full(len(cause), now, np.int64)
        spoke = (heard != NEVER) & ((cause == DEVICES) | (self._padded(len(cause)) == DEVICES))
        since[spoke] = heard[spoke]
        if not connected:
            cause[:] = BROKER
        self.note(cause, since, now)

    def _padded(self, rows: int) -> NDArray[np.int8]:
        return np.append(self.cause, np.zeros(rows - len(self.cause), np.int8))

    def _heard(self, engine: Engine, homes: Homes) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """(n,): newest message of any device, whether one is not silent, whether a rule about the resident knows."""
        n = len(homes)
        of, heard, silent = engine.view("device_home"), engine.view("heard"), engine.view("silent")
        out = np.append(np.where(self.cause == DEVICES, self.since, _LATE), np.full(n - len(self.cause), _LATE))
        mine = of >= 0
        of, heard, silent = of[mine], heard[mine], silent[mine]
        newest, alive, known = np.full(n, NEVER, np.int64), np.zeros(n, bool), np.zeros(n, bool)
        np.maximum.at(newest, of, heard)
        alive[of[(heard != NEVER) & (~silent | (heard > out[of]))]] = True
        for rule in engine.rules:
            if rule.category != "technical":
                known |= engine.view(f"{rule.name}.verdict")[:n] != Verdict.UNKNOWN
        return newest, alive, known

    def note(self, cause: NDArray[np.int8], since: NDArray[np.int64], now: int) -> None:
        """cause: (n,) int8 as of `now`; since: (n,) ns, when that began, no later than now. Rows never become fewer."""
        new = len(cause) - len(self.first)
        if new:
            self.first = np.append(self.first, np.full(new, now))
            self.cause = np.append(self.cause, np.zeros(new, np.int8))
            self.since = np.append(self.since, np.full(new, now))
        changed = cause != self.cause
        if not changed.any():
            return
        at = np.clip(since, np.where(self.cause > 0, self.since, self.first), now)
        over = np.flatnonzero(changed & (self.cause > 0) & (at > self.since))
        self._close(over, self.cause[over], self.since[over], at[over])
        self.cause[changed], self.since[changed] = cause[changed], at[changed]
        self._told, self._gaps = (NEVER, self._told[1]), None

    def _close(self, home: NDArray[Any], why: NDArray[Any], begin: NDArray[Any], end: NDArray[Any]) -> None:
        for name, more in (("home", home), ("why", why), ("begin", begin), ("end", end)):
            setattr(self, name, np.append(getattr(self, name), more.astype(_COLUMNS[name])))

    def downtime(self, begin: int, end: int) -> None:
        """Nobody watched in [begin, end): the service did not run. What was a gap before goes on as it was."""
        rows = np.flatnonzero((self.cause == 0) & (self.first < end))
        starts = np.maximum(self.first[rows], begin)
        self._close(rows, np.full(len(rows), SERVICE), starts, np.full(len(rows), end))
        self._told, self._gaps = (NEVER, self._told[1]), None

    def shares(self, now: int) -> NDArray[np.float64]:
        """(n,) watched share of the last 24 h, or of the time since the household is known; NaN in its first minute.

        In steps of a thousandth, rounded down; made anew once a minute and when a gap begins or ends.
        """
        made, told = self._told
        if made != NEVER and now - made < MINUTE and len(told) == len(self.first):
            return told
        self._forget(now - DAY)
        start = np.maximum(self.first, now - DAY)
        lost = np.bincount(self.home, self.end - np.maximum(self.begin, start[self.home]), len(self.first))
        lost += np.where(self.cause > 0, now - np.maximum(self.since, start), 0)
        known = (now - start).astype(np.float64)
        share = np.full(len(start), np.nan)
        np.divide(known - lost, known, out=share, where=known >= MINUTE)
        self._told = (now, np.floor(np.clip(share, 0, 1) * 1000 + 1e-6) / 1000)
        return self._told[1]

    def _forget(self, before: int) -> None:
        kept = self.end > before
        if not kept.all():
            for name in ("home", "why", "begin", "end"):
                setattr(self, name, getattr(self, name)[kept])
            self._gaps = None

    def gaps(self, homes: Homes) -> Mapping[str, tuple[Gap, ...]]:
        """The gaps of the last 24 h by household, newest first; only of those that have any. Made anew on a change.

        As columns, of which a household's are made when they are asked for: in a mass outage everybody has one.
        """
        if self._gaps is None:
            open_ = np.flatnonzero(self.cause > 0)
            self._gaps = _Gaps(
                homes,
                np.concatenate((self.home, open_)),
                np.concatenate((self.why, self.cause[open_])),
                np.concatenate((self.begin, self.since[open_])),
                np.concatenate((self.end, np.full(len(open_), NEVER))),
            )
        return self._gaps

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of all of it, named watch.*, to go with the engine's."""
        return {f"watch.{name}": getattr(self, name).copy() for name in _COLUMNS}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a snapshot of the same rows; one without such arrays begins anew."""
        if f"watch.{next(iter(_COLUMNS))}" in saved:
            for name, dtype in _COLUMNS.items():
                setattr(self, name, saved[f"watch.{name}"].astype(dtype))


class _Gaps(Mapping[str, tuple[Gap, ...]]):
    """(g,) gaps in any order, of which none changes any more; a household's are found by a search."""

    def __init__(
        self, homes: Homes, home: NDArray[Any], why: NDArray[Any], begin: NDArray[Any], end: NDArray[Any]
    ) -> None:
        order = np.lexsort((-begin, home))
        self._homes, self._home = homes, home[order]
        self._why, self._begin, self._end = why[order], begin[order], end[order]

    def __getitem__(self, household: str) -> tuple[Gap, ...]:
        row = self._homes.find(household)
        first, last = np.searchsorted(self._home, (row, row + 1)).tolist()
        if row < 0 or first == last:
            raise KeyError(household)
        return tuple(
            Gap(cause=CAUSES[why - 1], begins=begin, ends=end)
            for why, begin, end in zip(
                self._why[first:last].tolist(), self._begin[first:last].tolist(), self._end[first:last].tolist(),
                strict=True,
            )
        )  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return (self._homes.ids[row] for row in np.unique(self._home).tolist())

    def __len__(self) -> int:
        return len(np.unique(self._home))
