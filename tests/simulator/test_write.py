"""Reading files and truth files as DESIGN fixes them; read back with other tools than they were written with."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow.parquet as pa_parquet
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, parse_instant
from mimamori.simulator.days import simulate
from mimamori.simulator.households import SimulatedHome, registry
from mimamori.simulator.truth import TruthEvent, write_truth
from mimamori.stream.recorded import RecordedFile
from mimamori.stream.written import write_readings

METRICS = Metrics()
START = parse_instant("2026-11-16T00:00:00+09:00")
HEADER = ["time", "household", "device", "metric", "value"]
TOKYO = "Asia/Tokyo"


def chunks(homes: tuple[SimulatedHome, ...], events: tuple[TruthEvent, ...] = ()) -> list[ReadingBatch]:
    return list(simulate(homes, start=START, end=START + 3 * HOUR, seed=5, order="taken", events=events))


def rows_of(homes: tuple[SimulatedHome, ...], batch: ReadingBatch) -> list[tuple[int, str, str, str, float]]:
    devices = [(h.id, d.id) for h in homes for d in h.devices]
    return [
        (int(t), *devices[d], METRICS[m].name, float(v))
        for t, d, m, v in zip(batch.taken, batch.device, batch.metric, batch.value, strict=True)
    ]


def read_csv(text: str) -> list[tuple[int, str, str, str, float]]:
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == HEADER
    return [(parse_instant(t), h, d, m, float(v)) for t, h, d, m, v in rows[1:]]


@pytest.mark.parametrize("zone", [TOKYO, "Europe/Paris"])
def test_csv_holds_every_reading_with_its_offset(tmp_path: Path, full: tuple[SimulatedHome, ...], zone: str) -> None:
    homes = full[:2]
    path = tmp_path / "readings.csv"
    count = write_readings(path, registry(homes), METRICS, chunks(homes), zone)
    text = path.read_text(encoding="utf-8")
    rows = read_csv(text)
    assert rows == rows_of(homes, concat(chunks(homes)))
    assert count == len(rows) > 1000
    assert ("+09:00," if zone == TOKYO else "+01:00,") in text.splitlines()[1]
    assert ".0\n" not in text  # whole numbers are written whole


def test_gz_is_the_same_text_and_the_same_bytes_again(tmp_path: Path, full: tuple[SimulatedHome, ...]) -> None:
    paths = [tmp_path / name for name in ("a.csv.gz", "b.csv.gz", "c.csv")]
    for path in paths:
        write_readings(path, registry(full[:2]), METRICS, chunks(full[:2]), TOKYO)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert gzip.decompress(paths[0].read_bytes()) == paths[2].read_bytes()


def test_parquet_holds_the_same_readings_and_bytes(tmp_path: Path, full: tuple[SimulatedHome, ...]) -> None:
    homes = full[:2]
    paths = [tmp_path / name for name in ("a.parquet", "b.parquet")]
    for path in paths:
        write_readings(path, registry(homes), METRICS, chunks(homes), TOKYO)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    table = pa_parquet.read_table(paths[0]).to_pydict()
    assert list(table) == HEADER
    times = [round(t * 1000) * 1_000_000 for t in table["time"]]
    assert list(zip(times, *(table[n] for n in HEADER[1:]), strict=True)) == rows_of(homes, concat(chunks(homes)))
    assert not any(field.nullable for field in pa_parquet.read_schema(paths[0]))
    again = concat(RecordedFile(paths[0], Homes(), METRICS).batches())
    assert again.value.tolist() == concat(chunks(homes)).value.tolist()


def test_a_full_disk_is_told_though_parquet_is_written_beside(tmp_path: Path, full: tuple[SimulatedHome, ...]) -> None:
    path = tmp_path / "readings.parquet"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space"):
        write_readings(path, registry(full[:2]), METRICS, chunks(full[:2]), TOKYO)


def test_a_file_is_sorted_even_where_readings_came_late(tmp_path: Path, full: tuple[SimulatedHome, ...]) -> None:
    events = tuple(
        TruthEvent(household=full[0].id, kind=kind, start=START + HOUR, end=START + 2 * HOUR)
        for kind in ("back-fill", "clock-drift")
    )
    path = tmp_path / "readings.csv"
    write_readings(path, registry(full[:2]), METRICS, chunks(full[:2], events), TOKYO)
    times = [row[0] for row in read_csv(path.read_text(encoding="utf-8"))]
    assert times == sorted(times)


def test_wrong_endings_and_orders_are_refused(tmp_path: Path, full: tuple[SimulatedHome, ...]) -> None:
    with pytest.raises(ValueError, match=r"\.parquet"):
        write_readings(tmp_path / "readings.xlsx", registry(full[:1]), METRICS, [], TOKYO)
    late = chunks(full[:1])[::-1]
    with pytest.raises(ValueError, match='order="taken"'):
        write_readings(tmp_path / "readings.csv", registry(full[:1]), METRICS, late, TOKYO)


def test_truth_is_sorted_with_offsets(tmp_path: Path) -> None:
    events = [
        TruthEvent(household="home-002", kind="outing", start=START + DAY, end=START + DAY + HOUR),
        TruthEvent(household="home-001", kind="collapse", start=START, end=START + HOUR),
    ]
    path = tmp_path / "truth.csv"
    write_truth(path, events, TOKYO)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "household,kind,start,end",
        "home-001,collapse,2026-11-16T00:00:00.000+09:00,2026-11-16T01:00:00.000+09:00",
        "home-002,outing,2026-11-17T00:00:00.000+09:00,2026-11-17T01:00:00.000+09:00",
    ]
