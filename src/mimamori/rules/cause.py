"""One cause behind many silences: the shared state by which a lesser rule gives way to a larger one.

May import model and rules. A home that is cut off tells nothing of its sensors; a ward that is cut off tells nothing of
its homes. Whoever was found silent by itself before stays so: a larger cause never takes an alert back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import NEVER, Nanos
from mimamori.rules.columns import Column, Columns

KEEPS_TIME = 24  # heartbeats: a device that says "online" now and then is no clock
NOTHING, ITSELF, MANY, ALL = range(4)
"""Column `cause`: the home is heard; it is cut off by itself, with many others, with everybody."""


def cause_columns() -> list[Column]:
    """What is kept for each household and device beside what was heard."""
    return [
        Column("spoken", "i8", NEVER, "ns, end of the cell in which a device of it was heard last"),
        Column("pause", "i8", 0, "ns, its longest recent pause"),
        Column("beaten", "u1", 0, "heartbeats of its devices, at most 255"),
        Column("gone", "?", 0, "the will of its gateway came, and nothing since"),
        Column("cause", "i1", NOTHING, "of its silence: NOTHING, ITSELF, MANY, ALL"),
        Column("district", "i2", -1, "index in Homes.districts, -1: not known"),
        Column("counts_from", "i8", NEVER, "ns, its silence was another's until then"),
        Column("gateway", "?", 0, "speaks for all of its home", axis="device"),
        Column("late", "?", 0, "is silent by itself", axis="device"),
        Column("late_from", "i8", NEVER, "ns, its silence was another's until then", axis="device"),
    ]


def keeps_time(c: Columns, rows: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.bool_]:
    """(r,) bool: its devices have sent heartbeats enough to tell its silence from a quiet resident."""
    known: NDArray[np.bool_] = c["beaten"][rows] >= KEEPS_TIME
    return known


def silence(c: Columns, rows: NDArray[np.intp], at: int) -> Nanos:
    """(r,) ns: how long nothing was heard from those homes that was theirs to send; 0 where nothing ever was."""
    spoken = c["spoken"][rows]
    return np.where(spoken == NEVER, 0, at - np.maximum(np.where(spoken == NEVER, at, spoken), c["counts_from"][rows]))


def cut(c: Columns, homes: NDArray[np.intp], cause: int) -> None:
    """Those homes (rows) are cut off from now on: none of their sensors is believed, and none is blamed."""
    if not len(homes):
        return
    c["cause"][homes] = cause
    devices = _devices(c, homes)
    c["silent"][devices] = c["heard"][devices] != NEVER
    c["spoke"][devices] = True  # the rule about devices looks at them, and others ask whom not to believe
    c["fresh"][homes] = True


def rejoin(c: Columns, homes: NDArray[np.intp], at: int) -> None:
    """Those homes (rows) are heard again, or the cause was not theirs: silence counts anew, but for what was late."""
    if not len(homes):
        return
    c["cause"][homes] = NOTHING
    c["counts_from"][homes] = at
    devices = _devices(c, homes)
    mine = devices[~c["late"][devices]]
    c["late_from"][mine] = at
    c["silent"][mine] = False
    c["spoke"][devices] = True
    c["fresh"][homes] = True


def _devices(c: Columns, homes: NDArray[np.intp]) -> NDArray[np.intp]:
    hit = np.zeros(len(c["cause"]), bool)
    hit[homes] = True
    return np.flatnonzero(hit[c["device_home"]])
