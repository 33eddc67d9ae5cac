"""Meter data in CSV into readings: NEM12, one row a day (48 columns), or one row an interval.

May import model and the importers' shared part. Energy by interval becomes the cumulative register that our smart
meters send; where intervals are missing the register begins again at 0, so that a hole is no sign of a quiet home.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, MINUTE, Nanos
from mimamori.stream.by_day import sorted_days
from mimamori.stream.foreign import Gather, Intake, as_number, lines, make_batch, opened, wall_clock
from mimamori.stream.nem12 import is_nem12, read_nem12

Kind = Literal["interval", "register", "power"]
UNITS: Mapping[str, float] = {"Wh": 1.0, "kWh": 1e3, "W": 1.0, "kW": 1e3}
_CLOCK = re.compile(r"\D*(\d{1,2}):(\d{2})(?::\d{2})?\D*")
_ID = ("lclid", "household", "id", "customer_id", "meter", "meter_id", "meterid", "mprn", "nmi", "供給地点番号")
_TIME = ("tstp", "datetime", "time", "timestamp", "date_time", "reading_datetime", "read date and end time", "日時")
_DATE = ("date", "day", "read date", "年月日", "対象日")
_VALUE = ("energy(kwh/hh)", "kwh/hh (per half hour)", "kwh", "value", "read value", "energy", "consumption", "使用量",
          "general_supply_kwh")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """How to read a meter's CSV. Names of columns left empty are looked for among the usual ones.

    kind: interval = energy of each interval; register = cumulative; power = mean power. unit: see UNITS. ends: whether
    a time tells the interval's end. every: its length in ns. form: of times that are not ISO 8601, as in strptime.
    """

    id: str = ""
    time: str = ""
    value: str = ""
    kind: Kind = "interval"
    unit: str = "kWh"
    ends: bool = False
    every: int = 30 * MINUTE
    form: str = ""
    registers: tuple[str, ...] = ("E1",)


def read_meter(path: Path, intake: Intake, columns: Columns) -> Iterator[ReadingBatch]:
    """Readings of `meter`, sorted by time. Raises ValueError if the columns cannot be found."""
    first = next((line for _, line in lines(path)), "")
    every = [columns.every]
    if is_nem12(first):
        every.clear()
        rows = read_nem12(path, intake, columns.registers, every)
    else:
        heading = next(csv.reader([first]), [])
        hours = [i for i, name in enumerate(heading) if _CLOCK.fullmatch(name)]
        rows = _wide(path, intake, columns, hours) if len(hours) >= 24 else _long(path, intake, columns, heading)
    days = sorted_days(rows)
    if is_nem12(first) or columns.kind == "interval":
        yield from _registers(days, every)
    else:
        yield from (batch for _, batch in days)


def _registers(days: Iterator[tuple[int, ReadingBatch]], every: list[int]) -> Iterator[ReadingBatch]:
    """Intervals (taken = start, value = Wh) into the register at each interval's end, sorted."""
    last: dict[int, tuple[int, float]] = {}  # device -> end of its last interval, register there
    waiting: list[ReadingBatch] = []
    for day, batch in days:
        made = concat([*waiting, _register_day(batch, every[0], last)])
        made = made.take(np.lexsort((made.device, made.taken)))
        cut = int(np.searchsorted(made.taken, (day + 1) * DAY))
        yield made.take(slice(0, cut))
        waiting = [made.take(slice(cut, None))]
    yield from waiting


