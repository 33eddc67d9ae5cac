"""Van Kasteren's recordings (University of Amsterdam, 2008-2011) into readings: switches, floats and mats.

May import model and the importers' shared part. One row a time that a sensor was on, parted by blanks or tabs:
`25-Feb-2008 00:20:14  25-Feb-2008 00:22:57  24  1` (start, end, number of the sensor, value; some houses come without
the value). Above them may stand a list of the sensors, `[24]    'Hall-Bedroom door'`, whose names are used. A table of
names has one sensor a line, number first or last, with or without brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mimamori.model.readings import ReadingBatch
from mimamori.stream.foreign import Gather, Intake, as_id, as_number, lines, wall_clock

_MONTHS = {m: i for i, m in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov",
                                       "dec"), 1)}  # fmt: skip
_FRONT = re.compile(r"front.?door|frontdoor|entrance|outside.?door", re.IGNORECASE)
_LISTED = re.compile(r"\s*\[\s*(\d+)\]\s*'?([^']*?)'?\s*")
_STATES = {"door_open", "in_bed", "presence"}
"""Metrics that are 1 from start to end; with all others both moves are signs of life."""


@dataclass(frozen=True, slots=True)
class _Target:
    device: int
    metric: int
    ends_as: float


def read_names(path: Path) -> Mapping[str, str]:
    """Number -> name of a table of sensors. Raises ValueError for a line without both."""
    found = {}
    for number, line in lines(path):
        plain = re.sub(r"[\[\]'\",;]", " ", line).strip()
        if not plain or plain.startswith("#"):
            continue
        match = re.fullmatch(r"(\d+)\s+(\S.*)|(\S.*?)\s+(\d+)", plain)
        if match is None:
            msg = f'{path.name}:{number}: write a number and a name, such as "12 Front door"'
            raise ValueError(msg)
        found[match[1] or match[4]] = " ".join((match[2] or match[3]).split())
    return found


def read_kasteren(path: Path, intake: Intake, names: Mapping[str, str]) -> Iterator[ReadingBatch]:
    """Readings in the file's order. Raises ValueError if not one row of the file is of this format.

    A front door, told by its name, gives door_open 1 and 0; every other sensor motion 1 at its start and at its end,
    since both are somebody's doing. A map names sensors by number or by name, and may say in_bed for a mat. names: go
    before those that the file itself lists. Also raises ValueError for the list of activities, which looks alike.
    """
    gather, targets = Gather(intake, path.name), dict[str, _Target | None]()
    own: dict[str, str] = {}
    for number, line in lines(path):
        words = line.split()
        if not words or not words[0][0].isdigit():
            _heading(line, f"{path.name}:{number}", own)
            continue
        row = _row(words, line, number, gather)
        if row is None:
            continue
        start, end, sensor = row
        if sensor not in targets:
            targets[sensor] = _target(sensor, names.get(sensor) or own.get(sensor, ""), intake)
        target = targets[sensor]
        if target is None:
            intake.left_out[sensor] += 1
            continue
        for moment, told in ((start, 1.0), (end, target.ends_as)):
            gather.add(number, wall_clock(moment, intake.zone), target.device, target.metric, told)
        if gather.full():
            yield gather.take()
    if not gather.good and not intake.left_out:
        msg = f"{path.name}: no row has a start, an end and a sensor; expected times such as 25-Feb-2008 00:20:14"
        raise ValueError(msg)
    yield gather.take()


def _heading(line: str, place: str, own: dict[str, str]) -> None:
    """Headings and rules of dashes say nothing, but for the list of sensors; that of activities is another file's."""
    listed = _LISTED.fullmatch(line)
    if listed is not None:
        own[listed[1]] = listed[2]
    elif line.lower().startswith("activity"):
        msg = f"{place}: this is the list of activities; give the file of the sensors"
        raise ValueError(msg)


def _row(words: list[str], line: str, number: int, gather: Gather) -> tuple[datetime, datetime, str] | None:
    """(start, end, number of the sensor), or None and the row set aside."""
    start, end = _moment(words[0:2]), _moment(words[2:4])
    value = as_number(words[5]) if len(words) > 5 else 1.0
    if start is None or end is None or len(words) < 5 or value is None:
        mend = "write start, end, number and value, times as 25-Feb-2008 00:20:14"
        gather.reject(number, "bad-row", mend, line)
        return None
    if end < start:
        gather.reject(number, "bad-row", "the end lies before the start", line)
        return None
    return start, end, words[4]


def _target(number: str, name: str, intake: Intake) -> _Target | None:
    mapped = intake.map.find(number, name) if name else intake.map.find(number)
    if mapped is not None and mapped.skip:
        return None
    metric = (mapped.metric if mapped else "") or ("door_open" if _FRONT.search(name) else "motion")
    own = as_id(f"{name.lower()}_{number}" if name else f"sensor_{number}").replace("-", "_")
    device = intake.device((mapped.device if mapped else "") or own)
    return _Target(device, intake.metrics.index(metric), 0.0 if metric in _STATES else 1.0)


def _moment(words: list[str]) -> datetime | None:
    """Of `25-Feb-2008 00:20:14`, or ISO 8601. Month names are English whatever the machine's language."""
    if len(words) < 2:
        return None
    try:
        parts = words[0].split("-")
        if len(parts) == 3 and parts[1].lower() in _MONTHS:
            words = [f"{int(parts[2]):04d}-{_MONTHS[parts[1].lower()]:02d}-{int(parts[0]):02d}", words[1]]
        return datetime.fromisoformat("T".join(words))
    except ValueError:
        return None
