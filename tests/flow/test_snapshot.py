"""A snapshot's bytes give back every column as it was, those of earlier versions too."""

from __future__ import annotations

import io

import numpy as np
import pytest

from mimamori.service.snapshot import pack, unpack

ARRAYS = {
    "rows.homes": np.array(["H1", "世帯2"], np.str_),
    "rows.devices": np.array([], np.str_),
    "engine": np.array([5, -(2**63), 2, 0], np.int64),
    "sums": np.asfortranarray(np.array([[1.5, np.nan, -0.0], [np.inf, 1e-300, 0.1]])),
    "out": np.array([True, False]),
    "one": np.float32(0.1).reshape(()),
    "none": np.empty((0, 7), np.int8),
    "strided": np.arange(20, dtype=np.uint16)[::3],
}


def test_every_column_comes_back_to_the_bit() -> None:
    back = unpack(pack(ARRAYS))
    assert list(back) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (back[name].dtype, back[name].shape, back[name].tobytes()) == (
            array.dtype, array.shape, array.tobytes()
        )  # fmt: skip


def test_a_snapshot_of_an_earlier_version_is_read() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **ARRAYS)
    back = unpack(buffer.getvalue())
    assert all(np.array_equal(back[name], array, equal_nan=array.dtype.kind == "f") for name, array in ARRAYS.items())


def test_states_alike_take_little() -> None:
    column = np.full((64, 10_000), 3.25)
    assert len(pack({"column": column})) < column.nbytes / 500


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(b"something else")
