"""What was heard last, by household and by device: the state that every detector reads and none writes.

May import model and rules.backing, rules.columns, rules.fold, rules.kernel, rules.spec. `apply` takes whole cells of
readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.metrics import Metrics
from mimamori.model.readings import HISTORICAL, ReadingBatch
from mimamori.model.times import NEVER, SECOND, Zone
from mimamori.rules import fold
from mimamori.rules.backing import Gate, as_arrays
from mimamori.rules.cause import cause_columns
from mimamori.rules.columns import Column, Columns
from mimamori.rules.kernel import Block, Kinds, State, lean
from mimamori.rules.own import COLUMN
from mimamori.rules.spec import SIGNS

MOTION, BED, DOOR, POWER, BUTTON = range(len(SIGNS))
STIR_FROM = 2.0
"""Body movement (0-100) of a chest that breathes: of 10-second values 66-100 % reach it with a person before a 60-GHz
module, and the longest stillness was 50 s; of an empty room's values 0-23 % do."""
CELL = 10 * SECOND  # readings are folded in so much at a time; rules look once a minute anyway


def latest_columns(metrics: int) -> list[Column]:
    """The shared columns, for that many metrics."""
    return [
        COLUMN,
        Column("value", "f8", np.nan, "of the metric", (metrics,)),
        Column("taken", "i8", NEVER, "ns", (metrics,)),
        Column("fresh", "?", 0, "something was heard since the minute began"),
        Column("signs", "?", 0, "sign of life seen since the evidence cell began", (len(SIGNS),)),
        Column("has", "?", 0, "has had a sensor of this kind", (len(SIGNS),)),
        Column("last_sign", "i8", NEVER, "ns"),
        Column("last_door", "i8", NEVER, "ns"),
        Column("moved", "i8", NEVER, "ns, last body movement at or above the gate"),
        Column("stirred", "i8", NEVER, "ns, last body movement that an empty bed seldom shows"),
        Column("out", "?", 0, "left by the door and not come back"),
        Column("arrived", "?", 0, "the last passage of the door ended an outing, if anybody is seen"),
        Column("lone", "i8", NEVER, "ns, a single sign inside while out"),
        Column("second", "i8", NEVER, "ns, another one since, apart from it"),
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
        Column("gate", "i2", 0, "row of rules.backing.Gates, 0: its vital signs always count", axis="device"),
        Column("backing", "f4", 0, "faded values that back its vital signs", axis="device"),
        Column("backing_of", "f4", 0, "faded values that might have", axis="device"),
        Column("backing_at", "i8", NEVER, "ns, last of them", axis="device"),
        *cause_columns(),
    ]


def _minute_columns(metrics: int) -> list[Column]:
    """What is summed up in each minute, for so many metrics: those that a rule asks for."""
    return [
        Column("minute_sum", "f8", 0, "of the metric, since the minute began", (metrics,)),
        Column("minute_count", "u2", 0, "readings since the minute began", (metrics,)),
        Column("minute_least", "f8", np.nan, "of the metric, in the last minute that told it", (metrics,)),
    ]


class Minute(NamedTuple):
    """What compiled rules see of a minute, each (n,): in_bed, NaN if never told; a metric's sum, and how often told."""

    bed: NDArray[np.float64]
    sum: NDArray[np.float64]
    told: NDArray[np.uint16]


