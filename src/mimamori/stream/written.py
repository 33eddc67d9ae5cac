"""Batches of readings into a reading file: CSV, CSV.gz or Parquet, by the ending of the name.

May import model only. Writes the file it is given; the same batches give the same bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import MINUTE, Nanos, zone_table

_GROUP = 500_000
_HEADER = b"time,household,device,metric,value\n"
_WORD = pa.dictionary(pa.int32(), pa.string())
_KINDS = {"time": pa.float64(), "household": _WORD, "device": _WORD, "metric": _WORD, "value": pa.float64()}
_SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _KINDS.items()])
"""Nothing is ever missing: to say so saves a fifth of the writing, spent otherwise on telling it row by row."""


def write_readings(path: Path, homes: Homes, metrics: Metrics, chunks: Iterable[ReadingBatch], zone: str) -> int:
    """Writes batches that are sorted by `taken` and returns how many readings. homes: knows all their rows already.

    CSV: time in ISO 8601 with the offset of `zone`, milliseconds. Parquet: time in epoch seconds (float64, exact to
    the millisecond; round to that). Raises ValueError for another ending and for batches that are not sorted by time.
    """
    names = [_Names(homes.ids), _Names(homes.device_ids), _Names(metrics.names())]
    if path.suffix == ".parquet":
        return _write_parquet(path, names, chunks)
    if path.name.endswith((".csv", ".csv.gz")):
        return _write_csv(path, names, chunks, zone)
    msg = f'"{path.name}": name the file with the ending .csv, .csv.gz or .parquet'
    raise ValueError(msg)


class _Names:
    """Names by row as a dictionary of an Arrow column; each name once, or Parquet's bytes would not repeat."""

    def __init__(self, by_row: Sequence[str]) -> None:
        once = {name: i for i, name in enumerate(dict.fromkeys(by_row))}
        self._known = pa.array(list(once))
        index = np.array([once[name] for name in by_row], np.int32)
        self._index = None if np.array_equal(index, np.arange(len(index))) else index  # each name once, as it stands

    def column(self, rows: NDArray[np.int32] | NDArray[np.int16]) -> Any:
        index = rows.astype(np.int32, copy=False) if self._index is None else self._index[rows]
        return pa.DictionaryArray.from_arrays(pa.array(index), self._known, safe=False)


def _in_order(chunks: Iterable[ReadingBatch]) -> Iterator[ReadingBatch]:
    last = -(2**63)
    for chunk in chunks:
        if not len(chunk):
            continue
        if chunk.taken[0] < last or (chunk.taken[1:] < chunk.taken[:-1]).any():
            msg = 'a reading file is sorted by time; sort the batches by it (simulate with order="taken")'
            raise ValueError(msg)
        last = int(chunk.taken[-1])
        yield chunk


def _columns(chunk: ReadingBatch, names: Sequence[_Names], times: Any) -> Any:
    homes, devices, metrics = names
    words = [homes.column(chunk.home), devices.column(chunk.device), metrics.column(chunk.metric)]
    return pa.table([times, *words, pa.array(chunk.value)], names=["time", "household", "device", "metric", "value"])


def _write_parquet(path: Path, names: Sequence[_Names], chunks: Iterable[ReadingBatch]) -> int:
    count, last = 0, Future[None]()
    last.set_result(None)
    options = {
        # Times hardly repeat: a dictionary of them costs more than it saves, but their high bytes are all alike.
        "use_dictionary": ["household", "device", "metric", "value"],
        "column_encoding": {"time": "BYTE_STREAM_SPLIT"},
        # Least and greatest of the words of each group of rows would cost a third of the writing and help nobody.
        "write_statistics": ["time"],
    }
    with pa_parquet.ParquetWriter(path, _SCHEMA, compression="zstd", **options) as writer, ThreadPoolExecutor(1) as one:

        def write(chunk: ReadingBatch) -> None:
            writer.write_table(_columns(chunk, names, pa.array(chunk.taken // 1_000_000 / 1000)).cast(_SCHEMA))

        for chunk in _large(_in_order(chunks)):
            last.result()
            last = one.submit(write, chunk)  # while the next readings are made
            count += len(chunk)
        last.result()
    return count


def _large(chunks: Iterable[ReadingBatch]) -> Iterator[ReadingBatch]:
    """The same readings in groups of at least _GROUP rows, but for the last: small groups compress badly."""
    held: list[ReadingBatch] = []
    for chunk in chunks:
        held.append(chunk)
        if sum(len(part) for part in held) >= _GROUP:
            yield concat(held)
            held = []
    if held:
        yield concat(held)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as raw:
        if path.suffix != ".gz":
            yield raw
            return
        # No name and no date in the header: the same readings are the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _write_csv(path: Path, names: Sequence[_Names], chunks: Iterable[ReadingBatch], zone: str) -> int:
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    count = 0
    with _opened(path) as file:
        file.write(_HEADER)
        for chunk in _in_order(chunks):
            table = _columns(chunk, names, pa.array(_iso_many(chunk.taken, zone)))
            plain = pa.table({name: table[name].cast(pa.string()) for name in table.column_names})
            pa_csv.write_csv(plain, file, options)
            count += len(chunk)
    return count


def _iso_many(taken: Nanos, zone: str) -> list[str]:
    local = zone_table(zone).local_many(taken)
    wall = np.datetime_as_string(local.astype("datetime64[ns]").astype("datetime64[ms]"))
    ends, index = np.unique(local - taken, return_inverse=True)
    return [str(text) for text in np.char.add(wall, np.array([_offset(int(e)) for e in ends])[index])]


def _offset(shift: int) -> str:
    sign, whole = ("-" if shift < 0 else "+"), abs(shift) // MINUTE
    return f"{sign}{whole // 60:02d}:{whole % 60:02d}"
