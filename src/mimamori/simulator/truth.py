"""What really happened: the kinds of events, one row each, and the truth file (household,kind,start,end).

May import model. Reads and writes the file it is given; never a clock.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mimamori.model.times import iso

Role = Literal["emergency", "change", "fooler", "technical", "habit"]
"""emergency: must be found soon. change: must be found in days. fooler: ordinary life that must raise no alarm about
the resident. technical: must raise a technical alert and none about the resident. habit: this resident's own way, of
which an alert is neither asked nor false."""

KINDS: Mapping[str, Role] = {
    "collapse": "emergency",
    "night-fall": "emergency",
    "bath-fall": "emergency",
    "no-rise": "emergency",
    "no-breathing": "emergency",
    "tachycardia": "emergency",
    "bradycardia": "emergency",
    "apnoea": "emergency",
    "fever": "change",
    "wandering": "change",
    "heater-failure": "emergency",
    "hot-room": "emergency",
    "heat-stroke": "emergency",
    "slow-decline": "change",
    "outing": "fooler",
    "overnight-stay": "fooler",
    "hospital-stay": "fooler",
    "visitors": "fooler",
    "sofa-nap": "fooler",
    "grandchildren": "fooler",
    "sensor-moved": "fooler",
    "sensor-unplugged": "technical",
    "wifi-out": "technical",
    "power-cut": "technical",
    "back-fill": "technical",
    "duplicates": "technical",
    "late-data": "technical",
    "clock-drift": "technical",
}
"""Every kind that can be injected; simulator/README.md describes each."""

OWN: Mapping[str, Role] = {"night-walk": "habit"}
"""Kinds that befall nobody but belong to a persona's own days, and stand in the truth file all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthEvent:
    """One thing that happened in one household, from start until end (ns UTC).

    device: the device it befalls where the kind is about one ("" lets the kind choose); not written to the file.
    """

    household: str
    kind: str
    start: int
    end: int
    device: str = ""


def check_events(events: Iterable[TruthEvent], households: Iterable[str]) -> None:
    """Raises ValueError naming the first event of an unknown kind or household, or that ends before it starts."""
    known = set(households)
    for event in events:
        if event.kind not in KINDS:
            msg = f'"{event.kind}" is no kind of event; choose one of {", ".join(KINDS)}'
            raise ValueError(msg)
        if event.household not in known:
            msg = f'{event.kind}: no household "{event.household}" is simulated'
            raise ValueError(msg)
        if event.end <= event.start:
            msg = f"{event.kind} in {event.household} ends before it starts; give an end after {iso(event.start)}"
            raise ValueError(msg)


def write_truth(path: Path, events: Iterable[TruthEvent], zone: str) -> None:
    """The truth file, by start, then household; times in ISO 8601 with the offset of `zone`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("household", "kind", "start", "end"))
        for e in sorted(events, key=lambda e: (e.start, e.household, e.kind)):
            rows.writerow((e.household, e.kind, iso(e.start, zone), iso(e.end, zone)))
