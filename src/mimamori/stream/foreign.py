"""What all importers of other programs' recordings share: a map of sensors, rows gathered to batches, bad rows kept.

May import model only. Reads the files it is given; no clock.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TextIO

import numpy as np
from pydantic import Field, FiniteFloat

from mimamori.model.content import Content
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, Rejected, RejectReason
from mimamori.model.times import EPOCH_HIGH, EPOCH_LOW, Zone, from_datetime

KEPT_REJECTS = 1000  # the first so many are kept with their line; all are counted
_AT_ONCE = 200_000  # rows a batch
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock without a zone is what these files hold


class Sensor(Content):
    """One line of a map: what a sensor of the recording becomes. Keys left out keep the importer's own choice.

    Reading = value x scale + offset; words stand for numbers (`{ ON = 1 }`) and replace the importer's own.
    """

    device: str = ""
    metric: str = ""
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    words: dict[str, FiniteFloat] = Field(default_factory=dict)
    skip: bool = False


class SensorMap(Content):
    """A map file: `[sensors]`, each key a sensor's name in the recording, or a pattern such as "M0*"."""

    sensors: dict[str, Sensor] = Field(default_factory=dict)

    def find(self, *names: str) -> Sensor | None:
        """The line for a sensor known by any of these names: the exact one, else the first pattern that fits."""
        for name in names:
            if name in self.sensors:
                return self.sensors[name]
        fits = (s for pattern, s in self.sensors.items() if any(fnmatchcase(name, pattern) for name in names))
        return next(fits, None)


@dataclass(slots=True, kw_only=True)
class Intake:
    """Where an importer's readings go, and what it could not use.

    zone: of the recording's wall clock. left_out: rows of sensors that no metric fits, by sensor; not mistakes.
    labels: (ns UTC, activity, "begin" | "end" | "") where the recording names activities. lasts: ns UTC of the last
    reading of each household so far, by row.
    """

    zone: Zone
    metrics: Metrics
    household: str
    map: SensorMap = field(default_factory=SensorMap)
    homes: Homes = field(default_factory=Homes)
    rejected: list[Rejected] = field(default_factory=list)
    set_aside: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    labels: list[tuple[int, str, str]] = field(default_factory=list)
    lasts: dict[int, int] = field(default_factory=dict)

    def reject(self, place: str, reason: RejectReason, mend: str, text: str = "") -> None:
        """Count a row that cannot be used; the first thousand are kept."""
        self.set_aside += 1
        if len(self.rejected) < KEPT_REJECTS:
            kept = text.encode()[:500]
            self.rejected.append(Rejected(place=place, reason=reason, mend=mend, payload=kept, at=EPOCH_LOW))

    def zone_instant(self, local: int) -> int:
        """One instant (ns UTC) of a time on the recording's wall clock."""
        return int(self.zone.instants(np.array([local]))[0])

    def device(self, name: str, household: str = "") -> int:
        """Row of a device, new or known; signs that an id cannot carry become "-"."""
        return self.homes.add_device(as_id(household or self.household), as_id(name))


def as_id(name: str) -> str:
    """A name as an id of topics and links: letters, digits, . _ ~ - only."""
    return re.sub(r"[^A-Za-z0-9_.~-]+", "-", name).strip("-._~")[:64] or "unnamed"


class Gather:
    """Rows one by one into batches. Times come on the recording's wall clock, or as instants; the two do not mix."""

    def __init__(self, intake: Intake, place: str, *, local: bool = True) -> None:
        self.intake, self.place, self.local = intake, place, local
        self._limits = tuple(zip(*(x.tolist() for x in intake.metrics.limits()), strict=True))
        self._rows: list[tuple[int, int, int, float]] = []
        self.good = 0

    def add(self, line: int, at: int, device: int, metric: int, value: float) -> None:
        """One reading, or one row set aside with its line."""
        low, high = self._limits[metric]
        if not low <= value <= high:
            name = self.intake.metrics[metric].name
            mend = f"{name} lies between {low:g} and {high:g}; give scale and offset in the map if the unit is another"
            self.reject(line, "out-of-range", mend, f"{value}")
        elif not EPOCH_LOW <= at < EPOCH_HIGH:
            reason: RejectReason = "time-too-old" if at < EPOCH_LOW else "time-in-future"
            self.reject(line, reason, "the years 2000 to 2099 are taken", "")
        else:
            self._rows.append((at, device, metric, value))
            self.good += 1

    def reject(self, line: int, reason: RejectReason, mend: str, text: str) -> None:
        """A row set aside."""
        self.intake.reject(f"{self.place}:{line}", reason, mend, text)

    def full(self) -> bool:
        """Whether it is time to take a batch."""
        return len(self._rows) >= _AT_ONCE

    def take(self) -> ReadingBatch:
        """What was gathered, in the order it came."""
        rows, self._rows = self._rows, []
        at, device, metric, value = zip(*rows, strict=True) if rows else ((), (), (), ())
        told = np.array(at, np.int64)
        return make_batch(
            self.intake, self.intake.zone.instants(told) if self.local else told, np.array(device, np.int32),
            np.array(metric, np.int16), np.array(value, np.float64),
        )  # fmt: skip


def make_batch(
    intake: Intake, taken: np.ndarray, device: np.ndarray, metric: np.ndarray, value: np.ndarray
) -> ReadingBatch:
    """A batch of columns (n,); the household follows from the device."""
    home_of = np.array(intake.homes.device_home, np.int32)
    home = home_of[device] if len(device) else np.zeros(0, np.int32)
    for row in np.unique(home).tolist():
        intake.lasts[row] = max(intake.lasts.get(row, 0), int(taken[home == row].max()))
    return ReadingBatch(
        home=home, device=device.astype(np.int32),
        metric=metric.astype(np.int16), value=value.astype(np.float64), taken=taken, got=taken,
        flags=np.zeros(len(device), np.uint8),
    )  # fmt: skip


def opened(path: Path, encoding: str = "utf-8-sig") -> TextIO:
    """A text file, packed by gzip or not; bytes that are none of the encoding become signs that no format knows."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, errors="replace", newline="")
    return path.open("r", encoding=encoding, errors="replace", newline="")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its end) of each line."""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip("\r\n")


def wall_clock(moment: datetime, zone: Zone) -> int:
    """The zone's wall clock (ns) of a time as the recording wrote it, with or without an offset of its own."""
    if moment.tzinfo is not None:
        return zone.local(from_datetime(moment))
    gone = moment - _EPOCH
    return ((gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds) * 1000


def as_number(word: str) -> float | None:
    """The finite number that a word is, or None."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if value - value == 0 else None
