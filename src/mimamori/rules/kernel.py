"""Compiled loops over readings: how they are compiled, and the arrays they are given.

May import numpy and numba. What is compiled here reads and writes nothing but its arrays, and never checks an index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Rows = NDArray[np.intp]


def compiled(function: F) -> F:
    """Machine code of `function`, made at first use and kept on disk: only the first start of an installation waits.

    Where no folder can be written to, it is made anew at each start.
    """
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no place for the cache
        return cast("F", njit(nogil=True)(function))


@compiled
def bits_of(word: Any) -> Any:
    """How many bits of 32 are set (Warren, Hacker's Delight, 5-1)."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (((word + (word >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24


class Block(NamedTuple):
    """Readings as columns, all (n,), as in model.readings.ReadingBatch."""

    home: NDArray[np.int32]
    device: NDArray[np.int32]
    metric: NDArray[np.int16]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]


class Kinds(NamedTuple):
    """What the metrics are; the arrays are (metrics,)."""

    sign: NDArray[np.int8]  # what makes a reading a sure sign of life: rules.fold.NOTHING .. INSTANT
    channel: NDArray[np.int8]  # index in SIGNS, -1: of no kind
    place: NDArray[np.int8]  # row in the sums of the minute, -1: no rule asks
    alive: int
    power: int
    energy: int
    movement_from: float
    stir_from: float


class State(NamedTuple):
    """The shared columns of rules.latest of the same names, whole: the last axis may be longer than the rows."""

    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    minute_sum: NDArray[np.float64]
    minute_count: NDArray[np.uint16]
    signs: NDArray[np.bool_]
    has: NDArray[np.bool_]
    last_sign: NDArray[np.int64]
    last_door: NDArray[np.int64]
    moved: NDArray[np.int64]
    stirred: NDArray[np.int64]
    out: NDArray[np.bool_]
    arrived: NDArray[np.bool_]
    lone: NDArray[np.int64]
    heard: NDArray[np.int64]
    spoke: NDArray[np.bool_]
    period: NDArray[np.int64]
    offline: NDArray[np.bool_]
    beats: NDArray[np.bool_]
    channel: NDArray[np.int8]
    silent: NDArray[np.bool_]
    inside: NDArray[np.int64]
    watts_sum: NDArray[np.float64]
    watts_n: NDArray[np.int32]
    register: NDArray[np.float64]
    register_at: NDArray[np.int64]
    spoken: NDArray[np.int64]  # the rest: rules.cause
    pause: NDArray[np.int64]
    beaten: NDArray[np.uint8]
    gone: NDArray[np.bool_]
    cause: NDArray[np.int8]
    gateway: NDArray[np.bool_]