def _register_day(batch: ReadingBatch, every: int, last: dict[int, tuple[int, float]]) -> ReadingBatch:
    order = np.lexsort((batch.taken, batch.device))
    batch = batch.take(order)
    same = np.zeros(len(batch), bool)  # an interval told again: the later row holds
    same[:-1] = (batch.device[1:] == batch.device[:-1]) & (batch.taken[1:] == batch.taken[:-1])
    batch = batch.take(~same)
    new = np.concatenate([[True], batch.device[1:] != batch.device[:-1]])
    heads = np.flatnonzero(new)
    begins = new | np.concatenate([[True], np.diff(batch.taken) != every])
    run = np.cumsum(begins) - 1
    total = np.cumsum(batch.value)
    before = (total - batch.value)[begins]
    for head in heads.tolist():  # a device whose first interval joins on to the day before goes on counting
        ended, register = last.get(int(batch.device[head]), (0, 0.0))
        if ended == batch.taken[head]:
            begins[head] = False
            before[run[head]] -= register
    register_at = total - before[run]
    tails = np.concatenate([heads[1:], [len(batch)]]) - 1
    for tail in tails.tolist():
        last[int(batch.device[tail])] = int(batch.taken[tail]) + every, float(register_at[tail])
    end = batch.taken + every
    ends = replace(batch, value=np.round(register_at, 3), taken=end, got=end)
    first = batch.take(begins)
    return concat([replace(first, value=np.zeros(len(first))), ends])


def _metric(columns: Columns) -> str:
    return "power" if columns.kind == "power" else "energy"


def _shift(columns: Columns) -> int:
    """From the time as told to the time a row is kept by: an interval's start, else the end."""
    if columns.kind == "interval":
        return -columns.every if columns.ends else 0
    return 0 if columns.ends or columns.kind == "register" else columns.every


def _column(heading: Sequence[str], asked: str, usual: Sequence[str], what: str, path: Path) -> int:
    plain = [name.strip().lower() for name in heading]
    if asked:
        if asked.strip().lower() in plain:
            return plain.index(asked.strip().lower())
    else:
        found = next((plain.index(name) for name in usual if name in plain), -1)
        if found >= 0 or what == "id":
            return found
    mend = f"name it with --{what}-column; the first line has: {', '.join(heading)[:200]}"
    msg = f"{path.name}: has no column {asked or 'that is usual for the ' + what}; {mend}"
    raise ValueError(msg)


def _wide(path: Path, intake: Intake, columns: Columns, hours: Sequence[int]) -> Iterator[ReadingBatch]:
    """One row a day: perhaps an id, a date, and a column for each interval, named by its time of day."""
    gather, metric, unit = Gather(intake, path.name), intake.metrics.index(_metric(columns)), UNITS[columns.unit]
    with opened(path) as file:
        rows = csv.reader(file)
        heading = next(rows)
        who = _column(heading, columns.id, _ID, "id", path)
        when = _column(heading, columns.time, (*_DATE, *_TIME), "time", path)
        clocks = [_CLOCK.fullmatch(heading[i]) for i in hours]
        offsets = [(int(c[1]) * 60 + int(c[2])) * MINUTE + _shift(columns) for c in clocks if c]
        for number, row in enumerate(rows, 2):
            date = _date(row[when] if len(row) > when else "", columns.form)
            if date is None or len(row) < len(heading):
                gather.reject(number, "bad-row", "write a date and a value for each interval", ",".join(row)[:80])
                continue
            device, start = intake.device("meter", row[who] if who >= 0 else ""), wall_clock(date, intake.zone)
            for i, offset in zip(hours, offsets, strict=True):
                value = as_number(row[i])
                if value is not None:
                    gather.add(number, start + offset, device, metric, value * unit)
                elif row[i].strip():
                    gather.reject(number, "not-a-number", "write the value as a plain number", row[i])
            if gather.full():
                yield gather.take()
    yield gather.take()


def _date(word: str, form: str) -> datetime | None:
    try:
        if form:
            return datetime.strptime(word.strip(), form)  # noqa: DTZ007 - a wall clock; the zone is the caller's
        return datetime.fromisoformat(word.strip().replace("/", "-"))
    except ValueError:
        return None


