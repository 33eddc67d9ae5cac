"""Readings as InfluxDB line protocol, built in bulk, and the answers of InfluxQL back into columns.

May import model and its neighbours. Pure: no socket, no file.

One point a device and instant: measurement `readings`, tags household and device, a field a metric, and `got` and
`flags` for all of them; flags of 0 are left out, for every field costs the server time. A metric that came by another
message than the first of its instant carries its own, in `<metric>.got` and `<metric>.flags`, so that it overwrites
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mimamori.model.readings import ReadingBatch
from mimamori.store.keys import Keys
from mimamori.store.pack import starts_of

RAW, FIGURES = "readings", "figures"
Table = tuple[Mapping[str, str], Sequence[str], Sequence[Sequence[Any]]]
"""(tags, names of columns, rows) of one series of an answer."""


def lines_of(rows: ReadingBatch, keys: Keys, known: NDArray[np.bool_]) -> list[bytes]:
    """One line a device and instant, in order of arrival of its first reading.

    rows: n >= 1 without duplicates, by the store's keys, in order of arrival. known: (n,) whether the server has other
    metrics of that device and instant already, whose `got` and `flags` must stay.
    """
    order = np.lexsort((rows.taken, rows.device))  # stable
    rows, known = rows.take(order), known[order]
    starts = starts_of(rows.device, rows.taken)
    counts = np.diff(starts, append=len(rows))
    base = np.repeat(starts, counts)
    own = known | (rows.got != rows.got[base]) | (rows.flags != rows.flags[base])
    names = pa.array([_escaped(name) for name in keys.metrics]).take(pa.array(rows.metric))
    fields = _glue(names, "=", _text(rows.value))
    if own.any():
        which = pa.array(own)
        more = _glue(fields, ",", names, ".got=", _text(rows.got), "i,", names, ".flags=", _text(rows.flags), "i")
        fields = pc.if_else(which, more, fields)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([*starts.tolist(), len(rows)], pa.int32()), fields), ",")
    shared = _glue(joined, ",got=", _text(rows.got[starts]), "i")
    flagged = rows.flags[starts] > 0
    if flagged.any():
        marked = _glue(shared, ",flags=", _text(rows.flags[starts]), "i")
        shared = pc.if_else(pa.array(flagged), marked, shared)
    joined = pc.if_else(pa.array(known[starts]), joined, shared)
    used, which_device = np.unique(rows.device[starts], return_inverse=True)
    tags = pa.array([_tags(keys, key) for key in used.tolist()]).take(pa.array(which_device))
    lines = _glue(tags, " ", joined, " ", _text(rows.taken[starts]))
    arrived = np.argsort(order[starts], kind="stable")
    told: list[str] = lines.take(pa.array(arrived)).to_pylist()
    return [line.encode() for line in told]


def _tags(keys: Keys, key: int) -> str:
    home, device, _ = keys.devices[key]
    return f"{RAW},device={device},household={keys.households[home]}"  # ids hold nothing that must be escaped


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace(" ", "\\ ").replace(",", "\\,").replace("=", "\\=")


def _text(column: NDArray[Any]) -> pa.Array:
    return pc.cast(pa.array(column), pa.string())  # of a float64, the shortest digits that give it back exactly


def _glue(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, "")


def columns_of(table: Table) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64], Any, Any]]:
    """Metric -> (taken, value, got, flags), each (k,), of one device's raw points, ascending in taken."""
    _, names, points = table
    at = {name: i for i, name in enumerate(names)}
    found = {}
    for name, i in at.items():
        if name in {"time", "got", "flags", "household", "device"} or name.endswith((".got", ".flags")):
            continue
        mine = [point for point in points if point[i] is not None]
        if mine:
            own_got, own_flags = at.get(f"{name}.got"), at.get(f"{name}.flags")
            taken = np.array([point[0] for point in mine], np.int64)
            value = np.array([point[i] for point in mine], np.float64)
            got = np.array([_own(point, own_got, at["got"]) for point in mine], np.int64)
            flags = np.array([_own(point, own_flags, at.get("flags")) for point in mine], np.uint8)
            found[name] = (taken, value, got, flags)
    return found


def _own(point: Sequence[Any], own: int | None, shared: int | None) -> int:
    """The metric's own mark if it has one, else that of its instant; 0 where there is none."""
    if own is not None and point[own] is not None:
        return int(point[own])
    return int(point[shared] or 0) if shared is not None else 0


def figure_lines(household: str, device: str, figures: Mapping[int, Mapping[str, tuple[int, float, float, float]]]) -> list[bytes]:  # noqa: E501 # fmt: skip
    """Lines of minute figures: minute begun (ns) -> metric -> (count, sum, lowest, highest)."""
    return [
        (
            f"{FIGURES},device={device},household={household} "
            + ",".join(
                f"{_escaped(m)}.n={n}i,{_escaped(m)}.sum={total!r},{_escaped(m)}.low={low!r},{_escaped(m)}.high={high!r}"
                for m, (n, total, low, high) in sorted(of.items())
            )
            + f" {minute}"
        ).encode()
        for minute, of in sorted(figures.items())
    ]
