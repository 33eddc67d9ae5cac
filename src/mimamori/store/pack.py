"""Readings as compressed bytes and back, exactly: sorted columns, deltas, byte planes, deflate.

May import model only. In this file and its neighbours the home, device and metric columns of a batch hold the
store's own keys, never the process's rows. Never touches a file.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import SECOND, Nanos

Ints = NDArray[np.int64]

VERSION = 1
RAW = 15
"""Exponent that says: the integers are the bits of the float64, because no few decimals give the value exactly."""
DECIMALS = 4
UNITS = (SECOND, 1_000_000, 1000, 1)
LEVEL, SETTLED = 1, 6
"""Deflate levels: of what is soon packed again, and of a day that stays. On real recordings 6 is 2-10 % smaller."""

UNFOLD: Ints = np.array([(folded >> 1) ^ -(folded & 1) for folded in range(256)], np.int64)
POWERS: NDArray[np.float64] = np.array([10.0**k for k in range(RAW)], np.float64)
ALL = slice(None)


def planes(values: Ints) -> bytes:
    """(n,) int64 as one width byte and that many byte planes, low byte first, signs folded into the lowest bit."""
    if not len(values):
        return b"\0"
    folded = (values << 1) ^ (values >> 63)
    width = (int(folded.view(np.uint64).max()).bit_length() + 7) // 8
    return bytes((width,)) + folded.view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes()


@dataclass(slots=True)
class Reader:
    """Takes columns off a byte string in the order in which they were put."""

    body: bytes
    at: int = 0

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.body[self.at - 1]

    def ints(self, n: int, part: slice = ALL) -> Ints:
        """The next n int64, as `planes` wrote them; of these only `part`."""
        width = self.byte()
        table = np.frombuffer(self.body, np.uint8, n * width, self.at).reshape(width, n)[:, part]
        self.at += n * width
        if width == 0:
            return np.zeros(table.shape[1], np.int64)
        if width == 1:
            one: Ints = UNFOLD.take(table[0])
            return one
        folded: NDArray[np.uint64] = table[0].astype(np.uint64)
        for plane in range(1, width):
            folded |= table[plane].astype(np.uint64) << np.uint64(8 * plane)
        negative: Ints = (folded & np.uint64(1)).view(np.int64)
        whole: Ints = (folded >> np.uint64(1)).view(np.int64) ^ -negative
        return whole


def starts_of(*columns: NDArray[np.integer]) -> NDArray[np.intp]:
    """Where a run of equal rows begins, for (n,) columns sorted together; n = 0 gives none."""
    n = len(columns[0])
    if not n:
        return np.empty(0, np.intp)
    new = np.zeros(n, np.bool_)
    new[0] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def slices_of(starts: NDArray[np.intp], n: int) -> list[slice]:
    """The runs that begin at `starts`, of n rows in all."""
    ends = [*starts[1:].tolist(), n]
    return [slice(begin, end) for begin, end in zip(starts.tolist(), ends, strict=False)]


def spread(per_run: NDArray[np.int64], counts: Ints) -> Ints:
    """(runs,) values repeated to rows."""
    return per_run.repeat(counts)


def deltas(values: Ints, starts: NDArray[np.intp]) -> Ints:
    """Differences to the row before; the first row of a run keeps its value. Wraps around like int64 does."""
    out = np.empty_like(values)
    out[:1] = values[:1]
    np.subtract(values[1:], values[:-1], out=out[1:])
    out[starts] = values[starts]
    return out


def undeltas(steps: Ints, starts: NDArray[np.intp], counts: Ints) -> Ints:
    """The inverse of `deltas`."""
    total = steps.cumsum()
    total -= (total[starts] - steps[starts]).repeat(counts)
    return total


def exponents(value: NDArray[np.float64], starts: NDArray[np.intp]) -> Ints:
    """(runs,) fewest decimals in 0..DECIMALS that give every value of the run back bit by bit, else RAW."""
    found = np.full(len(starts), RAW, np.int64)
    minus_zero = np.signbit(value) & (value == 0)
    small = (np.abs(value) < 2**49) & ~minus_zero  # not NaN: its comparison is False, and so it stays RAW
    safe = np.where(small, value, 0.0)
    for k in range(DECIMALS + 1):
        exact = small & (np.rint(safe * 10**k) / 10**k == safe)
        fits = np.logical_and.reduceat(exact, starts) & (found == RAW)
        found[fits] = k
        if (found != RAW).all():
            break
    return found


def to_ints(value: NDArray[np.float64], exponent: Ints) -> Ints:
    """(n,) values as integers of 10^-exponent, or their bits where the (n,) exponent is RAW."""
    raw = exponent == RAW
    scale = POWERS[np.where(raw, 0, exponent)]
    whole = np.rint(np.where(raw, 0.0, value) * scale).astype(np.int64)
    return np.where(raw, value.view(np.int64), whole)


def to_floats(whole: Ints, exponent: Ints) -> NDArray[np.float64]:
    """The inverse of `to_ints`."""
    most = int(exponent.max()) if len(exponent) else 0
    if most == 0:
        return whole.astype(np.float64)
    if most < RAW:
        divided: NDArray[np.float64] = whole / POWERS[exponent]
        return divided
    raw = exponent == RAW
    return np.where(raw, whole.view(np.float64), np.where(raw, 0, whole) / POWERS[np.where(raw, 0, exponent)])


def unit_of(column: Nanos) -> int:
    """Index in UNITS of the coarsest unit that divides every value."""
    return next(i for i, unit in enumerate(UNITS) if unit == 1 or not (column % unit).any())


def _flat(values: Ints, starts: NDArray[np.intp], steps: Ints) -> NDArray[np.bool_]:
    """(runs,) whether differences are smaller than the values' distances to the first of the run."""
    counts = np.diff(starts, append=len(values))
    far = np.abs((values - spread(values[starts], counts)).astype(np.float64))
    near = np.abs(steps.astype(np.float64))
    near[starts] = 0.0
    smaller: NDArray[np.bool_] = np.add.reduceat(near, starts) < np.add.reduceat(far, starts)
    return smaller