class Latest:
    """Applies cells of readings to the shared columns."""

    def __init__(
        self, columns: Columns, metrics: Metrics, gates: Sequence[Gate] = (), *, movement_from: float = 10.0,
        stir_from: float = STIR_FROM,
    ) -> None:  # fmt: skip
        self._c, self._gates = columns, as_arrays(gates, metrics)
        self._place = np.full(len(metrics), -1, np.int8)
        channel = {"motion": MOTION, "in_bed": BED, "presence": BED, "body_movement": BED,
                   "door_open": DOOR, "power": POWER, "energy": POWER, "button": BUTTON}  # fmt: skip
        sign = {"motion": fold.INSTANT, "button": fold.INSTANT, "in_bed": fold.STATE, "presence": fold.STATE,
                "body_movement": fold.MOVEMENT, "door_open": fold.DOOR}  # fmt: skip
        self._kinds = Kinds(
            sign=np.array([sign.get(name, fold.NOTHING) for name in metrics.names()], np.int8),
            channel=np.array([channel.get(name, -1) for name in metrics.names()], np.int8),
            place=self._place,
            alive=metrics.index("heartbeat"), power=metrics.index("power"), energy=metrics.index("energy"),
            movement_from=movement_from, stir_from=stir_from,
        )  # fmt: skip
        self.sum_up([])

    def news(self, batch: ReadingBatch) -> ReadingBatch:
        """The readings without back-fill (HISTORICAL), which changes nothing here: it is history.

        Raises IndexError if a household or device is not known.
        """
        if (batch.flags & HISTORICAL).any():
            batch = batch.take((batch.flags & HISTORICAL) == 0)
        if not len(batch):
            return batch
        homes, devices = self._c.rows["home"], self._c.rows["device"]
        if batch.home.max() >= homes or batch.device.max() >= devices or min(batch.home.min(), batch.device.min()) < 0:
            msg = f"a reading of a household or device that is not among the {homes} and {devices} known"
            raise IndexError(msg)
        return batch

    def apply(self, batch: ReadingBatch, begin: int, ends: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        """Fold whole cells in, from row `begin` on. ends, at: (cells,), the row behind each, and its end in ns."""
        block = Block(batch.home, batch.device, batch.metric, batch.value, batch.taken)
        fold.fold(block, begin, ends, at, self._kinds, self._gates, State(*self._c.bundle(State._fields)))

    def sum_up(self, metrics: Sequence[int]) -> None:
        """Sum these metrics up in each minute, and no others; before there are any rows."""
        self._place[:] = -1
        self._place[list(metrics)] = np.arange(len(metrics))
        self._c.declare(_minute_columns(len(metrics)))

    def minute(self, metric: int | None) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """(sum, count), each (n,): of the readings since the minute began, for a rule's own metric. Not to be kept."""
        assert metric is not None
        place = self._place[metric]
        return self._c["minute_sum"][place], self._c["minute_count"][place]

    def least(self, metric: int | None) -> NDArray[np.float64]:
        """(n,): the least of the readings since the minute began; of an earlier one where none came. Not to be kept."""
        assert metric is not None
        least: NDArray[np.float64] = self._c["minute_least"][self._place[metric]]
        return least

    def begin_minute(self) -> None:
        """Start a new minute, with new sums."""
        for name in ("fresh", "spoke", "minute_sum", "minute_count"):
            self._c[name][:] = 0

    def begin_evidence_cell(self) -> None:
        """Start a new evidence cell."""
        self._c["signs"][:] = False

    def begin_level_cell(self) -> None:
        """Start a new half hour of power."""
        self._c["watts_sum"][:] = 0
        self._c["watts_n"][:] = 0


@dataclass(frozen=True, slots=True)
class Shared:
    """What every detector is given: the columns, who fills them, the wall clock's offsets, the metrics."""

    columns: Columns
    latest: Latest
    zone: Zone
    metrics: Metrics


def cell_of(got: NDArray[np.int64]) -> NDArray[np.int64]:
    """End of the cell that each arrival lies in: (n,) int64 ns; got in (at - CELL, at]."""
    return -(-got // CELL) * CELL


class Sensors(NamedTuple):
    """The columns of devices that say who is silent."""

    device_home: NDArray[np.int32]
    channel: NDArray[np.int8]
    silent: NDArray[np.bool_]


@lean
def mark_silent(sensors: Sensors, kind: int, out: NDArray[np.bool_]) -> None:
    """Sets `out` (n,): whether a device of that kind (index in SIGNS) is silent."""
    for h in range(len(out)):
        out[h] = False
    for d in range(len(sensors.device_home)):
        if sensors.silent[d] and sensors.channel[d] == kind:
            out[sensors.device_home[d]] = True
