"""Declared columns: one table drives allocation, growth, snapshot and restore of all engine state.

May import model only. Arrays are struct-of-arrays with the household (or device) as the last axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `shape` are the leading axes, the last axis is the row. `fill` is the value of a new row."""

    name: str
    dtype: str
    fill: float
    unit: str
    shape: tuple[int, ...] = ()
    axis: Literal["home", "device"] = "home"


class Columns:
    """Arrays of declared columns, `c["name"]` giving the view [..., :n] of live rows.

    Capacity doubles when full (amortised linear growth). A view must not be kept across `fit`.
    """

    def __init__(self, declared: Sequence[Column], *, capacity: int = 1) -> None:
        self.declared = {c.name: c for c in declared}
        if len(self.declared) != len(declared):
            msg = "a column is declared twice"
            raise ValueError(msg)
        self.rows = {"home": 0, "device": 0}
        self.version = 0  # changes when rows come or are replaced: what was worked out from columns is stale then
        self._capacity = {"home": max(capacity, 1), "device": max(capacity, 1)}
        self._whole = {c.name: _filled(c, self._capacity[c.axis]) for c in declared}
        self._live: dict[str, NDArray[Any]] = {}
        self._bundles: dict[tuple[str, tuple[str, ...]], list[NDArray[Any]]] = {}
        self._rooms: dict[str, NDArray[np.intp]] = {}
        self._cut_views()

    def declare(self, more: Sequence[Column]) -> None:
        """Further columns, before there are any rows."""
        self.declared |= {c.name: c for c in more}
        self._whole |= {c.name: _filled(c, self._capacity[c.axis]) for c in more}
        self._cut_views()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._live[name]

    def whole(self, name: str) -> NDArray[Any]:
        """The array with its spare capacity, contiguous: for compiled loops, which index rows and never count them."""
        return self._whole[name]

    def bundle(self, fields: tuple[str, ...], prefix: str = "") -> list[NDArray[Any]]:
        """`whole` of those columns; half-precision ones as their patterns (rules.kernel.number and pattern)."""
        known = self._bundles.get((prefix, fields))
        if known is None:
            arrays = [self._whole[prefix + name] for name in fields]
            known = [a.view(np.uint16) if a.dtype == np.float16 else a for a in arrays]
            self._bundles[prefix, fields] = known
        return known

    def room(self, axis: Literal["home", "device"] = "home") -> NDArray[np.intp]:
        """(n,) for the rows of that axis that a loop finds; the next loop writes over it."""
        if axis not in self._rooms:
            self._rooms[axis] = np.empty(self.rows[axis], np.intp)
        return self._rooms[axis]

    def fit(self, *, homes: int, devices: int) -> None:
        """Make room for that many rows; new rows hold their fill values. Never shrinks."""
        wanted = {"home": homes, "device": devices}
        if wanted == self.rows:
            return
        for axis, count in wanted.items():
            capacity = self._capacity[axis]
            while capacity < count:
                capacity *= 2
            if capacity != self._capacity[axis]:
                self._grow(axis, capacity)
            self.rows[axis] = max(count, self.rows[axis])
        self._cut_views()

    def _grow(self, axis: str, capacity: int) -> None:
        for name, column in self.declared.items():
            if column.axis == axis:
                larger = _filled(column, capacity)
                larger[..., : self.rows[axis]] = self._whole[name][..., : self.rows[axis]]
                self._whole[name] = larger
        self._capacity[axis] = capacity

    def _cut_views(self) -> None:
        self.version += 1
        self._bundles.clear()
        self._rooms.clear()
        self._live = {n: self._whole[n][..., : self.rows[c.axis]] for n, c in self.declared.items()}

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of all live rows by column name."""
        return {name: array.copy() for name, array in self._live.items()}

    def restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Take over the rows of a snapshot; columns that it does not hold keep their fill. Raises ValueError on a
        shape or dtype that does not fit the declaration, and has taken over nothing then.
        """
        known = {name: column for name, column in self.declared.items() if name in saved}
        for name, column in known.items():
            array = saved[name]
            if array.shape[:-1] != column.shape or array.dtype != np.dtype(column.dtype):
                msg = f"snapshot column {name} is {array.dtype}{array.shape}, declared {column.dtype}{column.shape}"
                raise ValueError(msg)
        self.version += 1
        for name, column in known.items():
            array = saved[name]
            homes = array.shape[-1] if column.axis == "home" else self.rows["home"]
            devices = array.shape[-1] if column.axis == "device" else self.rows["device"]
            self.fit(homes=max(homes, self.rows["home"]), devices=max(devices, self.rows["device"]))
            self[name][..., : array.shape[-1]] = array

    def bytes_per_home(self) -> int:
        """Bytes of the home-axis columns for one household."""
        return sum(
            int(np.prod(c.shape, dtype=np.int64)) * np.dtype(c.dtype).itemsize
            for c in self.declared.values()
            if c.axis == "home"
        )


class Once(Generic[T]):
    """What is made of columns, kept until rows come or are replaced."""

    def __init__(self, columns: Columns, make: Callable[[], T]) -> None:
        self._columns, self._make = columns, make
        self._made: T | None = None
        self._version = -1

    def __call__(self) -> T:
        if self._made is None or self._version != self._columns.version:
            self._made, self._version = self._make(), self._columns.version
        return self._made

    def drop(self) -> None:
        """Something else that it was made of is another."""
        self._made = None


def _filled(column: Column, capacity: int) -> NDArray[Any]:
    return np.full((*column.shape, capacity), column.fill, dtype=column.dtype)
