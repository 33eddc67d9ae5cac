"""The loops of the simulator in which each step needs the one before, compiled.

May import numpy and numba. What is compiled here reads and writes nothing but its arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, vectorize

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Machine code, made at first use and kept on disk; where no folder can be written to, made anew at each start."""
    try:
        return cast("F", njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast("F", njit(nogil=True)(function))


def _everywhere(function: Callable[..., float]) -> Callable[..., Any]:
    """A ufunc, likewise kept on disk."""
    types = ["float64(int64, int64, int64)"]
    try:
        return cast("Callable[..., Any]", vectorize(types, cache=True)(function))  # type: ignore[no-untyped-call]
    except RuntimeError:
        return cast("Callable[..., Any]", vectorize(types)(function))  # type: ignore[no-untyped-call]


@compiled
def follow(target: Any, up: float, down: float) -> Any:
    """(n,) float64: a value that goes after (n,) `target` by a share of the distance a step, `up` when it is above."""
    out = np.empty(len(target))
    now = target[0]
    for i in range(len(target)):
        aim = target[i]
        now += (up if aim > now else down) * (aim - now)
        out[i] = now
    return out


@compiled
def apart(at: Any, hold_off: int) -> Any:
    """(n,) bool: which of the (n,) ascending times are at least `hold_off` after the last one kept."""
    kept = np.zeros(len(at), np.bool_)
    last = -(2**62)
    for i in range(len(at)):
        if at[i] - last >= hold_off:
            kept[i] = True
            last = at[i]
    return kept


_LOW, _HALF = 16, 8  # bits: what shares all but the low ones fits into the processor's cache, and is sorted in halves


@compiled
def _by_half(shift: int, rows: Any, out: Any) -> None:
    """Sort (n,) `rows` into `out` by 8 bits; alike ones as they stand."""
    mask = (1 << _HALF) - 1
    ends = np.zeros(mask + 2, np.int64)
    for row in rows:
        ends[((row >> shift) & mask) + 1] += 1
    for half in range(mask):
        ends[half + 1] += ends[half]
    for row in rows:
        half = (row >> shift) & mask
        out[ends[half]] = row
        ends[half] += 1


@compiled
def order_of(key: Any) -> Any:
    """(n,) int64: which of the (n,) int64 keys comes when, none negative; alike ones as they stand. A radix sort.

    A row carries the low bits of its key along, above its number, since to look them up costs more than to sort.
    """
    n, most = len(key), 0
    for i in range(n):
        most = max(most, key[i])
    ends = np.zeros((most >> _LOW) + 2, np.int64)
    for i in range(n):
        ends[(key[i] >> _LOW) + 1] += 1
    longest = ends.max()
    ends = np.cumsum(ends)
    turn, begin, low, number = np.empty(n, np.int64), 0, (1 << _LOW) - 1, (1 << 32) - 1
    for i in range(n):
        part = key[i] >> _LOW
        turn[ends[part]] = ((key[i] & low) << 32) | i
        ends[part] += 1
    spare = np.empty(longest, np.int64)
    for end in ends[:-1]:
        _by_half(32, turn[begin:end], spare)
        _by_half(32 + _HALF, spare[: end - begin], turn[begin:end])
        begin = end
    for i in range(n):
        turn[i] &= number
    return turn


@compiled
def by_cell(at: Any, cell: int, kept: Any) -> Any:
    """(k,) int64: the rows of (n,) times, none negative, that are kept (n,) bool: by cells of time, as they stand in
    each. Half a sort, after which rows of one time lie close together.
    """
    ends, count = np.zeros(at.max() // cell + 2 if len(at) else 1, np.int64), 0
    cells = np.empty(len(at), np.int32)
    for i in range(len(at)):
        cells[i] = at[i] // cell
        if kept[i]:
            ends[cells[i] + 1] += 1
            count += 1
    for c in range(len(ends) - 1):
        ends[c + 1] += ends[c]
    rows = np.empty(count, np.int64)
    for i in range(len(at)):
        if kept[i]:
            rows[ends[cells[i]]] = i
            ends[cells[i]] += 1
    return rows


@compiled
def hashed(at: int, salt: int, seed: int) -> Any:
    """64 bits that hang on the three numbers alone. The finisher of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = np.uint64(at) + np.uint64((seed * np.int64(0x9E3779B9) + 1) & 0xFFFFFFFF) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(salt) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mixed(at: Any, salt: Any, seed: Any) -> Any:
    return np.float64(hashed(at, salt, seed) >> np.uint64(11)) / 2.0**53


mixed: Callable[..., Any] = _everywhere(_mixed)
"""A ufunc of three int64: a uniform number in [0, 1)."""

_BELL = np.array([NormalDist().inv_cdf((i + 0.5) / 4096) for i in range(4096)])


@compiled
def bell(dice: Any, which: int) -> float:
    """Standard normal, the `which`-th (0-4) of 64 hashed bits: one of 4096 quantiles, the outermost 3.7 away."""
    return float(_BELL[(dice >> np.uint64(12 * which)) & np.uint64(4095)])


@compiled
def share(dice: Any, which: int) -> float:
    """Uniform in [0, 1), the `which`-th (0 or 1) of 64 hashed bits."""
    return float(np.float64((dice >> np.uint64(32 * which)) & np.uint64(0xFFFFFFFF)) / 2.0**32)


@compiled
def within_bouts(at: Any, spans: Any) -> Any:
    """(n,) bool: whether each of the ascending times lies in any of the intervals (starts, ends), which may overlap;
    each of the two ascending.
    """
    starts, ends = spans
    inside, begun, over = np.zeros(len(at), np.bool_), 0, 0
    for i in range(len(at) if len(starts) else 0):
        while begun < len(starts) and starts[begun] <= at[i]:
            begun += 1
        while over < len(ends) and ends[over] <= at[i]:
            over += 1
        inside[i] = begun > over
    return inside
