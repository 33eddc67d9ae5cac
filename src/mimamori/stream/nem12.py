"""NEM12, the Australian market's file of interval meter data, into intervals of energy.

May import model and the importers' shared part. Records by their first field: 200 names meter and register and gives
unit and minutes an interval, each 300 after it is one day of values with a quality, 400 the quality of part of that
day. Source: AEMO, Meter Data File Format Specification NEM12 and NEM13.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import DAY, MINUTE
from mimamori.stream.foreign import Gather, Intake, as_number, opened, wall_clock

WATT_HOURS = {"WH": 1.0, "KWH": 1e3, "MWH": 1e6}


@dataclass(frozen=True, slots=True)
class _Register:
    """What the 200 record says. device: -1 for a register that is left out."""

    name: str
    device: int
    every: int
    unit: float


@dataclass(slots=True)
class _Day:
    """One 300 record, kept until no more 400 records can follow: (line, start of day, values; None = no data)."""

    line: int
    start: int
    values: list[float | None]


def is_nem12(first: str) -> bool:
    """Whether the first line of a file is that of a NEM12 file."""
    return first.upper().startswith(("100,NEM12", '"100","NEM12"')) or first.startswith("200,")


def read_nem12(path: Path, intake: Intake, registers: Sequence[str], every: list[int]) -> Iterator[ReadingBatch]:
    """One row an interval, in the file's order: taken = its start, value = its energy in Wh, metric energy.

    Households are the meters' numbers (NMI). registers: suffixes taken ("E1"); others are left out and counted. every:
    the interval's length in ns is put in here, and must be the same in the whole file. Intervals whose quality is N
    (none) are no data. Raises ValueError for two lengths of interval.
    """
    gather = Gather(intake, path.name)
    energy = intake.metrics.index("energy")
    register: _Register | None = None
    day: _Day | None = None
    with opened(path) as file:
        for number, row in enumerate(csv.reader(file), 1):
            kind = row[0].strip() if row else ""
            if kind in {"200", "300", "900"} and day is not None and register is not None:
                _keep(day, register, energy, gather)
                day = None
            if kind == "200":
                register = _register(row, number, intake, registers, gather)
                _same(register, every, path)
            elif kind == "300":
                day = _day(row, number, register, intake, gather)
            elif kind == "400" and day is not None:
                _forget(row, day)
            if gather.full():
                yield gather.take()
    if day is not None and register is not None:
        _keep(day, register, energy, gather)
    yield gather.take()


def _same(register: _Register | None, every: list[int], path: Path) -> None:
    if register is None or register.device < 0:
        return
    if every and every[0] != register.every:
        two = f"{every[0] // MINUTE} and {register.every // MINUTE}"
        msg = f"{path.name}: holds intervals of {two} minutes; part the file"
        raise ValueError(msg)
    every[:] = [register.every]


def _register(
    row: Sequence[str], number: int, intake: Intake, registers: Sequence[str], gather: Gather
) -> _Register | None:
    meter, suffix = (row[1], row[4]) if len(row) > 8 else ("", "")
    unit, minutes = WATT_HOURS.get(row[7].strip().upper()) if meter else None, as_number(row[8]) if meter else None
    if suffix and suffix not in registers:
        return _Register(name=suffix, device=-1, every=DAY, unit=1.0)
    if unit is None or not minutes or minutes not in {5, 15, 30, 60}:
        mend = "a 200 record names meter, register, a unit of energy and 5, 15, 30 or 60 minutes"
        gather.reject(number, "bad-row", mend, ",".join(row))
        return None
    name = "meter" if suffix == registers[0] else f"meter-{suffix}"
    return _Register(name=suffix, device=intake.device(name, meter), every=int(minutes) * MINUTE, unit=unit)


def _day(row: Sequence[str], number: int, register: _Register | None, intake: Intake, gather: Gather) -> _Day | None:
    if register is None:
        gather.reject(number, "bad-row", "no 200 record that can be read stands before it", ",".join(row)[:80])
        return None
    if register.device < 0:
        intake.left_out[register.name] += 1
        return None
    count = DAY // register.every
    words = row[2 : 2 + count]
    values = [as_number(w) for w in words]
    try:
        date = datetime.strptime(row[1], "%Y%m%d")  # noqa: DTZ007 - a wall clock; the zone is the caller's
    except (ValueError, IndexError):
        date = None
    if date is None or len(values) < count or any(v is None and w.strip() for v, w in zip(values, words, strict=True)):
        mend = f"a 300 record is a date (20260131) and {count} numbers"
        gather.reject(number, "bad-row", mend, ",".join(row)[:80])
        return None
    none = len(row) > 2 + count and row[2 + count].strip().upper().startswith("N")
    return _Day(number, wall_clock(date, intake.zone), [None] * count if none else values)


def _forget(row: Sequence[str], day: _Day) -> None:
    """A 400 record whose quality is N: from interval to interval, counted from 1, there is no data."""
    first, last = (as_number(w) for w in row[1:3]) if len(row) > 3 else (None, None)
    if first is None or last is None or not row[3].strip().upper().startswith("N"):
        return
    for i in range(max(int(first) - 1, 0), min(int(last), len(day.values))):
        day.values[i] = None


def _keep(day: _Day, register: _Register, energy: int, gather: Gather) -> None:
    for i, value in enumerate(day.values):
        if value is not None:
            gather.add(day.line, day.start + i * register.every, register.device, energy, value * register.unit)