def _long(path: Path, intake: Intake, columns: Columns, heading: Sequence[str]) -> Iterator[ReadingBatch]:
    """One row an interval, columnar."""
    who = _column(heading, columns.id, _ID, "id", path)
    when = _column(heading, columns.time, (*_TIME, *_DATE), "time", path)
    what = _column(heading, columns.value, _VALUE, "value", path)
    metric, line = intake.metrics.index(_metric(columns)), 2
    odd: list[int] = []

    def odd_row(row: pa.csv.InvalidRow) -> str:
        odd.append(row.number)
        intake.reject(f"{path.name}:{row.number}", "bad-row", f"write {len(heading)} columns", str(row.text))
        return "skip"

    with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as raw:
        reader = pyarrow.csv.open_csv(
            raw, read_options=pyarrow.csv.ReadOptions(column_names=[str(i) for i in range(len(heading))], skip_rows=1,
                                                      use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=odd_row),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={str(i): pa.string() for i in range(len(heading))}, strings_can_be_null=False
            ),
        )  # fmt: skip
        for part in reader:
            span = np.setdiff1d(np.arange(line, line + len(part) + len(odd)), odd)[: len(part)]
            line, odd = (int(span[-1]) + 1 if len(span) else line), []
            at, good_time = _instants(part.column(when), columns, intake)
            value = _numbers(part.column(what)) * UNITS[columns.unit]
            good = good_time & np.isfinite(value) & (value >= (0 if metric == intake.metrics.index("energy") else -2e4))
            for row in np.flatnonzero(~good).tolist():
                text = ",".join(str(part.column(i)[row]) for i in range(len(heading)))
                mend = "a time (see --time-form) and a plain number that is not below zero"
                intake.reject(f"{path.name}:{span[row]}", "bad-row", mend, text)
            device = _devices(part.column(who) if who >= 0 else None, len(part), intake)
            taken = at + _shift(columns)
            yield make_batch(intake, taken[good], device[good], np.full(int(good.sum()), metric), value[good])


def _instants(column: pa.Array, columns: Columns, intake: Intake) -> tuple[Nanos, np.ndarray]:
    """(ns UTC, good), both (n,)."""
    words = pc.utf8_trim_whitespace(column)
    if columns.form:
        told = pc.strptime(words, format=columns.form, unit="s", error_is_null=True).cast(pa.timestamp("ns"))
    else:
        told = _iso(words)
    good = told.is_valid().to_numpy(zero_copy_only=False)
    at = told.fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return (at if told.type.tz else intake.zone.instants(at)), good


def _iso(words: pa.Array) -> pa.Array:
    for kind in (pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")):
        try:
            return words.cast(kind)
        except pa.ArrowInvalid:
            continue
    # A row is odd, or all are: one by one, by the first of the two forms that the column holds.
    plain = re.compile(r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?")
    kept = [w.replace("/", "-") if plain.fullmatch(w) else None for w in words.to_pylist()]
    return _each(kept)


def _each(words: Sequence[str | None]) -> pa.Array:
    out: list[int | None] = []
    for word in words:
        try:
            out.append(None if word is None else pa.scalar(word).cast(pa.timestamp("ns")).value)
        except pa.ArrowInvalid:
            out.append(None)
    return pa.array(out, pa.int64()).cast(pa.timestamp("ns"))


def _numbers(column: pa.Array) -> np.ndarray:
    """(n,) float64; NaN for what is no number."""
    try:
        return np.asarray(pc.utf8_trim_whitespace(column).cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return np.array([np.nan if (v := as_number(w)) is None else v for w in column.to_pylist()])


def _devices(column: pa.Array | None, rows: int, intake: Intake) -> np.ndarray:
    """(n,) device rows of `meter` in the household that the column names."""
    if column is None:
        return np.full(rows, intake.device("meter"), np.int32)
    coded = column.dictionary_encode()
    table = np.array([intake.device("meter", name) for name in coded.dictionary.to_pylist()], np.int32)
    return table[coded.indices.to_numpy(zero_copy_only=False)] if rows else np.zeros(0, np.int32)
