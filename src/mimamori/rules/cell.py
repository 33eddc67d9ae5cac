"""What closing five minutes of evidence may read and write, in bundles that machine code takes.

May import model and rules. Whole columns, one row a household or a device; what a bundle is for stands in rules.quiet.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import MINUTE
from mimamori.rules.habit import Habits, Worked
from mimamori.rules.kernel import Rows
from mimamori.rules.level import Levels

CELL = 5 * MINUTE


class Home(NamedTuple):
    """The shared columns of a household that are looked at, whole."""

    has: NDArray[np.bool_]
    signs: NDArray[np.bool_]
    out: NDArray[np.bool_]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    stirred: NDArray[np.int64]
    last_sign: NDArray[np.int64]
    last_door: NDArray[np.int64]
    absence: NDArray[np.int8]
    own: NDArray[np.uint16]


class Devices(NamedTuple):
    """The shared columns of devices that are looked at."""

    device_home: NDArray[np.int32]
    channel: NDArray[np.int8]
    silent: NDArray[np.bool_]
    watts_sum: NDArray[np.float64]
    watts_n: NDArray[np.int32]


class Kept(NamedTuple):
    """The rule's own columns beside habits and levels, whole."""

    nats: NDArray[np.float32]
    abed: NDArray[np.uint16]
    expected: NDArray[np.float32]
    run: NDArray[np.int32]
    was_out: NDArray[np.bool_]
    left_at: NDArray[np.int64]
    longest_out: NDArray[np.int64]
    firing: NDArray[np.bool_]
    since: NDArray[np.int64]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule; spans in ns, budget in false alarms a day, sinks in nats a half hour. The first four tell columns.

    budget, at_most, out_at_least and out_at_most are (sets,).
    """

    uses: NDArray[np.bool_]
    bed: int
    heart: int
    breath: int
    budget: NDArray[np.float64]
    call_after: float
    with_bed: float
    sinks: float
    quiet_at_least: int
    at_most: NDArray[np.int64]
    out_at_least: NDArray[np.int64]
    out_at_most: NDArray[np.int64]
    out_high_after: float
    priority: int


class Cell(NamedTuple):
    """Five minutes that end at `at`; the arrays are (kinds, n) sensors and those that are not silent, and (n,) Wh."""

    at: int
    slot: int
    day: int
    closes: bool  # a half hour of power
    everyone: NDArray[np.uint8]
    speaking: NDArray[np.uint8]
    wh: NDArray[np.float64]


class Room(NamedTuple):
    """Arrays to work in: (n,) rows found, (kinds,) working and hazard, (bins,) share."""

    found: Rows
    working: NDArray[np.float64]
    hazard: NDArray[np.float64]
    share: NDArray[np.float64]


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    habits: Habits
    levels: Levels
    worked: Worked
    limits: Limits
    room: Room
