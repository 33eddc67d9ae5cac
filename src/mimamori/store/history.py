"""Answers from sealed, staged and newest readings together, as if there were one sorted table.

May import model and its neighbours. Reads only, on the connection it is given.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mimamori.model.readings import ReadingBatch, concat
from mimamori.model.times import HOUR
from mimamori.store.figures import Cells, cells_of, roll, unpack_cells
from mimamori.store.keys import Keys
from mimamori.store.pack import Runs, first_of_each, runs_of, slices_of, starts_of, unpack, unpack_runs
from mimamori.store.readings import Rollup, Series
from mimamori.store.segments import arrived, chunks_of, figures_of, staged_of

ROWS_A_BATCH = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One household as one snapshot shows it.

    newest: its rows in memory, taken before the snapshot began. raw_before, figures_before: what was taken earlier, and
    minutes of earlier, are let go.
    """

    connection: sqlite3.Connection
    keys: Keys
    home: int
    newest: list[ReadingBatch]
    raw_before: int
    figures_before: int

    def series(self, start: int, end: int, metrics: Sequence[str] | None) -> list[Series]:
        """Readings taken in [start, end), by (device, metric)."""
        keys, parts = self.keys, dict[tuple[int, int], list[tuple[Runs, slice]]]()
        wanted = None if metrics is None else frozenset(keys.metric(name) for name in metrics)
        for _, runs in sorted(self._hours(start, end, wanted).items()):
            names = zip(runs.device.tolist(), runs.metric.tolist(), strict=True)
            for key, run in zip(names, slices_of(runs.starts, len(runs.taken)), strict=True):
                if wanted is None or key[1] in wanted:
                    parts.setdefault(key, []).append((runs, run))
        found = [_series(keys, key, told, start, end) for key, told in parts.items()]
        return sorted((s for s in found if len(s)), key=lambda s: (s.device, s.metric))

    def rows(self, start: int, end: int) -> ReadingBatch:
        """Readings taken in [start, end), by the store's keys."""
        hours = self._hours(start, end, None)
        found = concat(hours[hour].rows(self.keys.device_home) for hour in sorted(hours))
        return found.take((found.taken >= max(start, self.raw_before)) & (found.taken < end))

    def rollup(self, metric: int, start: int, end: int, *, step: int, offset: int) -> Rollup:
        """Figures from sealed cells, and from the readings themselves where there are none or unsealed ones came."""
        loose = self._loose(start, end + step, frozenset((metric,)))
        cells: dict[int, Cells] = {}
        for hours, figures, body in figures_of(self.connection, self.home, start, end + step):
            fresh = _taken_out(loose, hours)
            if fresh:
                cells[hours.start] = self._merged_cells(hours, fresh, metric)
            elif body is None:
                cells[hours.start] = unpack_cells(figures).of(metric)
            else:
                runs = unpack_runs(body, frozenset((metric,)))
                if len(runs.taken):
                    cells[hours.start] = cells_of(runs.rows(self.keys.device_home)).of(metric)
        for hour, rows in _between(loose, sorted(cells)).items():
            cells[hour] = cells_of(first_of_each(rows)).of(metric)
        parts = [cells[hour] for hour in sorted(cells)]
        return roll(parts, start, end, step=step, offset=offset, since=self.figures_before)

    def _merged_cells(self, hours: range, fresh: list[ReadingBatch], metric: int) -> Cells:
        found = chunks_of(self.connection, self.home, hours.start * HOUR, hours.stop * HOUR)
        parts = [unpack(body, self.keys.device_home) for _, body in found]
        return cells_of(first_of_each(concat((*parts, *fresh)))).of(metric)

    def _hours(self, start: int, end: int, wanted: frozenset[int] | None) -> dict[int, Runs]:
        """All rows by the first hour of their chunk, each sorted by (device, metric, taken) without duplicates."""
        loose, found = self._loose(start, end, wanted), dict[int, Runs]()
        for hours, body in chunks_of(self.connection, self.home, start, end):
            sealed, fresh = unpack_runs(body, wanted), _taken_out(loose, hours)
            if fresh:
                sealed = runs_of(first_of_each(concat((sealed.rows(self.keys.device_home), *fresh))))
            found[hours.start] = sealed
        rest = _between(loose, sorted(found))
        return found | {hour: runs_of(first_of_each(rows)) for hour, rows in rest.items()}

    def _loose(self, start: int, end: int, wanted: frozenset[int] | None) -> dict[int, ReadingBatch]:
        """Unsealed rows of the hours that [start, end) touches, in order of arrival, by hour since 1970."""
        rows = concat((*staged_of(self.connection, self.home, self.keys.device_home), *self.newest))
        hour = rows.taken // HOUR
        near = (hour >= start // HOUR) & (hour <= (end - 1) // HOUR) & (rows.taken >= self.raw_before)
        if wanted is not None:
            near &= np.isin(rows.metric, list(wanted))
        order = np.flatnonzero(near)[hour[near].argsort(kind="stable")]
        rows, hour = rows.take(order), hour[order]
        return {int(hour[part.start]): rows.take(part) for part in slices_of(starts_of(hour), len(hour))}


def _taken_out(loose: dict[int, ReadingBatch], hours: range) -> list[ReadingBatch]:
    """The unsealed rows of those hours, which then are no longer among the loose ones."""
    return [loose.pop(hour) for hour in hours if hour in loose]


def _between(loose: dict[int, ReadingBatch], sealed: list[int]) -> dict[int, ReadingBatch]:
    """Loose hours with no sealed one between them as one, by its first hour: sorted once and not hour by hour."""
    hours = sorted(loose)
    places = [bisect(sealed, hour) for hour in hours]
    groups = (hours[part] for part in slices_of(starts_of(np.array(places, np.int64)), len(places)))
    return {group[0]: concat(loose[hour] for hour in group) for group in groups}


def _series(keys: Keys, key: tuple[int, int], told: list[tuple[Runs, slice]], start: int, end: int) -> Series:
    taken = np.concatenate([runs.taken[run] for runs, run in told])
    inside = slice(*np.searchsorted(taken, (max(start, -(2**63)), min(end, 2**63 - 1))).tolist())
    return Series(
        device=keys.devices[key[0]][1], metric=keys.metrics[key[1]], taken=taken[inside],
        value=np.concatenate([runs.value[run] for runs, run in told])[inside],
        got=np.concatenate([runs.got[run] for runs, run in told])[inside],
        flags=np.concatenate([runs.flags[run] for runs, run in told])[inside],
    )  # fmt: skip


def arrivals(
    connection: sqlite3.Connection, keys: Keys, start: int, end: int, newest: list[ReadingBatch]
) -> Iterator[ReadingBatch]:
    """All households' rows with got in [start, end), ascending in got; rows of one got are never parted."""
    parts = []
    for rows in (*arrived(connection, start, end, keys.device_home), *newest):
        near = np.flatnonzero((rows.got >= start) & (rows.got < end))
        if len(near):
            parts.append(rows.take(near))
    if not parts:
        return
    rows = first_of_each(concat(parts))
    rows = rows.take(np.argsort(rows.got, kind="stable"))
    cuts = starts_of(rows.got)
    begin = 0
    while begin < len(rows):
        later = cuts[cuts > begin + ROWS_A_BATCH - 1]
        stop = int(later[0]) if len(later) else len(rows)
        yield rows.take(slice(begin, stop))
        begin = stop
