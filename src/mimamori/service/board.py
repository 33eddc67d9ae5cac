"""What the consoles are shown at a tick: tiles, lights and counts out of the engine's columns and the alert book.

May import everything from web down. Pure: a view is a value of what it is given and `now`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mimamori.alerts.policy import RANK
from mimamori.model.alert import Alert
from mimamori.model.findings import Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.rules.absences import AWAITED, AWAY, HOME
from mimamori.rules.engine import Engine
from mimamori.store.records import Resident
from mimamori.web.desk import Absent, Doing, Tile, TileState

SHOWN = ("heart_rate", "respiration_rate", "power", "temperature")
FRESH = 10 * MINUTE
AT_ONCE = 2000
"""Tiles made anew in one view, some milliseconds: with more changed values than that, a tile's values may be some views
old (they carry their time). Alerts never wait, nor do changes of state but for those of whole towns at once:"""
STATES_AT_ONCE = 5000
"""of more than so many the rest comes with the next views, since the messages of all wait meanwhile."""
DOING: tuple[Doing, ...] = ("unknown", "up", "in-bed", "out")
ABSENT: tuple[Absent, ...] = ("", "away", "awaited")
OpenEnded = tuple[NDArray[np.intp], NDArray[np.int64]]
"""Absences until further notice: rows, and when each began, ns."""
NOBODY: OpenEnded = (np.empty(0, np.intp), np.empty(0, np.int64))


class Wall:
    """The tiles of all watched households, in order of row; only those are made anew of which something has changed."""

    def __init__(self) -> None:
        self._tiles: list[Tile | None] = []
        self._told: tuple[Tile, ...] = ()
        self._codes: NDArray[np.int16] = np.empty(0, np.int16)  # of the tiles as they are
        self._values: NDArray[np.int64] = np.empty((0, 0), np.int64)
        self._worst: dict[str, Alert] = {}
        self._residents: Mapping[str, Resident] = {}
        self._next = 0  # the row at which the next round over changed values begins

    def tiles(  # noqa: PLR0917 - independent things make a tile
        self, engine: Engine, homes: Homes, metrics: Metrics, residents: Mapping[str, Resident],
        alerts: Sequence[Alert], now: int, shares: NDArray[np.float64], open_ended: OpenEnded = NOBODY,
    ) -> tuple[Tile, ...]:  # fmt: skip
        """The tiles at `now`: the same objects as before where nothing changed. open_ended: absences without an end."""
        worst, state = _worst(alerts), _Columns(engine, metrics, now, shares, open_ended)
        urgent = self._differing(homes, worst, residents, len(state.codes))
        self._grow(len(state.codes), state.values.shape[0])
        changed = (self._codes != state.codes) & ~urgent
        rows = np.flatnonzero(urgent)
        rows = np.concatenate((rows, np.flatnonzero(changed)[: max(0, STATES_AT_ONCE - len(rows))]))
        changed |= urgent
        moved = np.flatnonzero((self._values != state.values).any(axis=0) & ~changed)
        moved = np.roll(moved, -int(np.searchsorted(moved, self._next)))[: max(0, AT_ONCE - len(rows))]
        self._next = int(moved[-1]) + 1 if len(moved) else 0
        rows = np.concatenate((rows, moved))
        if not len(rows):
            return self._told
        for row in rows.tolist():
            household = homes.ids[row]
            resident = residents.get(household)
            watched = resident is None or resident.watched
            self._tiles[row] = _tile(row, household, resident, worst.get(household), state) if watched else None
        self._codes[rows], self._values[:, rows] = state.codes[rows], state.values[:, rows]
        self._told = tuple(tile for tile in self._tiles if tile is not None)
        return self._told

    def _differing(
        self, homes: Homes, worst: dict[str, Alert], residents: Mapping[str, Resident], rows: int
    ) -> NDArray[np.bool_]:
        """(rows,) whose alert or entry is another than that on their tile."""
        names = {h for h in worst.keys() | self._worst.keys() if worst.get(h) != self._worst.get(h)}
        if residents is not self._residents:
            held = self._residents
            names |= {h for h in residents.keys() | held.keys() if residents.get(h) != held.get(h)}
        self._worst, self._residents = worst, residents
        differing = np.zeros(rows, np.bool_)
        differing[[row for row in map(homes.find, names) if 0 <= row < rows]] = True
        return differing

    def _grow(self, homes: int, values: int) -> None:
        new = homes - len(self._tiles)
        if new or self._values.shape[0] != values:
            self._tiles += [None] * new
            self._codes = np.append(self._codes, np.full(new, -1, np.int16))
            kept = np.zeros((values, homes), np.int64)
            kept[: self._values.shape[0], : self._values.shape[1]] = self._values
            self._values = kept


def _worst(alerts: Sequence[Alert]) -> dict[str, Alert]:
    """The worst open alert about the resident, by household."""
    worst: dict[str, Alert] = {}
    for alert in alerts:
        held = worst.get(alert.household)
        if (
            alert.state != "resolved"
            and alert.category != "technical"
            and (held is None or RANK[alert.priority] > RANK[held.priority])
        ):
            worst[alert.household] = alert
    return worst


class _Columns:
    """The columns a tile needs, copied once a view.

    codes: (n,) int16, all of a tile that is a state; values: (k, n) int64, the bits of all that is a number or a time.
    """

    def __init__(
        self, engine: Engine, metrics: Metrics, now: int, shares: NDArray[np.float64], open_ended: OpenEnded
    ) -> None:
        value, taken = engine.view("value"), engine.view("taken")
        self.sign: NDArray[np.int64] = engine.view("last_sign")
        self.shown = [metrics[metrics.index(name)] for name in SHOWN]
        which = [metrics.index(name) for name in SHOWN]
        self.value: NDArray[np.float64] = value[which]
        self.taken: NDArray[np.int64] = taken[which]
        self.tells = (self.taken != NEVER) & (now - np.maximum(self.taken, 0) < 24 * HOUR)
        bed = metrics.index("in_bed")
        heard = (taken[bed] != NEVER) & (now - np.maximum(taken[bed], 0) < FRESH)
        up = now - np.maximum(self.sign, 0) < FRESH
        doing = np.select([engine.view("out"), heard & (value[bed] > 0), heard | up], [3, 2, 1], 0)
        self.watching, self.known = _verdicts(engine, len(self.sign))
        code = doing + 4 * self.watching + 8 * self.known
        for k, tells in enumerate(self.tells):
            code = code + (16 << k) * tells
        self.absence: NDArray[np.int8] = engine.view("absence")
        self.until = np.where(self.absence == HOME, NEVER, engine.view("absent_until"))
        rows, begun = open_ended
        mine = (engine.view("absent_from")[rows] == begun) & (self.absence[rows] == AWAY)
        self.until[rows[mine]] = NEVER  # the engine's own end is a cap
        code = code + (16 << len(SHOWN)) * self.absence.astype(np.int64)
        self.doing, self.codes = doing, code.astype(np.int16)
        self.shares = shares
        self.values = np.concatenate(
            (self.value.view(np.int64), self.taken, self.sign[None], shares.view(np.int64)[None], self.until[None])
        )


def _verdicts(engine: Engine, homes: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(some resident rule is pending, some resident rule knows), (n,) bool each."""
    pending, known = np.zeros(homes, bool), np.zeros(homes, bool)
    for rule in engine.rules:
        if rule.category != "technical":
            verdict = engine.view(f"{rule.name}.verdict")
            pending |= verdict == Verdict.PENDING
            known |= verdict != Verdict.UNKNOWN
    return pending, known


def _tile(row: int, household: str, resident: Resident | None, alert: Alert | None, c: _Columns) -> Tile:
    state: TileState = "ok"
    if alert is not None:
        state = "alert"
    elif c.absence[row] == AWAY:
        state = "absent"
    elif not c.known[row]:
        state = "unknown"
    elif c.watching[row] or c.absence[row] == AWAITED:
        state = "watch"
    values = tuple(
        (metric.name, float(c.value[k, row]), metric.unit, int(c.taken[k, row]))
        for k, metric in enumerate(c.shown)
        if c.tells[k, row]
    )
    return Tile(
        household=household, code=resident.code if resident else household, room=resident.room if resident else "",
        state=state, doing=DOING[c.doing[row]], priority=alert.priority if alert else None,
        headline_ja=alert.title_ja if alert else "", headline_en=alert.title_en if alert else "",
        values=values, last_sign=int(c.sign[row]), coverage=float(c.shares[row]),
        absence=ABSENT[c.absence[row]], absent_until=int(c.until[row]),
    )  # fmt: skip
