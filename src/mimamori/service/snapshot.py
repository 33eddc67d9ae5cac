"""The engine's snapshot as bytes, with whose rows its columns are.

May import model only. Reads no clock, writes no file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes

ROWS = ("rows.homes", "rows.devices", "rows.device_home")


def rows_of(homes: Homes) -> dict[str, NDArray[Any]]:
    """Who is in which row, to go with a snapshot: its columns mean nothing without."""
    names = (np.array(homes.ids, np.str_), np.array(homes.device_ids, np.str_), np.array(homes.device_home, np.int32))
    return dict(zip(ROWS, names, strict=True))


def pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Columns and rows as one blob, which `np.load` reads."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def take_rows(homes: Homes, saved: Mapping[str, NDArray[Any]]) -> None:
    """Gives the households and devices of a snapshot the rows that they had; `homes` must be empty."""
    ids, devices, of = (saved[name].tolist() for name in ROWS)
    for household in ids:
        homes.add(household)
    for device, home in zip(devices, of, strict=True):
        homes.add_device(ids[home], device)
