"""Every importer: the same bytes each time, in order of time, and no instant lost to the wall clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.cli import main
from mimamori.model.readings import reading_batch
from mimamori.model.times import HOUR, MINUTE, parse_instant, zone_table
from mimamori.stream.by_day import sorted_days

from .conftest import OLD


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / n for n in ("a.parquet", "b.parquet")]
    source = tmp_path / "home.txt"
    source.write_text(OLD, encoding="utf-8")
    for file in files:
        told = CliRunner().invoke(main, ["import", "casas", str(source), "--out", str(file), "--alive", "10m"])
        assert told.exit_code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), max_size=8), max_size=5))
def test_any_order_is_sorted_and_nothing_is_lost(parts: list[list[tuple[int, int]]]) -> None:
    batches = [reading_batch([(0, d, 5, float(i), h * HOUR, h * HOUR, 0) for i, (h, d) in enumerate(p)]) for p in parts]
    told = [
        (t, d, v)
        for _, b in sorted_days(batches)
        for t, d, v in zip(b.taken.tolist(), b.device.tolist(), b.value.tolist(), strict=True)
    ]
    given_rows = [(h * HOUR, d, float(i)) for p in parts for i, (h, d) in enumerate(p)]
    assert told == sorted(given_rows, key=lambda r: r[:2])  # stable, as Python's own sort


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"])
def test_wall_clock_and_instant_are_each_others_way_back(zone: str) -> None:
    table = zone_table(zone)
    at = parse_instant("2026-01-01T00:00:00Z") + np.arange(0, 366 * 48, dtype=np.int64) * 30 * MINUTE
    back = table.instants(table.local_many(at))
    doubled = np.flatnonzero(back != at)
    assert len(doubled) <= 2  # the hour that the clock shows twice
    assert (table.local_many(back) == table.local_many(at)).all()