def pack(rows: ReadingBatch, level: int = LEVEL) -> bytes:
    """Compressed bytes of n >= 1 rows, which must be sorted by (device, metric, taken); `home` is left out."""
    starts = starts_of(rows.device, rows.metric)
    counts = np.diff(starts, append=len(rows)).astype(np.int64)
    exponent = exponents(rows.value, starts)
    whole = to_ints(rows.value, spread(exponent, counts))
    steps = deltas(whole, starts)
    stepwise = _flat(whole, starts, steps)
    lag = rows.got - rows.taken
    in_taken, in_lag = unit_of(rows.taken), unit_of(lag)
    base = int(rows.taken.min()) // UNITS[in_taken]
    ticks = deltas(rows.taken // UNITS[in_taken] - base, starts)
    body = b"".join((
        bytes((in_taken, in_lag)),
        planes(np.array([len(rows), len(starts), base], np.int64)),
        planes(deltas(rows.device[starts].astype(np.int64), np.zeros(1, np.intp))),
        planes(rows.metric[starts].astype(np.int64)),
        planes(counts),
        planes(exponent * 2 + stepwise),
        planes(ticks),
        planes(np.where(spread(stepwise.astype(np.int64), counts) == 1, steps, whole)),
        planes(lag // UNITS[in_lag]),
        planes(rows.flags.astype(np.int64)),
    ))  # fmt: skip
    return bytes((VERSION,)) + zlib.compress(body, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Rows of a chunk with device and metric told once a run.

    device: (runs,) int32. metric: (runs,) int16. starts: (runs,) row where each begins. value, taken, got, flags: (n,)
    as in a batch.
    """

    device: NDArray[np.int32]
    metric: NDArray[np.int16]
    starts: NDArray[np.intp]
    value: NDArray[np.float64]
    taken: Nanos
    got: Nanos
    flags: NDArray[np.uint8]

    def rows(self, device_home: NDArray[np.int32]) -> ReadingBatch:
        """As columns of n rows. device_home: (devices,) int32, the home key of each device key."""
        counts = np.diff(self.starts, append=len(self.taken))
        return ReadingBatch(
            home=device_home[self.device].repeat(counts), device=self.device.repeat(counts),
            metric=self.metric.repeat(counts), value=self.value, taken=self.taken, got=self.got, flags=self.flags,
        )  # fmt: skip


def runs_of(rows: ReadingBatch) -> Runs:
    """Rows sorted by (device, metric, taken), as runs."""
    starts = starts_of(rows.device, rows.metric)
    return Runs(
        device=rows.device[starts], metric=rows.metric[starts], starts=starts, value=rows.value, taken=rows.taken,
        got=rows.got, flags=rows.flags,
    )  # fmt: skip


def unpack(body: bytes, device_home: NDArray[np.int32]) -> ReadingBatch:
    """The rows that `pack` was given. device_home: (devices,) int32, the home key of each device key."""
    return unpack_runs(body).rows(device_home)


def unpack_runs(body: bytes, wanted: frozenset[int] | None = None, devices: Ints | None = None) -> Runs:
    """The runs that `pack` was given; with `wanted` metric keys, those from the first to the last wanted one only.

    devices: keys, likewise.

    Raises ValueError for a format of a newer version, zlib.error for damaged bytes.
    """
    if body[0] != VERSION:
        msg = f"a chunk of format {body[0]} cannot be read by this version (it knows {VERSION}); update the service"
        raise ValueError(msg)
    column = Reader(zlib.decompress(memoryview(body)[1:]))
    in_taken, in_lag = column.byte(), column.byte()
    n, runs, base = (int(x) for x in column.ints(3))
    device, metric = column.ints(runs).cumsum(), column.ints(runs)
    counts, mode = column.ints(runs), column.ints(runs)
    ends = counts.cumsum()
    near, part = ALL, ALL
    if wanted is not None or devices is not None:
        of_metric = True if wanted is None else np.isin(metric, list(wanted))
        of_device = True if devices is None else np.isin(device, devices)
        hits = np.flatnonzero(of_metric & of_device)
        near = slice(int(hits[0]), int(hits[-1]) + 1) if len(hits) else slice(0, 0)
        part = slice(int(ends[near][0] - counts[near][0]), int(ends[near][-1])) if len(hits) else slice(0, 0)
        device, metric, counts, mode = device[near], metric[near], counts[near], mode[near]
        ends = counts.cumsum()
    starts = ends - counts
    taken = undeltas(column.ints(n, part), starts, counts)
    taken += base
    taken *= UNITS[in_taken]
    values = column.ints(n, part)
    stepwise = mode & 1
    if stepwise.any():
        values = np.where(stepwise.repeat(counts) == 1, undeltas(values, starts, counts), values)
    lag = column.ints(n, part)
    lag *= UNITS[in_lag]
    return Runs(
        device=device.astype(np.int32), metric=metric.astype(np.int16), starts=starts,
        value=to_floats(values, (mode >> 1).repeat(counts)), taken=taken, got=taken + lag,
        flags=column.ints(n, part).astype(np.uint8),
    )  # fmt: skip


LOG_ROW = 4 + 2 + 8 + 8 + 8 + 1


def pack_log(rows: ReadingBatch) -> bytes:
    """Plain columns of n rows in their order, 31 bytes each: the form in which a batch first becomes durable."""
    return b"".join((
        rows.device.astype("<i4").tobytes(), rows.metric.astype("<i2").tobytes(), rows.value.astype("<f8").tobytes(),
        rows.taken.astype("<i8").tobytes(), rows.got.astype("<i8").tobytes(), rows.flags.tobytes(),
    ))  # fmt: skip


def unpack_log(body: bytes, device_home: NDArray[np.int32]) -> ReadingBatch:
    """The inverse of `pack_log`."""
    n = len(body) // LOG_ROW
    device = np.frombuffer(body, "<i4", n).astype(np.int32, copy=False)
    return ReadingBatch(
        home=device_home[device], device=device,
        metric=np.frombuffer(body, "<i2", n, 4 * n).astype(np.int16, copy=False),
        value=np.frombuffer(body, "<f8", n, 6 * n).astype(np.float64, copy=False),
        taken=np.frombuffer(body, "<i8", n, 14 * n).astype(np.int64, copy=False),
        got=np.frombuffer(body, "<i8", n, 22 * n).astype(np.int64, copy=False),
        flags=np.frombuffer(body, np.uint8, n, 30 * n),
    )  # fmt: skip


def first_of_each(rows: ReadingBatch) -> ReadingBatch:
    """Rows in order of arrival -> sorted by (home, device, metric, taken), of equal ones only the first that came."""
    ordered = rows.take(np.lexsort((rows.taken, rows.metric, rows.device, rows.home)))
    keep = starts_of(ordered.device, ordered.metric, ordered.taken)
    return ordered if len(keep) == len(ordered) else ordered.take(keep)
