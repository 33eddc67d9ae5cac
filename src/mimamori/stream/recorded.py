"""Readings from a file (CSV, CSV.gz, Parquet) as batches in recorded time. A bad row is counted and set aside.

May import model only. Parsing is columnar (pyarrow); no Python loop per reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, Rejected, RejectReason
from mimamori.model.times import EPOCH_HIGH, EPOCH_LOW, SECOND, Nanos, parse_instant

COLUMNS = ("time", "household", "device", "metric", "value")
KEPT_REJECTS = 1000  # the first so many are kept with their line; all are counted
BLOCK = 1 << 22


@dataclass(slots=True)
class RecordedFile:
    """One reading file. Iterate `batches()` once; `rejected` and `counts` fill on the way."""

    path: Path
    homes: Homes
    metrics: Metrics
    profiles: Collection[str] = ()  # a device with such a name is of that model
    rejected: list[Rejected] = field(default_factory=list)
    readings: int = 0
    set_aside: int = 0
    bytes_read: int = 0
    begins: int | None = None  # ns, first and last reading so far
    ends: int | None = None
    firsts: list[int] = field(default_factory=list)  # ns, by row of household: its first and last reading so far
    lasts: Nanos = field(default_factory=lambda: np.zeros(0, np.int64))
    _line: int = 2  # physical line of the next row
    _odd: list[int] = field(default_factory=list)  # physical lines of rows of another width, not yet passed

    def batches(self) -> Iterator[ReadingBatch]:
        """Batches in file order. Raises ValueError if the file is no reading file, or not sorted by time."""
        newest = -(2**63)
        for table in self._tables():
            batch = self._decode(table)
            if not len(batch):
                continue
            if batch.got[0] < newest or (np.diff(batch.got) < 0).any():
                msg = f"{self.path.name}: not sorted by time near line {self._line}; sort the rows by their time column"
                raise ValueError(msg)
            newest = self.ends = int(batch.got[-1])
            self.begins = int(batch.got[0]) if self.begins is None else self.begins
            self.readings += len(batch)
            self._span(batch)
            yield batch

    def _span(self, batch: ReadingBatch) -> None:
        known, now = len(self.firsts), len(self.homes)
        if now > known:
            self.lasts = np.concatenate([self.lasts, np.zeros(now - known, np.int64)])
            new, at = np.unique(batch.home, return_index=True)
            first = dict(zip(new.tolist(), batch.got[at].tolist(), strict=True))
            # A household all of whose rows were set aside has no reading yet: its span is empty and begins here.
            self.firsts += [first.get(row, int(batch.got[0])) for row in range(known, now)]
            self.lasts[known:] = self.firsts[known:]
        self.lasts[batch.home] = batch.got  # in order of time: the last one stays

    def _tables(self) -> Iterator[pa.Table]:
        if self.path.suffix == ".parquet":
            source = pyarrow.parquet.ParquetFile(self.path)
            self._require(source.schema_arrow.names)
            for part in source.iter_batches(batch_size=200_000, columns=list(COLUMNS)):
                self.bytes_read += part.nbytes
                yield pa.Table.from_batches([part])
            return
        with pa.input_stream(str(self.path), compression="gzip" if self.path.suffix == ".gz" else None) as raw:
            try:
                reader = pyarrow.csv.open_csv(
                    raw,
                    read_options=pyarrow.csv.ReadOptions(block_size=BLOCK, use_threads=False),
                    parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=self._odd_row),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=dict.fromkeys(COLUMNS, pa.string()), strings_can_be_null=False
                    ),
                )
            except pa.ArrowInvalid as error:
                msg = f"{self.path.name}: {error}; the first line must be {','.join(COLUMNS)}"
                raise ValueError(msg) from error
            self._require(reader.schema.names)
            for part in reader:
                self.bytes_read += part.nbytes
                yield pa.Table.from_batches([part])

    def _require(self, names: list[str]) -> None:
        missing = [c for c in COLUMNS if c not in names]
        if missing:
            msg = f"{self.path.name}: has no column {', '.join(missing)}; the first line must be {','.join(COLUMNS)}"
            raise ValueError(msg)

    def _odd_row(self, row: Any) -> str:
        self._odd.append(row.number)
        self._reject(row.number, "bad-row", "write five columns", str(row.text))
        return "skip"

    def _reject(self, line: int, reason: RejectReason, mend: str, text: str) -> None:
        self.set_aside += 1
        if len(self.rejected) < KEPT_REJECTS:
            place = f"{self.path.name}:{line}"
            self.rejected.append(
                Rejected(place=place, reason=reason, mend=mend, payload=text.encode()[:500], at=EPOCH_LOW)
            )

    def _decode(self, table: pa.Table) -> ReadingBatch:
        lines = self._lines(len(table))
        taken, good_time = _instants(table["time"])
        value, good_value = _numbers(table["value"])
        metric = _codes(table["metric"], self.metrics.find)
        device, home = self._devices(table)
        reasons: list[tuple[NDArray[np.bool_], RejectReason, str]] = [
            (~good_time, "bad-row", "write the time as ISO 8601 with an offset, or epoch seconds"),
            (good_time & (taken < EPOCH_LOW), "time-too-old", "set the device's clock"),
            (good_time & (taken >= EPOCH_HIGH), "time-in-future", "set the device's clock"),
            (metric < 0, "unknown-metric", "use a metric of sensors/README.md"),
            (device < 0, "bad-row", "ids may hold letters, digits, . _ ~ - only"),
            (~good_value | ~np.isfinite(value), "not-a-number", "write the value as a plain number"),
        ]
        low, high = self.metrics.limits()
        known = np.maximum(metric, 0)
        outside = np.isfinite(value) & (metric >= 0) & ((value < low[known]) | (value > high[known]))
        reasons.append((outside, "out-of-range", "see the metric's range in sensors/README.md"))
        bad = np.zeros(len(table), bool)
        for which, reason, mend in reasons:
            for row in np.flatnonzero(which & ~bad).tolist():
                text = ",".join(str(table[c][row]) for c in COLUMNS) if len(self.rejected) < KEPT_REJECTS else ""
                self._reject(int(lines[row]), reason, mend, text)
            bad |= which
        batch = ReadingBatch(
            home=home, device=device, metric=metric.astype(np.int16), value=value, taken=taken, got=taken,
            flags=np.zeros(len(table), np.uint8),
        )  # fmt: skip
        return batch.take(~bad) if bad.any() else batch

    def _lines(self, rows: int) -> NDArray[np.int64]:
        """(rows,) int64 physical line of each: the reader leaves rows of another width out."""
        span = np.arange(self._line, self._line + rows + len(self._odd))
        lines = np.setdiff1d(span, self._odd)[:rows]
        if rows:
            self._line = int(lines[-1]) + 1
        self._odd = [line for line in self._odd if line >= self._line]
        return lines

    def _devices(self, table: pa.Table) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(device, home) rows, (n,) int32 each; -1 for ids that are none. New ones are added in order of appearance."""
        names = pc.binary_join_element_wise(
            table["household"].cast(pa.string()), table["device"].cast(pa.string()), "\t"
        )

        def add(both: str) -> int:
            household, _, device = both.partition("\t")
            try:
                return self.homes.add_device(household, device, device if device in self.profiles else "")
            except ValueError:
                return -1

        device = _codes(names, add)
        home_of = np.array([*self.homes.device_home, -1], np.int32)
        return device.astype(np.int32), home_of[device]


