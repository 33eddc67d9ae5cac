"""A reading file through the same engine and alert book, in recorded time, as fast as it goes. No notices leave.

May import everything from site down. Reads no clock: recorded time is the only time there is.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mimamori.alerts.book import Book
from mimamori.alerts.line import line
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.declared import Declaration
from mimamori.model.findings import FindingBatch
from mimamori.model.homes import Homes
from mimamori.model.readings import Rejected, no_readings
from mimamori.model.times import MINUTE, NEVER, iso, iso_or_none
from mimamori.progress import progress
from mimamori.rules.engine import Engine
from mimamori.rules.told import Told
from mimamori.site import Site
from mimamori.stream.recorded import RecordedFile

SILENT_TAIL = 2 * MINUTE  # grid points just after the last reading are still judged


@dataclass(slots=True)
class Replayed:
    """What a replay saw: counts, alert lines by opening time, and the rows set aside (the first ones with text)."""

    readings: int = 0
    households: int = 0
    begins: int | None = None  # ns, first and last reading; None for a file without any
    ends: int | None = None
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)  # the same of each household
    set_aside: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    alerts: Counter[str] = field(default_factory=Counter)
    lines: list[dict[str, Any]] = field(default_factory=list)
    events: list[AlertEvent] = field(default_factory=list)

    def note(self, source: RecordedFile, homes: Homes) -> None:
        """What the file held, once it is read to its end."""
        self.readings, self.set_aside = source.readings, source.set_aside
        self.begins, self.ends = source.begins, source.ends
        self.households, self.rejected = len(homes), source.rejected
        self.spans = dict(zip(homes.ids, zip(source.firsts, source.lasts.tolist(), strict=False), strict=False))


def replay(path: Path, site: Site, *, keep_events: bool = False, absences: Sequence[Declaration] = ()) -> Replayed:
    """Replay one file. Raises ValueError if it is no reading file, OSError if it cannot be read."""
    homes = Homes()
    engine = Told(Engine(homes, site.rules, site.metrics, site.zone, gates=site.gates), homes, absences)
    book = Book(site.rule_infos, site.alerts)
    source = RecordedFile(path, homes, site.metrics, site.profile_names)
    result = Replayed()
    episodes = Episodes(site.zone.name)

    def take(findings: FindingBatch, now: int) -> None:
        for part, at in by_time(findings, now):
            events = book.apply(part, homes, at)
            for event in events:
                episodes.tell(event, book.alert(event.alert))
            if keep_events:
                result.events += events

    with progress("replay", path.stat().st_size, "B") as bar:
        step_through(source, engine, take, bar.update)
    result.note(source, homes)
    result.lines = episodes.lines()
    result.alerts.update(entry["rule"] for entry in result.lines)
    return result


def by_time(findings: FindingBatch, now: int) -> Iterator[tuple[FindingBatch, int]]:
    """Findings of a long step as the ticks they would have come in live, then an empty batch at `now`."""
    edges = np.flatnonzero(np.diff(findings.at, prepend=NEVER))
    for begin, end in itertools.pairwise([*edges.tolist(), len(findings)]):
        yield findings.take(slice(begin, end)), int(findings.at[begin])
    yield findings.take(slice(0, 0)), now


class Episodes:
    """Alert lines, one an episode: nobody answers in a replay, so an alert that ends and comes back is told again."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._open: dict[str, tuple[AlertEvent, Alert]] = {}
        self._called: dict[str, int] = {}  # ns, when it became more than a note
        self._count: Counter[str] = Counter()
        self._lines: list[dict[str, Any]] = []

    def tell(self, event: AlertEvent, alert: Alert | None) -> None:
        """One event, with the alert as it stands after it."""
        if alert is None:
            return
        if event.kind in {"opened", "reopened"}:
            self._open[alert.id] = (event, alert)
        elif event.kind in {"returned", "resolved"} and alert.id in self._open:
            self._close(*self._open.pop(alert.id), ended=event.at)
        elif alert.id in self._open:
            self._open[alert.id] = (self._open[alert.id][0], alert)
        if alert.id in self._open and alert.priority != "low":
            self._called.setdefault(alert.id, event.at)

    def _close(self, begun: AlertEvent, alert: Alert, ended: int) -> None:
        self._count[alert.id] += 1
        again = self._count[alert.id]
        entry = line(alert, self._zone) | {
            "opened": iso(begun.at, self._zone),
            "resolved": iso_or_none(ended, self._zone),
            "called": iso_or_none(self._called.pop(alert.id, NEVER), self._zone),
        }
        if again > 1:
            entry["id"] += f"/{again}"
        self._lines.append(entry)

    def lines(self) -> list[dict[str, Any]]:
        """All episodes by opening time; those still open have resolved = None. Call once, at the end."""
        for begun, alert in self._open.values():
            self._close(begun, alert, NEVER)
        self._open.clear()
        return sorted(self._lines, key=lambda entry: (datetime.fromisoformat(entry["opened"]), entry["id"]))


def step_through(
    source: RecordedFile,
    engine: Told,
    take: Callable[[FindingBatch, int], None],
    told: Callable[[float], object],
) -> None:
    """Drive the engine with a file's batches; `take(findings, now)` after each, `told(bytes)` for the bar."""
    now, read = None, 0
    for batch in source.batches():
        now = int(batch.got[-1])
        take(engine.step(batch, now), now)
        told(source.bytes_read - read)
        read = source.bytes_read
    if now is not None:
        now += SILENT_TAIL
        take(engine.step(no_readings(), now), now)


def write_lines(result: Replayed, out: TextIO) -> None:
    """The alert lines, in order of opening."""
    out.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in result.lines)
