"""Meter data in CSV into readings: NEM12, one row a day (48 columns), or one row an interval.

May import model, the importers' shared part and layout. Energy by interval becomes the cumulative register that our
smart meters send; where intervals are missing the register begins again at 0, so that a hole is no sign of a quiet
home.
"""

from __future__ import annotations

import csv
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
from mimamori.model.times import DAY, MINUTE, Nanos, from_datetime
from mimamori.stream.by_day import sorted_days
from mimamori.stream.foreign import Gather, Intake, as_number, lines, make_batch, opened, wall_clock
from mimamori.stream.layout import Layout, clock_of, find_layout, moment_of, plain_name, point_for_comma
from mimamori.stream.nem12 import is_nem12, read_nem12

Kind = Literal["interval", "register", "power"]
UNITS: Mapping[str, float] = {"Wh": 1.0, "kWh": 1e3, "W": 1.0, "kW": 1e3}
_ID = ("lclid", "household", "id", "customer_id", "meter", "meter_id", "meterid", "mprn", "nmi", "esiid", "cups",
       "供給地点番号", "供給地点特定番号")  # fmt: skip
_TIME = ("tstp", "datetime", "time", "timestamp", "date_time", "reading_datetime", "read date and end time", "start",
         "interval_start", "horodate", "messzeitpunkt", "日時", "開始日時")  # fmt: skip
_DATE = ("date", "day", "read date", "usage_date", "fecha", "datum", "年月日", "対象日", "日付", "ご使用日", "使用日")
_CLOCK = ("start time", "time", "usage_start_time", "heure début", "heure", "uhrzeit", "時刻", "時間", "時間帯",
          "開始時刻")  # fmt: skip
_VALUE = ("kwh/hh", "kwh", "value", "read value", "energy", "consumption", "usage", "usage_kwh", "import",
          "consommation", "consumo_kwh", "valeur", "verbrauch", "使用量", "使用電力量", "電力使用量", "電力量",
          "general_supply_kwh")  # fmt: skip
"""Usual names without their units, in small letters."""


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
        asked = [name for name in (columns.id, columns.time, columns.value) if name]
        layout = find_layout(path, {*_ID, *_TIME, *_DATE, *_CLOCK, *_VALUE}, asked)
        hours = [i for i, name in enumerate(layout.heading) if clock_of(name) is not None]
        rows = _wide(path, intake, columns, layout, hours) if len(hours) >= 24 else _long(path, intake, columns, layout)
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
    plain = [plain_name(name) for name in heading]
    if asked:
        whole, wanted = [name.strip().lower() for name in heading], asked.strip().lower()
        for names in (whole, plain):
            if wanted in names:
                return names.index(wanted)
    else:
        found = next((plain.index(name) for name in usual if name in plain), -1)
        if found >= 0 or what == "id":
            return found
    mend = f"name it with --{what}-column; the first line has: {', '.join(heading)[:200]}"
    msg = f"{path.name}: has no column {asked or 'that is usual for the ' + what}; {mend}"
    raise ValueError(msg)


def _wide(path: Path, intake: Intake, columns: Columns, layout: Layout, hours: Sequence[int]) -> Iterator[ReadingBatch]:
    """One row a day: perhaps an id, a date, and a column for each interval, named by its time of day."""
    gather, metric, unit = Gather(intake, path.name), intake.metrics.index(_metric(columns)), UNITS[columns.unit]
    heading = layout.heading
    who = _column(heading, columns.id, _ID, "id", path)
    when = _column(heading, columns.time, (*_DATE, *_TIME), "time", path)
    clocks = [clock_of(heading[i]) for i in hours]
    offsets = [(c[0] * 60 + c[1]) * MINUTE + _shift(columns) for c in clocks if c]
    with opened(path, layout.encoding) as file:
        for number, row in enumerate(csv.reader(file, delimiter=layout.delimiter), 1):
            if number <= layout.line or not row:
                continue
            date = _date(row[when] if len(row) > when else "", columns.form)
            if date is None or len(row) < len(heading):
                gather.reject(number, "bad-row", "write a date and a value for each interval", ",".join(row)[:80])
                continue
            device, start = intake.device("meter", row[who] if who >= 0 else ""), wall_clock(date, intake.zone)
            for i, offset in zip(hours, offsets, strict=True):
                value = as_number(row[i] if layout.delimiter == "," else point_for_comma(row[i]))
                if value is not None:
                    gather.add(number, start + offset, device, metric, value * unit)
                elif row[i].strip():
                    gather.reject(number, "not-a-number", "write the value as a plain number", row[i])
            if gather.full():
                yield gather.take()
    yield gather.take()


def _date(word: str, form: str) -> datetime | None:
    if not form:
        return moment_of(word)
    try:
        return datetime.strptime(word.strip(), form)  # noqa: DTZ007 - a wall clock; the zone is the caller's
    except ValueError:
        return None