def _codes(column: pa.ChunkedArray, lookup: Any) -> NDArray[np.int64]:
    """(n,) int64: lookup(text) once for each distinct text."""
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    table = np.array([lookup(text) for text in coded.dictionary.to_pylist()], np.int64)
    return table[coded.indices.to_numpy(zero_copy_only=False)] if len(table) else np.empty(0, np.int64)


def _numbers(column: pa.ChunkedArray) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        value = column.cast(pa.float64()).to_numpy()
        return value, np.ones(len(value), bool)
    try:
        value = pc.cast(column, pa.float64()).to_numpy()
        return value, np.ones(len(value), bool)
    except pa.ArrowInvalid:
        texts = column.to_pylist()
        good = np.array([_is_number(t) for t in texts])
        return np.array([float(t) if g else np.nan for t, g in zip(texts, good, strict=True)]), good


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _instants(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(ns UTC, good), both (n,). Accepts timestamps, epoch seconds, and ISO 8601 text with an offset."""
    if pa.types.is_timestamp(column.type):
        return pc.cast(column, pa.timestamp("ns")).cast(pa.int64()).to_numpy(), np.ones(len(column), bool)
    if not pa.types.is_string(column.type):
        seconds = column.cast(pa.float64()).to_numpy()
        good = np.isfinite(seconds)
        whole = np.floor(np.where(good, seconds, 0))
        # a float holds whole seconds exactly and the rest to a quarter of a microsecond
        micros = np.rint((np.where(good, seconds, 0) - whole) * 1e6)
        return whole.astype(np.int64) * SECOND + micros.astype(np.int64) * 1000, good
    try:
        at = pc.cast(column, pa.timestamp("ns", tz="UTC")).cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return _instants_one_by_one(column.to_pylist())
    return at, np.ones(len(at), bool)


def _instants_one_by_one(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    at, good = np.zeros(len(texts), np.int64), np.zeros(len(texts), bool)
    for i, text in enumerate(texts):
        try:
            at[i] = parse_instant(text)
            good[i] = True
        except (ValueError, OverflowError):
            continue
    return at, good
