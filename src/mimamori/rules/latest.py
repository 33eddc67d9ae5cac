"""What was heard last, by household and by device: the state that every detector reads and none writes.

May import model and rules.columns, rules.spec. `apply` takes one cell of readings in canonical order and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.model.metrics import Metrics
from mimamori.model.readings import HISTORICAL, ReadingBatch
from mimamori.model.times import HOUR, MINUTE, NEVER, SECOND, Zone
from mimamori.rules.columns import Column, Columns
from mimamori.rules.spec import SIGNS

MOTION, BED, DOOR, POWER, BUTTON = range(len(SIGNS))
CELL = 10 * SECOND  # readings are folded in so much at a time; rules look once a minute anyway
PASSAGE = 10 * MINUTE  # door events closer than this may be one going out or coming in: opened, and closed at last
SETTLES = 20 * SECOND  # after the door: a swinging door, a draught or a slow sensor is nobody inside
LONE_WINDOW = HOUR  # two signs of life within it, apart, end an outing; a single one may be a chattering mat
LONE_APART = 5 * MINUTE
PERIOD_FADES = 0.02  # a device's longest pause is remembered for fifty times its length


def latest_columns(metrics: int) -> list[Column]:
    """The shared columns, for that many metrics."""
    return [
        Column("value", "f8", np.nan, "of the metric", (metrics,)),
        Column("taken", "i8", NEVER, "ns", (metrics,)),
        Column("fresh", "?", 0, "something was heard since the minute began"),
        Column("sum", "f8", 0, "of the metric, since the minute began", (metrics,)),
        Column("count", "i4", 0, "readings since the minute began", (metrics,)),
        Column("signs", "?", 0, "sign of life seen since the evidence cell began", (len(SIGNS),)),
        Column("has", "?", 0, "has had a sensor of this kind", (len(SIGNS),)),
        Column("last_sign", "i8", NEVER, "ns"),
        Column("last_door", "i8", NEVER, "ns"),
        Column("moved", "i8", NEVER, "ns, last body movement at or above the gate"),
        Column("out", "?", 0, "left by the door and not come back"),
        Column("arrived", "?", 0, "the last passage of the door ended an outing, if anybody is seen"),
        Column("lone", "i8", NEVER, "ns, a single sign inside while out"),
        Column("device_home", "i4", -1, "household row", axis="device"),
        Column("heard", "i8", NEVER, "ns, ends of cells", axis="device"),
        Column("spoke", "?", 0, "was heard since the minute began", axis="device"),
        Column("period", "i8", 0, "ns, longest recent pause", axis="device"),
        Column("offline", "?", 0, "the broker's will said so", axis="device"),
        Column("beats", "?", 0, "has sent a heartbeat", axis="device"),
        Column("channel", "i1", -1, "index in SIGNS", axis="device"),
        Column("silent", "?", 0, "judged silent by a rule", axis="device"),
        Column("inside", "i8", NEVER, "ns, when it gave the single sign", axis="device"),
        Column("watts_sum", "f8", 0, "W, since the half hour began", axis="device"),
        Column("watts_n", "i4", 0, "values since the half hour began", axis="device"),
        Column("register", "f8", np.nan, "Wh", axis="device"),
        Column("register_at", "i8", NEVER, "ns", axis="device"),
    ]


class Latest:
    """Applies cells of readings to the shared columns."""

    def __init__(self, columns: Columns, metrics: Metrics, *, movement_from: float = 10.0) -> None:
        self._c = columns
        self._movement_from = movement_from
        self._alive = metrics.index("heartbeat")
        self._movement = metrics.index("body_movement")
        self._power, self._energy = metrics.index("power"), metrics.index("energy")
        self._states = (metrics.index("in_bed"), metrics.index("presence"))
        channel = {"motion": MOTION, "in_bed": BED, "presence": BED, "body_movement": BED,
                   "door_open": DOOR, "power": POWER, "energy": POWER, "button": BUTTON}  # fmt: skip
        self._channel = np.array([channel.get(name, -1) for name in metrics.names()], np.int8)
        self._instant = np.array([name in {"motion", "button"} for name in metrics.names()])
        self._door = metrics.index("door_open")
        self._level = np.array([metrics[m].nature == "level" for m in range(len(metrics))])

    def apply(self, cell: ReadingBatch, at: int) -> None:
        """Fold one cell in. cell: any order, all got in (at - CELL, at]; at: ns, end of the cell.

        Back-fill (HISTORICAL) is history, not news: it changes nothing here.
        """
        if (cell.flags & HISTORICAL).any():
            cell = cell.take((cell.flags & HISTORICAL) == 0)
        if not len(cell):
            return
        rows = in_order(cell, len(self._c["out"]))
        home, device, metric = cell.home[rows], cell.device[rows], cell.metric[rows]
        value, taken = cell.value[rows], cell.taken[rows]
        ends = np.flatnonzero(metric[1:] != metric[:-1]) + 1
        told = [
            _Told(metric=int(metric[a]), home=home[a:b], device=device[a:b], value=value[a:b], taken=taken[a:b])
            for a, b in zip([0, *ends.tolist()], [*ends.tolist(), len(metric)], strict=True)
        ]
        self._c["fresh"][home] = True
        self._c["spoke"][device] = True
        self._c["offline"][device] = False
        for one in told:
            if one.metric == self._alive:
                self._beat(one)
        for one in told:
            self._hear(one, at)
        signs = [(one, self._signs(one)) for one in told]
        for one in told:
            self._keep(one)
        self._live([one.take(sign) for one, sign in signs if sign.any()])

    def _beat(self, one: _Told) -> None:
        c, ended = self._c, one.value == 0
        c["offline"][one.device[ended]] = True
        c["beats"][one.device[~ended]] = True

    def _hear(self, one: _Told, at: int) -> None:
        """A device with a heartbeat is judged by its beats: its other messages say that it lives, not how often."""
        c, who = self._c, one.device
        if one.metric == self._alive:
            who = who[one.value != 0]
        heard = c["heard"][who]
        fresh = heard != at  # else heard in this cell before, by another metric
        who, heard = who[fresh], heard[fresh]
        learns = (heard != NEVER) & ~(c["silent"][who] & c["beats"][who])
        rows, pause = who[learns], at - heard[learns]
        faded = c["period"][rows] - (pause * PERIOD_FADES).astype(np.int64)
        c["period"][rows] = np.maximum(pause, faded)
        c["heard"][who] = at

    def _signs(self, one: _Told) -> NDArray[np.bool_]:
        """(n,) bool: which readings are a sure sign of life. A state counts when it differs from the one before."""
        c, channel = self._c, self._channel[one.metric]
        if channel < 0:
            return np.zeros(len(one.home), bool)
        c["has"][channel][one.home] = True
        c["channel"][one.device] = channel
        if one.metric == self._door:
            return np.ones(len(one.home), bool)
        if one.metric == self._movement:
            moving = one.value >= self._movement_from
            np.maximum.at(c["moved"], one.home[moving], one.taken[moving])
            return moving
        if one.metric in self._states:
            before: NDArray[np.float64] = c["value"][one.metric][one.home]
            changed: NDArray[np.bool_] = (before == before) & (one.value != before)  # noqa: PLR0124 - NaN: never told
            return changed
        alive: NDArray[np.bool_] = (one.value > 0) & self._instant[one.metric]
        return alive

    def _keep(self, one: _Told) -> None:
        """The newest value of each household, and the sums."""
        c, m, home = self._c, one.metric, one.home
        last = np.append(home[1:] != home[:-1], True)
        rows = home[last]
        c["value"][m][rows] = one.value[last]
        c["taken"][m][rows] = np.maximum(c["taken"][m][rows], one.taken[last])
        np.add.at(c["count"][m], home, np.int32(1))
        if self._level[m]:
            np.add.at(c["sum"][m], home, one.value)
        if m == self._power:
            np.add.at(c["watts_sum"], one.device, one.value)
            np.add.at(c["watts_n"], one.device, np.int32(1))
        if m == self._energy:
            self._registers(one)

    def _registers(self, cell: _Told) -> None:
        """Mean power since the register's value of at least a minute before; a fall is a reset and tells nothing."""
        c, device = self._c, cell.device
        before, before_at = c["register"][device], c["register_at"][device]
        known = before_at != NEVER
        span = np.where(known, cell.taken - np.where(known, before_at, 0), 0)
        reset = known & (cell.value < before)
        told = known & ~reset & (span >= MINUTE)
        watts = (cell.value[told] - before[told]) * (HOUR / span[told])
        np.add.at(c["watts_sum"], device[told], watts)
        np.add.at(c["watts_n"], device[told], 1)
        store = told | reset | ~known
        c["register"][device[store]] = cell.value[store]
        c["register_at"][device[store]] = cell.taken[store]

    def _live(self, signs: list[_Told]) -> None:
        """Sure signs of life, a metric at a time; the door before all others."""
        c = self._c
        for one in signs:
            c["signs"][self._channel[one.metric]][one.home] = True
            np.maximum.at(c["last_sign"], one.home, one.taken)
            if one.metric == self._door:
                self._pass(one.home, one.taken)
        others = [one for one in signs if one.metric != self._door]
        if not others or not c["out"].any():
            return
        home = np.concatenate([one.home for one in others])
        device = np.concatenate([one.device for one in others])
        taken = np.concatenate([one.taken for one in others])
        last = c["last_door"][home]
        inside = c["out"][home] & (taken > np.where(last == NEVER, NEVER, last + SETTLES))
        if inside.any():
            self._come_back(home[inside], device[inside], taken[inside])

    def _pass(self, home: NDArray[np.int32], taken: NDArray[np.int64]) -> None:
        """Somebody went through the door: whoever was in is out, and whoever was out may have come home."""
        c = self._c
        row, at = np.unique(home), np.full(len(c["out"]), NEVER)
        np.maximum.at(at, home, taken)
        before, out = c["last_door"][row], c["out"][row]
        apart = (before == NEVER) | (at[row] - np.where(before == NEVER, at[row], before) >= PASSAGE)
        c["arrived"][row] = np.where(apart, out & ~c["arrived"][row], c["arrived"][row])
        c["last_door"][row] = np.maximum(before, at[row])
        c["out"][row] = True
        c["lone"][row] = NEVER

    def _come_back(self, home: NDArray[np.int32], device: NDArray[np.int32], taken: NDArray[np.int64]) -> None:
        """End an outing: one sign if the door has just ended it, else signs of two devices or five minutes apart."""
        c = self._c
        row, place = np.unique(home, return_inverse=True)
        newest, lowest, highest = np.full(len(row), NEVER), np.full(len(row), 2**31 - 1), np.full(len(row), -1)
        np.maximum.at(newest, place, taken)
        np.minimum.at(lowest, place, device)
        np.maximum.at(highest, place, device)
        lone = c["lone"][row]
        since = np.where(lone == NEVER, 0, newest - np.where(lone == NEVER, 0, lone))
        known = (lone != NEVER) & (since <= LONE_WINDOW)
        other = (lowest != highest) | (known & (c["inside"][highest] != lone))
        back = c["arrived"][row] | other | (known & (since >= LONE_APART))
        c["out"][row[back]] = False
        stays = ~back & ~known
        c["lone"][row[stays]] = newest[stays]
        c["inside"][highest[stays]] = newest[stays]

    def begin_minute(self, metrics: Sequence[int]) -> None:
        """Start a new minute, with new sums for those metrics."""
        self._c["fresh"][:] = False
        self._c["spoke"][:] = False
        for metric in metrics:
            self._c["sum"][metric] = 0
            self._c["count"][metric] = 0

    def begin_evidence_cell(self) -> None:
        """Start a new evidence cell."""
        self._c["signs"][:] = False

    def begin_level_cell(self) -> None:
        """Start a new half hour of power."""
        self._c["watts_sum"][:] = 0
        self._c["watts_n"][:] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one cell told of one metric: by household, then taken, then value, then device."""

    metric: int
    home: NDArray[np.int32]
    device: NDArray[np.int32]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]

    def take(self, which: NDArray[np.bool_]) -> _Told:
        return _Told(
            metric=self.metric, home=self.home[which], device=self.device[which], value=self.value[which],
            taken=self.taken[which],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shared:
    """What every detector is given: the columns, who fills them, the wall clock's offsets, the metrics."""

    columns: Columns
    latest: Latest
    zone: Zone
    metrics: Metrics


def in_order(cell: ReadingBatch, homes: int) -> NDArray[np.intp]:
    """Rows of the cell by metric, household, taken, value, device; homes: how many households there are.

    Value before device row: of two devices that tell different things at once, rows must not decide. One packed int64
    sorts 20 times as fast as five keys; only what is equal in it is sorted by the rest.
    """
    key = cell.metric.astype(np.int64) * homes + cell.home
    since = cell.taken - cell.taken.min()
    room = 63 - int(key.max()).bit_length()
    if int(since.max()).bit_length() > room:  # hours late
        return np.lexsort((cell.device, cell.value, cell.taken, key))
    packed = (key << room) | since
    order = np.argsort(packed)
    packed = packed[order]
    equal = packed[1:] == packed[:-1]
    if equal.any():
        tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        rows = order[tied]
        order[tied] = rows[np.lexsort((cell.device[rows], cell.value[rows], packed[tied]))]
    return order


def cell_of(got: NDArray[np.int64]) -> NDArray[np.int64]:
    """End of the cell that each arrival lies in: (n,) int64 ns; got in (at - CELL, at]."""
    return -(-got // CELL) * CELL
