"""The loops of the simulator in which each step needs the one before, compiled.

May import numpy, numba and model.times. What is compiled here reads and writes nothing but its arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, vectorize

from mimamori.model.times import MINUTE

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
def apart(at: Any, room: Any, hold_off: int) -> Any:
    """(n,) bool: which of the (n,) ascending times are at least `hold_off` after the last one kept in the same room.

    room: (n,), below 8; -1 is none.
    """
    kept, last = np.zeros(len(at), np.bool_), np.full(8, -(2**62))
    for i in range(len(at)):
        if room[i] >= 0 and at[i] - last[room[i]] >= hold_off:
            kept[i], last[room[i]] = True, at[i]
    return kept


@compiled
def arrivals(gaps: Any, rate: float, length: int) -> Any:
    """(k,) int64 ns before `length`: when what comes `rate` times a ns comes, after (n,) standard exponential gaps."""
    out, count, now = np.empty(len(gaps), np.int64), 0, 0.0
    for gap in gaps:
        now += gap
        at = np.int64(now / rate)
        if at >= length:
            break
        out[count] = at
        count += 1
    return out[:count]


@compiled
def thinned(at: Any, mark: Any, start: Any, rate: Any, place: Any) -> Any:
    """Of (n,) ascending times with a mark each: (n,) bool whether the mark lies below the rate of the step then, and
    (n,) int64 its place. Steps: (k,) ascending starts, rates and places; the first also holds before its start.
    """
    seen, where, step = np.empty(len(at), np.bool_), np.empty(len(at), np.int64), 0
    for i in range(len(at)):
        while step + 1 < len(start) and start[step + 1] <= at[i]:
            step += 1
        seen[i], where[i] = mark[i] < rate[step], place[step]
    return seen, where


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
def hashed(at: int, salt: int, seed: int) -> Any:
    """64 bits that hang on the three numbers alone. The finisher of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = np.uint64(at) + np.uint64((seed * np.int64(0x9E3779B9) + 1) & 0xFFFFFFFF) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(salt) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_WORD = np.uint64(0xFFFFFFFF)


@compiled
def _stirred(word: Any, constant: Any, factor: Any) -> Any:
    """(a word hashed, the next constant)."""
    after = (constant * factor) & _WORD
    word = ((word ^ constant) * after) & _WORD
    return word ^ (word >> np.uint64(16)), after


@compiled
def seeded(words: Any) -> Any:
    """(4,) uint64: what numpy's SeedSequence makes of (4,) words of 32 bits in a fiftieth of its time."""
    pool, state, constant = np.empty(4, np.uint64), np.zeros(4, np.uint64), np.uint64(0x43B0D7E5)
    for i in range(4):
        pool[i], constant = _stirred(np.uint64(words[i]), constant, np.uint64(0x931E8875))
    for source in range(4):
        for i in range(4):
            if i != source:
                word, constant = _stirred(pool[source], constant, np.uint64(0x931E8875))
                word = (np.uint64(0xCA01F9DD) * pool[i] - np.uint64(0x4973F715) * word) & _WORD
                pool[i] = word ^ (word >> np.uint64(16))
    constant = np.uint64(0x8B51F9DD)
    for i in range(8):
        word, constant = _stirred(pool[i % 4], constant, np.uint64(0x58F38DED))
        state[i // 2] |= word << np.uint64(32 * (i % 2))
    return state


def _mixed(at: Any, salt: Any, seed: Any) -> Any:
    return np.float64(hashed(at, salt, seed) >> np.uint64(11)) / 2.0**53


mixed: Callable[..., Any] = _everywhere(_mixed)
"""A ufunc of three int64: a uniform number in [0, 1)."""

_MILLI = 1_000_000
_MINUTE, _GONE = np.uint32(60_000), np.uint32(2**32 - 1)  # ms


@compiled
def _whole_ms(span: int) -> Any:
    """Of ns, none negative: a division that need not think of signs takes half the time."""
    return np.int64(np.uint64(span) // np.uint64(_MILLI))


ROW = np.dtype([("at", "<i4"), ("part", "<i4"), ("value", "<f8")])
"""A reading as processes pass it on. at: ms after its hour began; part: its device (of all) << 8 | its metric."""


@compiled
def filed(told: Any, first: int, hours: Any, begins: Any, out: Any) -> None:
    """Put a household's readings into (m,) ROWs `out`, each hour's where `begins` says, which moves on by as many.

    told: its (device, metric, value, taken), (n,) each, in the order of minutes. first: the number of its first device.
    hours: (h + 1,) ns, where each begins, and where the last ends.
    """
    device, metric, value, taken = told
    hour = 0
    for i in range(len(taken)):
        while taken[i] >= hours[hour + 1]:
            hour += 1
        row = out[begins[hour]]
        row.at, row.value = _whole_ms(taken[i] - hours[hour]), value[i]
        row.part = ((first + device[i]) << 8) | metric[i]
        begins[hour] += 1


@compiled
def arranged(rows: Any, low: int, home_of: Any) -> Any:
    """(n,) ROWs of the hour that begins at `low` (ns) in the order of time, alike ones as they stand: (n,) home,
    device, metric, value and taken (ns). home_of: the household of each device.
    """
    n, turn = len(rows), order_of(rows.at)
    homes, devices, metrics = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int16)
    values, taken = np.empty(n), np.empty(n, np.int64)
    for i in range(n):
        row = rows[turn[i]]
        devices[i], metrics[i], values[i] = row.part >> 8, row.part & 255, row.value
        homes[i] = home_of[devices[i]]
        taken[i] = low + np.int64(row.at) * _MILLI
    return homes, devices, metrics, values, taken


@compiled
def by_minute(parts: Any, at: Any, value: Any, begin: int, chance: Any) -> Any:
    """A day's readings of one household by minutes, and in each as they stand: half a sort, after which rows of one
    time lie close together.

    parts: (p, 3) int64, (device, metric, rows) of each part of (n,) `at` (ns, none before `begin`) and `value`. chance:
    (share that goes missing, seed of that, which hangs on moment and device alone). Gives device (k,) int32, metric
    (k,) int16, value (k,) float64 and times (k,) int64, cut to whole milliseconds.
    """
    lost, seed = chance
    last = begin
    for i in range(len(at)):
        last = max(last, at[i])
    ends = np.zeros((last - begin) // MINUTE + 2, np.int64)
    since, i = np.empty(len(at), np.uint32), 0  # ms after `begin`
    for p in range(len(parts)):
        for _ in range(parts[p, 2]):
            ms = _whole_ms(at[i] - begin)
            if np.float64(hashed(begin + ms * _MILLI, parts[p, 0], seed) >> np.uint64(11)) / 2.0**53 >= lost:
                since[i] = ms
                ends[since[i] // _MINUTE + 1] += 1
            else:
                since[i] = _GONE
            i += 1
    for c in range(len(ends) - 1):
        ends[c + 1] += ends[c]
    kept, i = ends[-1], 0
    device, metric = np.empty(kept, np.int32), np.empty(kept, np.int16)
    values, taken = np.empty(kept), np.empty(kept, np.int64)
    for p in range(len(parts)):
        for _ in range(parts[p, 2]):
            if since[i] != _GONE:
                minute = since[i] // _MINUTE
                row = ends[minute]
                device[row], metric[row], values[row] = parts[p, 0], parts[p, 1], value[i]
                taken[row] = begin + np.int64(since[i]) * _MILLI
                ends[minute] += 1
            i += 1
    return device, metric, values, taken


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
