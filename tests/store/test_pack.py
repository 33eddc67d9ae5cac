"""Packing is exact for whatever columns come, and small for what sensors say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mimamori.model.readings import ReadingBatch
from mimamori.model.times import SECOND
from mimamori.store.figures import cells_of, pack_cells, unpack_cells
from mimamori.store.pack import Reader, first_of_each, pack, pack_log, planes, unpack, unpack_log

HOMES = np.array([0, 0, 1, 1, 2, 2], np.int32)
anything = st.integers(-(2**63), 2**63 - 1)
moments = st.integers(0, 2**62)
values = st.one_of(
    st.floats(allow_nan=False), st.integers(-1000, 1000).map(lambda i: i / 10), st.sampled_from([0.0, -0.0])
)


@st.composite
def batches(draw: st.DrawFn) -> ReadingBatch:
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 3), values, moments, moments, st.integers(0, 15)), min_size=1
        )
    )
    device, metric, value, taken, got, flags = zip(*rows, strict=True)
    keys = np.array(device, np.int32)
    return ReadingBatch(
        home=HOMES[keys], device=keys, metric=np.array(metric, np.int16), value=np.array(value, np.float64),
        taken=np.array(taken, np.int64), got=np.array(got, np.int64), flags=np.array(flags, np.uint8),
    )  # fmt: skip


def bits(rows: ReadingBatch) -> list[list[int]]:
    columns = (rows.home, rows.device, rows.metric, rows.value.view(np.int64), rows.taken, rows.got, rows.flags)
    return [c.tolist() for c in columns]


@given(arrays(np.int64, st.integers(0, 40), elements=anything))
def test_planes_give_back_every_integer(numbers: np.ndarray) -> None:
    assert Reader(planes(numbers)).ints(len(numbers)).tolist() == numbers.tolist()


@given(batches())
def test_packed_rows_come_back_bit_by_bit(rows: ReadingBatch) -> None:
    rows = first_of_each(rows)
    assert bits(unpack(pack(rows), HOMES)) == bits(rows)


@given(batches())
def test_log_rows_come_back_bit_by_bit_in_their_order(rows: ReadingBatch) -> None:
    assert bits(unpack_log(pack_log(rows), HOMES)) == bits(rows)


@given(batches())
def test_cells_come_back_bit_by_bit(rows: ReadingBatch) -> None:
    cells = cells_of(first_of_each(rows))
    again = unpack_cells(pack_cells(cells))
    for name in ("device", "metric", "minute", "count", "exponent", "total", "low", "high"):
        assert getattr(again, name).tolist() == getattr(cells, name).tolist(), name


def test_a_bed_hour_takes_under_two_bytes_a_reading() -> None:
    rng = np.random.default_rng(1)
    n = 720
    taken = np.tile(np.arange(n) * 5 * SECOND + rng.integers(0, 40, n) * 1_000_000, 4)
    got = taken + np.tile(rng.integers(5, 120, n) * 1_000_000, 4)
    value = np.concatenate([rng.integers(55, 75, n), rng.integers(10, 20, n), rng.integers(0, 9, n), np.ones(n)]) * 1.0
    rows = ReadingBatch(
        home=np.zeros(4 * n, np.int32), device=np.zeros(4 * n, np.int32),
        metric=np.repeat(np.arange(4), n).astype(np.int16), value=value, taken=taken, got=got,
        flags=np.zeros(4 * n, np.uint8),
    )  # fmt: skip
    assert len(pack(rows)) < 2 * len(rows)
