"""Waveform chunks: a stretch of raw samples of one channel, as CBOR, both ways.

May import model and sensors.sample. Pure. The format is written down in the README of the content folder.
"""

from __future__ import annotations

from dataclasses import dataclass

import cbor2
import numpy as np
from numpy.typing import NDArray

from mimamori.model.times import NEVER
from mimamori.sensors.sample import Mistake, mapping, moment, number, read_cbor

GAP = -32768
"""The raw count that says "no sample here"."""
MAX_RATE = 2000.0  # Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A chunk. samples: (n,) float32 in the channel's unit, NaN = missing. rate: Hz. taken, got: ns of the first."""

    home: int
    device: int
    taken: int
    got: int
    rate: float
    samples: NDArray[np.float32]


def read_wave(payload: bytes, home: int, device: int, got: int) -> Wave:
    """A chunk from `{"t": epoch-ms, "fs": Hz, "s": int16 little-endian bytes, "scale": unit per count}`.

    Raises Mistake for anything else.
    """
    chunk = mapping(read_cbor(payload, "send the waveform chunk as CBOR"), "a waveform chunk")
    taken = moment(chunk.get("t"))
    rate, scale = number(chunk.get("fs"), "fs"), number(chunk.get("scale", 1), "scale")
    raw = chunk.get("s")
    if not 0 < rate <= MAX_RATE:
        raise Mistake("out-of-range", f"fs is in Hz, above 0 and up to {MAX_RATE:g}")
    if not isinstance(raw, bytes) or not raw or len(raw) % 2:
        raise Mistake("bad-shape", "s holds int16 samples, little-endian, as a byte string")
    counts = np.frombuffer(raw, "<i2")
    with np.errstate(over="ignore", invalid="ignore"):
        samples = np.where(counts == GAP, np.nan, counts * scale).astype(np.float32)
    if np.isinf(samples).any():
        raise Mistake("out-of-range", "scale makes the samples too large")
    return Wave(home=home, device=device, taken=got if taken == NEVER else taken, got=got, rate=rate, samples=samples)


def write_wave(taken: int, rate: float, counts: NDArray[np.int16], scale: float = 1.0) -> bytes:
    """The payload of a chunk; `taken` in ns is sent as whole milliseconds."""
    return cbor2.dumps({"t": taken // 1_000_000, "fs": rate, "scale": scale, "s": counts.astype("<i2").tobytes()})
