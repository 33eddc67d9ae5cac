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
from mimamori.rules.engine import Engine
from mimamori.store.records import Resident
from mimamori.web.desk import Doing, Tile, TileState

SHOWN = ("heart_rate", "respiration_rate", "power", "temperature")
FRESH = 10 * MINUTE


def make_tiles(  # noqa: PLR0917 - six independent things make a tile
    engine: Engine, homes: Homes, metrics: Metrics, residents: Mapping[str, Resident], alerts: Sequence[Alert], now: int
) -> tuple[Tile, ...]:
    """One tile a watched household, in order of row."""
    worst: dict[str, Alert] = {}
    for alert in alerts:
        held = worst.get(alert.household)
        if (
            alert.state != "resolved"
            and alert.category != "technical"
            and (held is None or RANK[alert.priority] > RANK[held.priority])
        ):
            worst[alert.household] = alert
    state = _Columns(engine, metrics)
    return tuple(
        _tile(row, household, residents.get(household), worst.get(household), state, now)
        for row, household in enumerate(homes.ids)
        if household not in residents or residents[household].watched
    )


class _Columns:
    """The columns a tile needs, copied once a view."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.value: NDArray[np.float64] = engine.view("value")
        self.taken: NDArray[np.int64] = engine.view("taken")
        self.out: NDArray[np.bool_] = engine.view("out")
        self.sign: NDArray[np.int64] = engine.view("last_sign")
        self.bed = metrics.index("in_bed")
        self.shown = [(metrics.index(name), metrics[metrics.index(name)]) for name in SHOWN]
        self.watching, self.known = _verdicts(engine, len(self.out))


def _verdicts(engine: Engine, homes: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(some resident rule is pending, some resident rule knows), (n,) bool each."""
    pending, known = np.zeros(homes, bool), np.zeros(homes, bool)
    for rule in engine.rules:
        if rule.category != "technical":
            verdict = engine.view(f"{rule.name}.verdict")
            pending |= verdict == Verdict.PENDING
            known |= verdict != Verdict.UNKNOWN
    return pending, known


def _tile(  # noqa: PLR0917
    row: int, household: str, resident: Resident | None, alert: Alert | None, c: _Columns, now: int
) -> Tile:
    doing = _doing(row, c, now)
    state: TileState = "ok"
    if alert is not None:
        state = "alert"
    elif not c.known[row]:
        state = "unknown"
    elif c.watching[row]:
        state = "watch"
    values = tuple(
        (metric.name, float(c.value[index, row]), metric.unit, int(c.taken[index, row]))
        for index, metric in c.shown
        if c.taken[index, row] != NEVER and now - c.taken[index, row] < 24 * HOUR
    )
    return Tile(
        household=household, code=resident.code if resident else household, room=resident.room if resident else "",
        state=state, doing=doing, priority=alert.priority if alert else None,
        headline_ja=alert.title_ja if alert else "", headline_en=alert.title_en if alert else "",
        values=values, last_sign=int(c.sign[row]), coverage=float("nan"),
    )  # fmt: skip


def _doing(row: int, c: _Columns, now: int) -> Doing:
    if c.out[row]:
        return "out"
    told = int(c.taken[c.bed, row])
    if told != NEVER and now - told < FRESH:
        return "in-bed" if c.value[c.bed, row] > 0 else "up"
    return "up" if now - int(c.sign[row]) < FRESH else "unknown"
