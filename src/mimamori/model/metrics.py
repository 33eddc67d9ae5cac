"""What can be measured: the fixed metrics of the formats, their units, plausible ranges and nature.

A device profile may declare more (`Metrics.add`). May import nothing of mimamori.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Nature = Literal["level", "state", "event", "register", "alive"]
"""level: a measured quantity. state: 0/1 that holds until told otherwise. event: 1 = just happened (0 says no
sign of life). register: cumulative count that only grows (a fall is a reset). alive: says only: the device lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One thing a sensor can report. Values outside [low, high] are set aside at the door, never stored as readings."""

    name: str
    unit: str
    nature: Nature
    low: float
    high: float
    title_ja: str
    title_en: str


def _m(name: str, unit: str, nature: Nature, low: float, high: float, ja: str, en: str) -> Metric:  # noqa: PLR0917
    return Metric(name=name, unit=unit, nature=nature, low=low, high=high, title_ja=ja, title_en=en)


BASE: tuple[Metric, ...] = (
    _m("heart_rate", "1/min", "level", 20, 300, "心拍数", "heart rate"),
    _m("respiration_rate", "1/min", "level", 0, 80, "呼吸数", "respiration rate"),
    _m("body_movement", "1", "level", 0, 100, "体動", "body movement"),
    _m("in_bed", "1", "state", 0, 1, "在床", "in bed"),
    _m("presence", "1", "state", 0, 1, "在室", "presence"),
    _m("motion", "1", "event", 0, 1, "動き", "motion"),
    _m("door_open", "1", "event", 0, 1, "玄関ドア", "front door"),
    _m("power", "W", "level", -20_000, 20_000, "電力", "power"),
    _m("energy", "Wh", "register", 0, 1e12, "電力量", "energy"),
    _m("temperature", "Cel", "level", -40, 60, "室温", "temperature"),
    _m("humidity", "%RH", "level", 0, 100, "湿度", "humidity"),
    _m("illuminance", "lx", "level", 0, 200_000, "照度", "illuminance"),
    _m("spo2", "%", "level", 50, 100, "SpO2", "SpO2"),
    _m("button", "1", "event", 0, 1, "ボタン", "button"),
    _m("heartbeat", "1", "alive", 0, 1e12, "生存信号", "heartbeat"),
    _m("battery", "%", "level", 0, 100, "電池", "battery"),
    _m("distance", "cm", "level", 0, 5000, "距離", "distance"),
)


class Metrics:
    """Append-only table metric name <-> index (int16). The base metrics always have the same indexes."""

    def __init__(self, more: Iterable[Metric] = ()) -> None:
        self._all: list[Metric] = []
        self._index: dict[str, int] = {}
        for metric in (*BASE, *more):
            self.add(metric)

    def add(self, metric: Metric) -> int:
        """Index of a new metric, or of the equal known one. Raises ValueError if the name is taken by another."""
        known = self._index.get(metric.name)
        if known is not None:
            if self._all[known] != metric:
                msg = f"metric {metric.name} is already declared with another unit, range or nature"
                raise ValueError(msg)
            return known
        self._index[metric.name] = len(self._all)
        self._all.append(metric)
        return len(self._all) - 1

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Metric:
        return self._all[index]

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def index(self, name: str) -> int:
        """Raises KeyError for an unknown name."""
        return self._index[name]

    def find(self, name: str) -> int:
        """Index, or -1 for an unknown name."""
        return self._index.get(name, -1)

    def names(self) -> tuple[str, ...]:
        """All names, by index."""
        return tuple(m.name for m in self._all)

    def limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low, high), each (len,) float64: the plausible range by index."""
        return np.array([m.low for m in self._all]), np.array([m.high for m in self._all])
