"""Reading files: all forms give the same batches; bad rows are counted with their line, and the rest goes on."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import SECOND, iso
from mimamori.stream.recorded import COLUMNS, RecordedFile

T0 = 1_795_000_000
HEAD = ",".join(COLUMNS)
ROWS = [
    (T0 + i // 2 + (0.25 if i % 2 else 0), f"A-0{i % 3}", ("bed", "hall")[i % 2],
     ("heart_rate", "motion")[i % 2], (60 + i % 40) if i % 2 == 0 else i % 4 // 2)
    for i in range(300)
]  # fmt: skip


def read(path: Path) -> tuple[RecordedFile, Homes, ReadingBatch]:
    homes = Homes()
    source = RecordedFile(path, homes, Metrics())
    return source, homes, concat(source.batches())


def text_of(rows: list[tuple[object, ...]], when: Callable[[float], str] = str) -> str:
    return "\n".join([HEAD, *(",".join([when(float(r[0])), *map(str, r[1:])]) for r in rows)]) + "\n"  # type: ignore[arg-type]


def write(path: Path, rows: list[tuple[object, ...]], when: Callable[[float], str] = str) -> Path:
    text = text_of(rows, when).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def as_iso(at: float) -> str:
    return iso(int(at * 4) * SECOND // 4, "Asia/Tokyo")


def check(path: Path) -> None:
    """Every row is there, as written, to the microsecond."""
    source, homes, batch = read(path)
    assert (source.readings, source.set_aside, source.rejected) == (len(ROWS), 0, [])
    assert homes.ids == ["A-00", "A-01", "A-02"]
    told = [
        (round(int(batch.taken[i]) / 1000) / 10**6, homes.ids[batch.home[i]], homes.device_ids[batch.device[i]],
         Metrics().names()[batch.metric[i]], batch.value[i])
        for i in range(len(batch))
    ]  # fmt: skip
    assert told == ROWS
    assert (batch.taken == batch.got).all()
    assert not batch.flags.any()
    assert [homes.device_home[d] for d in batch.device] == batch.home.tolist()


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
@pytest.mark.parametrize("when", [str, as_iso])
def test_text_files_give_what_is_written(tmp_path: Path, name: str, when: Callable[[float], str]) -> None:
    check(write(tmp_path / name, ROWS, when))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["float seconds", "timestamp", "text"])
@pytest.mark.parametrize("coded", [False, True])
def test_parquet_gives_the_same(tmp_path: Path, form: str, *, coded: bool) -> None:
    columns = [list(c) for c in zip(*ROWS, strict=True)]
    time = {
        "float seconds": lambda: pa.array(columns[0], pa.float64()),
        "timestamp": lambda: pa.array([round(t * 1000) for t in columns[0]], pa.timestamp("ms", tz="UTC")),
        "text": lambda: pa.array([as_iso(t) for t in columns[0]]),
    }[form]()
    words = [pa.array(c) for c in columns[1:4]]
    if coded:
        words = [w.dictionary_encode() for w in words]
    table = pa.table([time, *words, pa.array(columns[4], pa.float32())], list(COLUMNS))
    pyarrow.parquet.write_table(table, tmp_path / "r.parquet", row_group_size=70)
    check(tmp_path / "r.parquet")


BAD: dict[str, list[tuple[object, ...]]] = {
    "bad-row": [("yesterday", "A-00", "bed", "motion", 1), ("2026-11-24T09:00:00", "A-00", "bed", "motion", 1),
                (T0, "A/00", "bed", "motion", 1), (T0, "A-00", "b d", "motion", 1), (T0, "", "bed", "motion", 1)],
    "time-too-old": [(1000.0, "A-00", "bed", "motion", 1)],
    "time-in-future": [(9_000_000_000.0, "A-00", "bed", "motion", 1)],
    "unknown-metric": [(T0, "A-00", "bed", "mood", 1)],
    "not-a-number": [(T0, "A-00", "bed", "motion", "yes"), (T0, "A-00", "bed", "motion", "nan"),
                     (T0, "A-00", "bed", "motion", "inf"), (T0, "A-00", "bed", "motion", "")],
    "out-of-range": [(T0, "A-00", "bed", "heart_rate", 900), (T0, "A-00", "bed", "in_bed", -1)],
}  # fmt: skip


@pytest.mark.parametrize(("reason", "row"), [(reason, row) for reason, rows in BAD.items() for row in rows])
def test_a_bad_row_is_set_aside_with_its_line_and_the_rest_goes_on(
    tmp_path: Path, reason: str, row: tuple[object, ...]
) -> None:
    good = [(T0, "A-00", "hall", "motion", 1), (T0 + 1, "A-00", "hall", "motion", 0)]
    lines = [HEAD, *(",".join(map(str, r)) for r in (good[0], row, good[1]))]
    (tmp_path / "r.csv").write_text("\n".join(lines) + "\n")
    source, _, batch = read(tmp_path / "r.csv")
    assert batch.value.tolist() == [1, 0]
    assert (source.readings, source.set_aside) == (2, 1)
    (rejected,) = source.rejected
    assert (rejected.reason, rejected.place) == (reason, "r.csv:3")
    assert rejected.mend


@pytest.mark.parametrize("line", [f"{T0},A-00,bed,motion", f"{T0},A-00,bed,motion,1,2"])
def test_a_row_of_another_width_is_set_aside(tmp_path: Path, line: str) -> None:
    rows = [f"{T0},A-00,hall,motion,1", line, f"{T0 + 1},A-00,hall,motion,x", f"{T0 + 2},A-00,hall,motion,0"]
    (tmp_path / "r.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    source, _, batch = read(tmp_path / "r.csv")
    assert batch.value.tolist() == [1, 0]
    assert {r.reason: r.place for r in source.rejected} == {"bad-row": "r.csv:3", "not-a-number": "r.csv:4"}
    assert source.set_aside == 2


def test_a_file_that_is_not_sorted_is_refused_with_place_and_mend(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [(T0 + s, "A-00", "hall", "motion", 1) for s in (0, 5, 3)]
    with pytest.raises(ValueError, match=r"r\.csv: not sorted by time near line \d+; sort the rows"):
        read(write(tmp_path / "r.csv", rows))


@pytest.mark.parametrize("missing", COLUMNS)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str, form: str) -> None:
    names = [c for c in COLUMNS if c != missing]
    path = tmp_path / f"r.{form}"
    if form == "csv":
        path.write_text(f"{','.join(names)}\n1,2,3,4\n")
    else:
        pyarrow.parquet.write_table(pa.table([pa.array(["1"])] * 4, names), path)
    with pytest.raises(ValueError, match=rf"has no column {missing}; the first line must be time,household"):
        read(path)


def test_columns_may_come_in_any_order_with_others_between(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(f"note,value,metric,device,household,time\nx,1,motion,hall,A-00,{T0}\n")
    source, homes, batch = read(tmp_path / "r.csv")
    assert (homes.ids, batch.value.tolist(), batch.taken.tolist()) == (["A-00"], [1.0], [T0 * SECOND])
    assert source.set_aside == 0


def test_a_file_of_no_rows_gives_none(tmp_path: Path) -> None:
    source, homes, batch = read(write(tmp_path / "r.csv", []))
    assert (len(batch), len(homes), source.readings) == (0, 0, 0)


def test_ids_refused_add_no_household(tmp_path: Path) -> None:
    _, homes, _ = read(write(tmp_path / "r.csv", [(T0, "a b", "hall", "motion", 1)]))
    assert (homes.ids, homes.devices) == ([], 0)


def test_a_reading_file_of_many_blocks_counts_its_lines_on(tmp_path: Path) -> None:
    count = 130_000
    rows = [f"{T0 + i},A-00,hall,heart_rate,60" for i in range(count)]
    rows[-2] = rows[-2].replace("heart_rate", "mood")
    (tmp_path / "r.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    source, _, batch = read(tmp_path / "r.csv")
    assert len(batch) == count - 1
    assert np.all(np.diff(batch.got) > 0)
    assert [r.place for r in source.rejected] == [f"r.csv:{count}"]