def _long(path: Path, intake: Intake, columns: Columns, layout: Layout) -> Iterator[ReadingBatch]:
    """One row an interval, columnar."""
    heading = layout.heading
    who = _column(heading, columns.id, _ID, "id", path)
    when = _times(heading, columns, path)
    what = _column(heading, columns.value, _VALUE, "value", path)
    metric, line = intake.metrics.index(_metric(columns)), layout.line + 1
    odd: list[int] = []

    def odd_row(row: pa.csv.InvalidRow) -> str:
        odd.append(row.number)
        intake.reject(f"{path.name}:{row.number}", "bad-row", f"write {len(heading)} columns", str(row.text))
        return "skip"

    names = [str(i) for i in range(len(heading))]
    with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as raw:
        try:
            reader = pyarrow.csv.open_csv(
                raw, read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=layout.line, use_threads=False,
                                                          encoding=layout.encoding.removesuffix("-sig")),
                parse_options=pyarrow.csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=odd_row),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )  # fmt: skip
        except pa.ArrowInvalid:
            return  # nothing below the heading
        for part in reader:
            span = np.setdiff1d(np.arange(line, line + len(part) + len(odd)), odd)[: len(part)]
            line, odd = (int(span[-1]) + 1 if len(span) else line), []
            at, good_time = _instants(_words([part.column(i) for i in when]), columns, intake)
            value = _numbers(part.column(what), comma=layout.delimiter != ",") * UNITS[columns.unit]
            good = good_time & np.isfinite(value) & (value >= (0 if metric == intake.metrics.index("energy") else -2e4))
            for row in np.flatnonzero(~good).tolist():
                text = ",".join(str(part.column(i)[row]) for i in range(len(heading)))
                mend = "a time (see --time-form) and a plain number that is not below zero"
                intake.reject(f"{path.name}:{span[row]}", "bad-row", mend, text)
            device = _devices(part.column(who) if who >= 0 else None, len(part), intake)
            taken = at + _shift(columns)
            yield make_batch(intake, taken[good], device[good], np.full(int(good.sum()), metric), value[good])


def _times(heading: Sequence[str], columns: Columns, path: Path) -> list[int]:
    """The column of the time; or those of date and clock, where these are two."""
    plain = [plain_name(name) for name in heading]
    date = next((plain.index(name) for name in _DATE if name in plain), -1)
    clock = next((plain.index(name) for name in _CLOCK if name in plain), -1)
    if not columns.time and date >= 0 and clock >= 0:
        return [date, clock]
    return [_column(heading, columns.time, (*_TIME, *_DATE), "time", path)]


def _words(columns: Sequence[pa.Array]) -> pa.Array:
    """Times as words. Of a date and a clock that has a date of its own, the clock."""
    words = [pc.utf8_trim_whitespace(column) for column in columns]
    if len(words) > 1 and not (pc.min(pc.utf8_length(words[1])).as_py() or 0) > len("00:00:00"):
        return pc.binary_join_element_wise(*words, " ")
    return words[-1]


def _instants(words: pa.Array, columns: Columns, intake: Intake) -> tuple[Nanos, np.ndarray]:
    """(ns UTC, good), both (n,)."""
    if columns.form:
        told = pc.strptime(words, format=columns.form, unit="s", error_is_null=True).cast(pa.timestamp("ns"))
        return _placed(told, intake)
    for kind in (pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")):
        try:
            return _placed(words.cast(kind), intake)
        except pa.ArrowInvalid:
            continue
    moments = [moment_of(word) for word in words.to_pylist()]  # a row is odd, or all are: one by one
    good = np.array([m is not None for m in moments], bool)
    at = intake.zone.instants(np.array([wall_clock(m, intake.zone) if m else 0 for m in moments], np.int64))
    for row, moment in enumerate(moments):
        if moment is not None and moment.tzinfo is not None:  # says which of the two hours that a clock shows twice
            at[row] = from_datetime(moment)
    return at, good


def _placed(told: pa.Array, intake: Intake) -> tuple[Nanos, np.ndarray]:
    good = told.is_valid().to_numpy(zero_copy_only=False)
    at = told.fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return (at if told.type.tz else intake.zone.instants(at)), good


def _numbers(column: pa.Array, *, comma: bool) -> np.ndarray:
    """(n,) float64; NaN for what is no number. comma: whether it may stand for the point."""
    try:
        return np.asarray(pc.utf8_trim_whitespace(column).cast(pa.float64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        words = [point_for_comma(w) if comma else w for w in column.to_pylist()]
        return np.array([np.nan if (v := as_number(w)) is None else v for w in words])


def _devices(column: pa.Array | None, rows: int, intake: Intake) -> np.ndarray:
    """(n,) device rows of `meter` in the household that the column names."""
    if column is None:
        return np.full(rows, intake.device("meter"), np.int32)
    coded = column.dictionary_encode()
    table = np.array([intake.device("meter", name) for name in coded.dictionary.to_pylist()], np.int32)
    return table[coded.indices.to_numpy(zero_copy_only=False)] if rows else np.zeros(0, np.int32)
