"""Chunks of a waveform: taken whole, or named and set aside."""

from __future__ import annotations

from typing import Any

import cbor2
import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.sensors.decode import Decoder
from mimamori.sensors.wave import GAP, write_wave

from .conftest import NOW, WAVE, said


def test_a_wave_chunk(decoder: Decoder, homes: Homes) -> None:
    decoded = said(decoder, write_wave(NOW, 100.0, np.array([1, -2, GAP], np.int16), 0.5), WAVE)
    [wave] = decoded.waves
    assert (wave.device, wave.rate, wave.taken) == (homes.find_device("h001", "bed1"), 100.0, NOW)
    assert np.array_equal(wave.samples, np.array([0.5, -1.0, np.nan], np.float32), equal_nan=True)
    assert decoded.rejected == []


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        ({"t": 1, "s": b"\x00\x00"}, "not-a-number"),
        ({"t": 1, "fs": 0, "s": b"\x00\x00"}, "out-of-range"),
        ({"t": 1, "fs": 100, "s": b"\x00"}, "bad-shape"),
        ({"t": 1, "fs": 100, "s": "text"}, "bad-shape"),
        ({"t": 1, "fs": 100, "s": b"\x00\x01", "scale": 1e300}, "out-of-range"),
        ([1], "bad-shape"),
    ],
)
def test_a_bad_wave_chunk_is_named(decoder: Decoder, chunk: Any, reason: str) -> None:
    assert [r.reason for r in said(decoder, cbor2.dumps(chunk), WAVE).rejected] == [reason]


def test_a_wave_chunk_with_bytes_behind_it_is_named(decoder: Decoder) -> None:
    glued = cbor2.dumps({"t": 1, "fs": 100, "s": b"\x00\x00"}) + b"\x00"
    assert [r.reason for r in said(decoder, glued, WAVE).rejected] == ["not-json"]
