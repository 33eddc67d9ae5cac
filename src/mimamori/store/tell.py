"""What an InfluxDB server tells about readings, asked in InfluxQL and merged with rows that still wait in the spool.

May import model and its neighbours. Writes nothing. All times in ns UTC; every function may raise AwayError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.model.times import HOUR, MINUTE
from mimamori.store.figures import Cells, cells_of, roll
from mimamori.store.influxql import Server
from mimamori.store.keys import Keys
from mimamori.store.lines import columns_of
from mimamori.store.pack import RAW, first_of_each, starts_of
from mimamori.store.readings import Rollup, Series
from mimamori.store.spool import Hours

ROWS_A_BATCH = 200_000
TOGETHER = 50  # statements a request
Span = tuple[int, int]
Figures = dict[int, dict[str, tuple[int, float, float, float]]]
Columns = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8]]
LOW, HIGH = 0, 2**62


def _within(span: Span) -> str:
    return f"time >= {max(span[0], LOW)} AND time < {min(span[1], HIGH)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def hours_of(server: Server, newest: int) -> Hours:
    """When the readings of each hour came, of a whole database; for a spool that has forgotten."""
    asked = (
        f"SELECT min(/got$/), max(/got$/) FROM readings WHERE {_within((0, newest + 1))} GROUP BY time(1h) fill(none)"
    )
    hours: Hours = {}
    for _, _, points in (await server.ask(asked))[0]:
        for at, *marks in points:
            told = [int(mark) for mark in marks if mark is not None]
            if told:
                hours[at // HOUR] = (min(told), max(told))
    return hours


async def metrics_there(server: Server) -> list[str]:
    """Every metric that has a reading on the server."""
    tables = (await server.ask("SHOW FIELD KEYS FROM readings"))[0]
    names = {str(point[0]) for _, _, points in tables for point in points}
    return sorted(n for n in names if n not in {"got", "flags"} and not n.endswith((".got", ".flags")))


async def households_there(server: Server) -> list[str]:
    """Every household that has a reading on the server."""
    tables = (await server.ask("SHOW TAG VALUES FROM readings WITH KEY = household"))[0]
    return sorted(str(point[1]) for _, _, points in tables for point in points)


async def points_there(server: Server, keys: Keys, rows: ReadingBatch) -> dict[tuple[int, int], set[str]]:
    """(device key, taken) -> metrics that the server has of it, for at least the instants of the n >= 1 rows."""
    homes = np.unique(rows.home).tolist()
    span = int(rows.taken.max()) - int(rows.taken.min())
    if len(homes) > TOGETHER and span <= 10 * MINUTE:  # a redelivery after a restart: all at once
        asked = [_points_of(None, rows.taken)]
    else:
        asked = [_points_of(keys.households[home], rows.taken[rows.home == home]) for home in homes]
    there: dict[tuple[int, int], set[str]] = {}
    for begin in range(0, len(asked), TOGETHER):
        for tables in await server.ask(*asked[begin : begin + TOGETHER]):
            for tags, names, points in tables:
                key = keys.device(keys.household(tags["household"]), tags["device"])
                for point in points:
                    there[key, point[0]] = {n for n, v in zip(names[1:], point[1:], strict=True) if v is not None}
    return there


def _points_of(household: str | None, taken: NDArray[np.int64]) -> str:
    whose = "" if household is None else f" AND household = {_quoted(household)}"
    span = _within((int(taken.min()), int(taken.max()) + 1))
    return f"SELECT * FROM readings WHERE {span}{whose} GROUP BY household, device"


async def series(  # noqa: PLR0917 - one question
    server: Server, keys: Keys, household: str, span: Span, metrics: Sequence[str] | None, newest: ReadingBatch
) -> list[Series]:
    """As `ReadingStore.scan`. newest: the household's rows in the spool, by the spool's keys."""
    if max(span[0], LOW) >= min(span[1], HIGH):
        return []
    names = "*" if metrics is None else ", ".join(
        _name(n) for m in metrics for n in (m, f"{m}.got", f"{m}.flags")
    ) + ', "got", "flags"'  # fmt: skip
    asked = f"SELECT {names} FROM readings WHERE household = {_quoted(household)} AND {_within(span)} GROUP BY device"
    parts: dict[tuple[str, str], list[Columns]] = {}
    for table in (await server.ask(asked))[0]:
        for metric, columns in columns_of(table).items():
            parts.setdefault((table[0]["device"], metric), []).append(columns)
    near = newest.take((newest.taken >= span[0]) & (newest.taken < span[1]))
    rows = first_of_each(near)
    for run in np.split(np.arange(len(rows)), starts_of(rows.device, rows.metric)[1:]) if len(rows) else []:
        key = keys.devices[int(rows.device[run[0]])][1], keys.metrics[int(rows.metric[run[0]])]
        if metrics is None or key[1] in metrics:
            parts.setdefault(key, []).append((rows.taken[run], rows.value[run], rows.got[run], rows.flags[run]))
    return [_joined(device, metric, told) for (device, metric), told in sorted(parts.items())]


def _joined(device: str, metric: str, told: list[Columns]) -> Series:
    taken, value, got, flags = (np.concatenate(columns) for columns in zip(*told, strict=True))
    order = np.argsort(taken, kind="stable")  # of one instant the server's stands: it came first
    kept = order[starts_of(taken[order])]
    return Series(device=device, metric=metric, taken=taken[kept], value=value[kept], got=got[kept], flags=flags[kept])


async def cells(  # noqa: PLR0917 - one question
    server: Server, keys: Keys, household: str, metric: str, span: Span, limits: tuple[int, int, int, int],
    newest: ReadingBatch,
) -> list[Cells]:  # fmt: skip
    """Minute figures of one metric in the span. newest: its rows in the spool; the minutes they touch come from rows.

    limits: before the first there is nothing, before the second figures only; between the last two lie the readings.
    """
    figures_before, raw_before, oldest, latest = limits
    begin, end = max(span[0], figures_before, LOW), min(span[1], HIGH)
    parts: list[Cells] = []
    raw, rest = (max(begin, raw_before, oldest), min(end, latest)), (begin, min(end, raw_before))
    loose = newest.take((newest.taken >= max(begin, raw_before)) & (newest.taken < end))
    touched = (0, 0)
    if len(loose):
        touched = int(loose.taken.min()) // MINUTE * MINUTE, (int(loose.taken.max()) // MINUTE + 1) * MINUTE
        parts += [_cells_of_series(await series(server, keys, household, touched, [metric], loose))]
    whose, name = f"household = {_quoted(household)}", _name(metric)
    asked = []
    if raw[0] < raw[1]:
        asked.append(
            f"SELECT count({name}), sum({name}), min({name}), max({name}) FROM readings"
            f" WHERE {whose} AND {_within(raw)} GROUP BY time(1m), device fill(none)"
        )
    if rest[0] < rest[1]:
        kept = ", ".join(_name(f"{metric}.{what}") for what in ("n", "sum", "low", "high"))
        asked.append(f"SELECT {kept} FROM figures WHERE {whose} AND {_within(rest)} GROUP BY device")
    for tables in await server.ask(*asked):
        for number, (_, _, points) in enumerate(sorted(tables, key=lambda t: t[0]["device"])):
            kept_points = [p for p in points if p[1] and not touched[0] <= p[0] < touched[1]]
            if kept_points:
                parts.append(_cells(number, kept_points))
    return parts


def _cells(device: int, points: list[Sequence[float]]) -> Cells:
    minute, count, total, low, high = (list(column) for column in zip(*points, strict=True))
    n = len(minute)
    return Cells(
        device=np.full(n, device, np.int64), metric=np.zeros(n, np.int64),
        minute=np.array(minute, np.int64) // MINUTE, count=np.array(count, np.int64),
        exponent=np.full(n, RAW, np.int64), total=np.array(total, np.float64).view(np.int64),
        low=np.array(low, np.float64).view(np.int64), high=np.array(high, np.float64).view(np.int64),
    )  # fmt: skip


def _cells_of_series(found: list[Series]) -> Cells:
    counts = [len(s) for s in found]
    device = np.repeat(np.arange(len(found), dtype=np.int32), counts)
    return cells_of(
        ReadingBatch(
            home=np.zeros(len(device), np.int32), device=device, metric=np.zeros(len(device), np.int16),
            value=np.concatenate([s.value for s in found]), taken=np.concatenate([s.taken for s in found]),
            got=np.concatenate([s.got for s in found]), flags=np.concatenate([s.flags for s in found]),
        )
    )  # fmt: skip


def rolled(parts: list[Cells], start: int, end: int, *, step: int, offset: int) -> Rollup:
    """The figures by steps; devices are added up in order of their ids, so that the same data give the same bits."""
    return roll(parts, start, end, step=step, offset=offset, since=start)


async def arrivals(  # noqa: PLR0917 - one question
    server: Server, fields: Sequence[str], hours: Hours, span: Span, homes: Homes, metrics: Metrics
) -> tuple[ReadingBatch, int]:
    """(rows that came in the span, by the process's rows, how many of metrics that nobody declares were left out)."""
    near = sorted(hour for hour, (first, last) in hours.items() if last >= span[0] and first < span[1])
    if not near:
        return no_readings(), 0
    came = " OR ".join(
        f"({_name(mark)} >= {span[0]} AND {_name(mark)} < {span[1]})" for mark in ("got", *(f"{f}.got" for f in fields))
    )
    runs = np.split(np.array(near), np.flatnonzero(np.diff(near) > 1) + 1)
    asked = [
        f"SELECT * FROM readings WHERE {_within((int(run[0]) * HOUR, (int(run[-1]) + 1) * HOUR))} AND ({came})"
        " GROUP BY household, device"
        for run in runs
    ]
    parts, unknown = [], 0
    for begin in range(0, len(asked), TOGETHER):
        for tables in await server.ask(*asked[begin : begin + TOGETHER]):
            for table in tables:
                for name, (taken, value, got, flags) in columns_of(table).items():
                    mine = (got >= span[0]) & (got < span[1])
                    metric = metrics.find(name)
                    if metric < 0:
                        unknown += int(mine.sum())
                    elif mine.any():
                        device = homes.add_device(table[0]["household"], table[0]["device"])
                        n = int(mine.sum())
                        parts.append(
                            ReadingBatch(
                                home=np.full(n, homes.device_home[device], np.int32),
                                device=np.full(n, device, np.int32), metric=np.full(n, metric, np.int16),
                                value=value[mine], taken=taken[mine], got=got[mine], flags=flags[mine],
                            )
                        )  # fmt: skip
    return concat(parts), unknown


def in_order(parts: Sequence[ReadingBatch]) -> Iterator[ReadingBatch]:
    """One batch of all rows without duplicates, ascending in got; none if there is no row."""
    rows = concat(parts)
    if len(rows):
        rows = first_of_each(rows)
        yield rows.take(np.argsort(rows.got, kind="stable"))


async def figures_to_keep(server: Server, household: str, span: Span) -> list[tuple[str, Figures]]:
    """(device, its minute figures of every metric) of raw readings taken in the span."""
    names = await metrics_there(server)
    if not names or span[0] >= span[1]:
        return []
    asked = ", ".join(
        f"{what}({_name(m)}) AS {_name(f'{m}.{what}')}" for m in names for what in ("count", "sum", "min", "max")
    )
    tables = (
        await server.ask(
            f"SELECT {asked} FROM readings WHERE household = {_quoted(household)} AND {_within(span)}"
            " GROUP BY time(1m), device fill(none)"
        )
    )[0]
    return [(tags["device"], _figures(names, points)) for tags, _, points in tables]


def _figures(names: Sequence[str], points: Sequence[Sequence[float]]) -> Figures:
    told: Figures = {}
    for at, *columns in points:
        for name, (count, total, low, high) in zip(names, zip(*[iter(columns)] * 4, strict=True), strict=True):
            if count:
                told.setdefault(int(at), {})[name] = (int(count), float(total), float(low), float(high))
    return told
