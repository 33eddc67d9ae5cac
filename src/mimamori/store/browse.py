"""The embedded store's file as another process reads it while the service writes: whole days of many households.

May import model and its neighbours. Reads only. What is not sealed yet is read first and once, so that a reading that
moves meanwhile is seen twice and then counted once, never missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, concat, no_readings
from mimamori.model.times import DAY, SECOND
from mimamori.store.arrange import in_cells
from mimamori.store.embedded import FILE
from mimamori.store.keys import Keys
from mimamori.store.pack import Runs, first_of_each, runs_of, unpack, unpack_log, unpack_runs
from mimamori.store.readings import StoreError
from mimamori.store.segments import HOUR_BITS, HOURS, chunks_of, connect

CELL = 10 * SECOND
"""Order of arrival within so much does not matter to whoever replays: rows.latest sorts it anew."""


class Shelf:
    """Stored readings of some households, day by day, as they arrived.

    homes: empty; the households and all their devices are registered in it. Raises StoreError if there is no store.
    """

    def __init__(self, folder: Path, homes: Homes, metrics: Metrics, households: Sequence[str] | None = None) -> None:
        if not (folder / FILE).is_file():
            raise StoreError(f"{folder}: there are no stored readings here")
        self._connection = connect(folder / FILE)
        self._keys = keys = Keys(self._connection)
        wanted = set(keys.households if households is None else households)
        self._homes = [key for key, name in enumerate(keys.households) if name in wanted]
        for key in self._homes:
            homes.add(keys.households[key])
        mine, self._device = set(self._homes), np.full(len(keys.devices), -1, np.int32)
        for key, (home, name, profile) in enumerate(keys.devices):
            if home in mine:
                self._device[key] = homes.add_device(keys.households[home], name, profile)
        self._home = np.array([homes.find(keys.households[home]) for home in keys.device_home.tolist()], np.int32)
        self._metric = np.array([metrics.find(name) for name in keys.metrics], np.int16)
        self._loose = self._unsealed(mine)

    @property
    def households(self) -> list[str]:
        """Their ids."""
        return [self._keys.households[key] for key in self._homes]

    def close(self) -> None:
        """Ends the reading."""
        self._connection.close()

    def span(self) -> tuple[int, int]:
        """[first, last) ns: the whole days (UTC) in which these households have readings; (0, 0) for none."""
        days = {day for _, day in self._loose}
        for home in self._homes:
            ends = self._connection.execute(
                "SELECT min(id), max(id) FROM chunk WHERE id BETWEEN ? AND ? AND body IS NOT NULL",
                (home << HOUR_BITS, (home + 1 << HOUR_BITS) - 1),
            ).fetchone()
            days |= {(key & HOURS) // 24 for key in ends if key is not None}
        return (min(days) * DAY, (max(days) + 1) * DAY) if days else (0, 0)

    def days(self, start: int, end: int, metrics: Sequence[str] | None = None) -> Iterator[tuple[int, ReadingBatch]]:
        """(end of the day, what came in it) of [start, end), from whole days (UTC) on; the last may be cut short.

        Sorted by cells of ten seconds. A reading that came on a later day than it was taken is told on that later day;
        one that came before its own time is told at the beginning of the day it was taken on. metrics: None for all.
        """
        wanted = None if metrics is None else frozenset(self._keys.metric(name) for name in metrics) - {-1}
        allowed = self._metric >= 0
        if wanted is not None:
            allowed &= np.isin(np.arange(len(self._metric)), list(wanted))
        held = no_readings()
        for day in range(start // DAY * DAY, end, DAY):
            now = min(day + DAY, end)
            rows = concat([held, self._rows(self._day(day, wanted), allowed, day + 1)])
            late, held = rows.got >= now, no_readings()
            if late.any():
                held, rows = rows.take(late), rows.take(~late)
            yield now, in_cells(rows, day, CELL, DAY // CELL)

    def _day(self, day: int, wanted: frozenset[int] | None) -> list[Runs]:
        """Runs of all households."""
        found = []
        for home in self._homes:
            parts = [unpack_runs(body, wanted) for _, body in chunks_of(self._connection, home, day, day + DAY)]
            loose = self._loose.get((home, day // DAY))
            if loose is not None:
                sealed = [runs.rows(self._keys.device_home) for runs in parts]
                parts = [runs_of(first_of_each(concat([*sealed, loose])))]
            found += parts
        return found

    def _rows(self, parts: list[Runs], allowed: NDArray[np.bool_], earliest: int) -> ReadingBatch:
        """In the rows of the process, without what is not asked for."""
        if not parts:
            return no_readings()
        counts = np.concatenate([np.diff(p.starts, append=len(p.taken)) for p in parts])
        device, metric = (np.concatenate([getattr(p, n) for p in parts]) for n in ("device", "metric"))
        good = allowed[metric]
        value, taken, got, flags = (
            np.concatenate([getattr(p, n) for p in parts]) for n in ("value", "taken", "got", "flags")
        )
        rows = ReadingBatch(
            home=self._home[device].repeat(counts), device=self._device[device].repeat(counts),
            metric=self._metric[metric].repeat(counts), value=value, taken=taken, got=np.maximum(got, earliest),
            flags=flags,
        )  # fmt: skip
        return rows if good.all() else rows.take(good.repeat(counts))

    def _unsealed(self, mine: set[int]) -> dict[tuple[int, int], ReadingBatch]:
        """By (household key, day since 1970), in order of arrival: staged, then logged."""
        of, parts = self._keys.device_home, []
        for (body,) in self._connection.execute("SELECT body FROM staged ORDER BY id & 4294967295, id"):
            parts.append(unpack(body, of))
        for (body,) in self._connection.execute("SELECT body FROM log ORDER BY id"):
            parts.append(unpack_log(body, of))
        rows = concat(parts)
        rows = rows.take(np.isin(rows.home, list(mine)))
        if not len(rows):
            return {}
        place = rows.home.astype(np.int64) << HOUR_BITS | np.clip(rows.taken // DAY, 0, HOURS)
        order = np.argsort(place, kind="stable")
        rows, place = rows.take(order), place[order]
        cuts = np.flatnonzero(np.diff(place, prepend=-1)).tolist()
        return {
            (int(place[a]) >> HOUR_BITS, int(place[a]) & HOURS): rows.take(slice(a, b))
            for a, b in zip(cuts, [*cuts[1:], len(rows)], strict=True)
        }  # fmt: skip
