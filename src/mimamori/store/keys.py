"""Household, device and metric ids <-> the small keys under which the embedded store keeps them.

May import model only. Keys live as long as the store's folder; the process's row numbers never reach the disk.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch


class Keys:
    """The dictionary tables in memory. Only the writer's thread calls `translate`; any thread may look up.

    device_home: (devices,) int32, household key of each device key; replaced, never written to, when it grows.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        ask = connection.execute
        self.households = [name for (name,) in ask("SELECT name FROM household ORDER BY id")]
        self.metrics = [name for (name,) in ask("SELECT name FROM metric ORDER BY id")]
        devices = ask("SELECT household, name, profile FROM device ORDER BY id").fetchall()
        self.devices: list[tuple[int, str, str]] = devices
        self.device_home: NDArray[np.int32] = np.array([home for home, _, _ in devices], np.int32)
        self._household = {name: key for key, name in enumerate(self.households)}
        self._metric = {name: key for key, name in enumerate(self.metrics)}
        self._device = {(home, name): key for key, (home, name, _) in enumerate(devices)}
        self._of_device_row = np.empty(0, np.int32)
        self._of_metric_index = np.empty(0, np.int16)

    def household(self, name: str) -> int:
        """Key, or -1 for a household that never had a reading."""
        return self._household.get(name, -1)

    def metric(self, name: str) -> int:
        """Key, or -1 for a metric that never had a reading."""
        return self._metric.get(name, -1)

    def device(self, home: int, name: str) -> int:
        """Key of a household's device, or -1 for one that never had a reading."""
        return self._device.get((home, name), -1)

    def as_rows(self, rows: ReadingBatch, homes: Homes, metrics: Metrics) -> tuple[ReadingBatch, int]:
        """(the keyed rows by the process's own rows, how many were left out since no profile declares their metric).

        Households and devices that the process does not know are registered.
        """
        known = np.array([metrics.find(name) for name in self.metrics], np.int16)
        metric = known[rows.metric]
        left_out = int((metric < 0).sum())
        if left_out:
            rows, metric = rows.take(metric >= 0), metric[metric >= 0]
        used, which = np.unique(rows.device, return_inverse=True)
        devices = [self.devices[key] for key in used.tolist()]
        device = np.array([homes.add_device(self.households[h], d, p) for h, d, p in devices], np.int32)
        home = np.array([homes.find(self.households[h]) for h, _, _ in devices], np.int32)
        return replace(rows, home=home[which], device=device[which], metric=metric), left_out

    def translate(
        self, batch: ReadingBatch, homes: Homes, metrics: Metrics, connection: sqlite3.Connection
    ) -> ReadingBatch:
        """The batch with keys in place of rows. New ids are committed first: an id without a reading does no harm."""
        if len(self._of_device_row) < homes.devices or len(self._of_metric_index) < len(metrics):
            self._widen(homes.devices, len(metrics))
        device, metric = self._of_device_row[batch.device], self._of_metric_index[batch.metric]
        if (device < 0).any() or (metric < 0).any():
            self._register(np.unique(batch.device[device < 0]).tolist(), homes, connection)
            self._register_metrics(np.unique(batch.metric[metric < 0]).tolist(), metrics, connection)
            device, metric = self._of_device_row[batch.device], self._of_metric_index[batch.metric]
        return ReadingBatch(
            home=self.device_home[device], device=device, metric=metric, value=batch.value, taken=batch.taken,
            got=batch.got, flags=batch.flags,
        )  # fmt: skip

    def _widen(self, devices: int, metrics: int) -> None:
        wider = np.full(max(devices, 2 * len(self._of_device_row)), -1, np.int32)
        wider[: len(self._of_device_row)] = self._of_device_row
        longer = np.full(metrics, -1, np.int16)
        longer[: len(self._of_metric_index)] = self._of_metric_index
        self._of_device_row, self._of_metric_index = wider, longer

    def _register(self, rows: list[int], homes: Homes, connection: sqlite3.Connection) -> None:
        names = [(homes.ids[homes.device_home[row]], homes.device_ids[row]) for row in rows]
        new_homes = sorted({household for household, _ in names} - self._household.keys())
        new_keys = {name: key for key, name in enumerate(new_homes, len(self.households))}
        devices = [
            (new_keys[household] if household in new_keys else self._household[household], device)
            for household, device in names
        ]
        fresh = [
            (home, device, homes.profile_of[row])
            for row, (home, device) in zip(rows, devices, strict=True)
            if (home, device) not in self._device
        ]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO household VALUES (?, ?)", enumerate(new_homes, len(self.households)))
            connection.executemany(
                "INSERT INTO device VALUES (?, ?, ?, ?)",
                [(key, *device) for key, device in enumerate(fresh, len(self.devices))],
            )
        # only what is on disk is known from here on
        self._household |= new_keys
        self.households.extend(new_homes)
        for home, device, profile in fresh:
            self._device[home, device] = len(self.devices)
            self.devices.append((home, device, profile))
        self.device_home = np.append(self.device_home, np.array([home for home, _, _ in fresh], np.int32))
        self._of_device_row[rows] = [self._device[device] for device in devices]

    def _register_metrics(self, indexes: list[int], metrics: Metrics, connection: sqlite3.Connection) -> None:
        names = [metrics[index].name for index in indexes]
        fresh = [name for name in names if name not in self._metric]
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO metric VALUES (?, ?)", enumerate(fresh, len(self.metrics)))
        for name in fresh:
            self._metric[name] = len(self.metrics)
            self.metrics.append(name)
        self._of_metric_index[indexes] = [self._metric[name] for name in names]
