"""The engine's snapshot as bytes, with whose rows its columns are.

May import model only. Reads no clock, writes no file.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mimamori.model.homes import Homes

MAGIC = b"MMSNAP1\n"
LEVEL = 1  # of zstd: a state of hundreds of megabytes is packed in less than a second
ROWS = ("rows.homes", "rows.devices", "rows.device_home")


def rows_of(homes: Homes) -> dict[str, NDArray[Any]]:
    """Who is in which row, to go with a snapshot: its columns mean nothing without."""
    names = (np.array(homes.ids, np.str_), np.array(homes.device_ids, np.str_), np.array(homes.device_home, np.int32))
    return dict(zip(ROWS, names, strict=True))


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Columns and rows as one blob, for `unpack`. Compressing lets go of the interpreter's lock."""
    codec = pa.Codec("zstd", compression_level=LEVEL)
    bodies = [codec.compress(np.ascontiguousarray(array), asbytes=True) for array in arrays.values()]
    told = [
        (name, array.dtype.str, array.shape, len(body))
        for (name, array), body in zip(arrays.items(), bodies, strict=True)
    ]
    head = json.dumps(told).encode()
    return b"".join((MAGIC, len(head).to_bytes(4, "little"), head, *bodies))


def unpack(blob: bytes) -> dict[str, NDArray[Any]]:
    """What `pack` was given, or an earlier version's blob holds. Raises ValueError for bytes that are neither."""
    if not blob.startswith(MAGIC):
        with np.load(io.BytesIO(blob), allow_pickle=False) as saved:
            return dict(saved)
    codec, begin = pa.Codec("zstd"), len(MAGIC) + 4
    at = begin + int.from_bytes(blob[len(MAGIC) : begin], "little")
    arrays = {}
    for name, kind, shape, size in json.loads(blob[begin:at]):
        dtype = np.dtype(kind)
        raw = codec.decompress(blob[at : at + size], math.prod(shape) * dtype.itemsize)
        arrays[name] = np.frombuffer(raw, dtype).reshape(shape)
        at += size
    return arrays


def take_rows(homes: Homes, saved: Mapping[str, NDArray[Any]]) -> None:
    """Gives the households and devices of a snapshot the rows that they had; `homes` must be empty."""
    ids, devices, of = (saved[name].tolist() for name in ROWS)
    for household in ids:
        homes.add(household)
    for device, home in zip(devices, of, strict=True):
        homes.add_device(ids[home], device)
