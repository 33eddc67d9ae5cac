"""Recordings of the CASAS smart homes (Washington State University) into readings, in the layouts they come in.

May import model and the importers' shared part. One line an event:

- `2010-11-04 00:03:50.209589 M003 ON Sleeping begin`: date, time, sensor, value, perhaps an activity with begin or end,
  or alone on every line; parted by blanks or tabs;
- `2012-07-18 12:54:45.126257 D002 OutsideDoor FrontDoor OPEN Control4-Door`: with two names of places before the value
  and the sensor's type behind it;
- `2/1/2009,8:00:38 AM,M048,OFF,,,`: the same with commas;
- `2012-07-20,10:38:54.5,OutsideDoor,ON,Step_Out="begin"`: sensors named by their place, doors ON and OFF, and the
  activity with its edge in one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mimamori.model.readings import ReadingBatch
from mimamori.stream.foreign import Gather, Intake, as_number, lines, wall_clock

_WORDS = {
    "ON": 1.0, "OFF": 0.0, "OPEN": 1.0, "CLOSE": 0.0, "CLOSED": 0.0, "PRESENT": 1.0, "ABSENT": 0.0,
    "TRUE": 1.0, "FALSE": 0.0,
}  # fmt: skip
_OUTSIDE = re.compile(r"front|back|out|entr|garage|patio|exterior|main", re.IGNORECASE)
_NO_PLACE = {"IGNORE", "NONE", ""}
_EDGE = re.compile(r'(.+)="?(begin|end)"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a sensor's rows become. inner: a door within the home, whose every move is motion."""

    device: int
    metric: int
    scale: float = 1.0
    offset: float = 0.0
    inner: bool = False


def read_casas(path: Path, intake: Intake) -> Iterator[ReadingBatch]:
    """Readings in the file's order. Raises ValueError if not one line of the file is of this format.

    Motion sensors give motion 1 and 0, doors to the outside door_open, doors within the home and moved things motion,
    thermometers temperature, batteries battery. What else there is (lamps, light levels without a unit, water and
    burner) is left out and counted, unless the map names it.
    """
    gather, targets = Gather(intake, path.name), dict[str, _Target | None]()
    first = ""
    activity = ""
    for number, line in lines(path):
        if not line.strip():
            continue
        event = _event(line)
        first = first or line
        if event is None:
            if number > 1 or line[:1].isdigit():  # a first line of words is a heading
                gather.reject(number, "bad-row", "write date, time, sensor and value", line)
            continue
        moment, sensor, word, places, rest = event
        at = wall_clock(moment, intake.zone)
        activity = _note(intake, at, rest, activity)
        target = targets.get(sensor) or _target(sensor, word, places, intake)
        if sensor not in targets and _is_value(word):  # what a sensor is cannot be told from a word that is none
            targets[sensor] = target
        if target is None:
            intake.left_out[sensor] += 1
            continue
        value = _value(sensor, word, intake)
        if value is None:
            gather.reject(number, "not-a-number", "the value is ON, OFF, OPEN, CLOSE or a number", line)
            continue
        value = 1.0 if target.inner else value * target.scale + target.offset
        gather.add(number, at, target.device, target.metric, value)
        if gather.full():
            yield gather.take()
    if not gather.good and not intake.left_out:
        msg = f'{path.name}: no line is a CASAS event; expected "2010-11-04 00:03:50.2 M003 ON", found "{first[:60]}"'
        raise ValueError(msg)
    yield gather.take()


_Event = tuple[datetime, str, str, Sequence[str], Sequence[str]]


def _event(line: str) -> _Event | None:
    """(when, sensor, value, names of places, activity words) of a line, None if it is no event."""
    words = [w.strip() for w in line.split(",")] if "," in line else line.split()
    moment, used = _moment(words)
    if moment is None or len(words) < used + 2:
        return None
    sensor, rest = words[used], words[used + 1 :]
    if len(rest) >= 3 and not _is_value(rest[0]) and (_is_value(rest[2]) or "-" in rest[-1]):
        return moment, sensor, rest[2], rest[:2], ()
    return (moment, sensor, rest[0], (), [w for w in rest[1:] if w]) if sensor else None


def _moment(words: Sequence[str]) -> tuple[datetime | None, int]:
    """When, and how many words tell it."""
    if len(words) < 2:
        return None, 0
    try:
        if "T" in words[0] or " " in words[0]:
            return datetime.fromisoformat(words[0]), 1
        if "/" not in words[0]:
            return datetime.fromisoformat(f"{words[0]}T{words[1]}"), 2
        half = " %p" if words[1][-1:] in "Mm" else ""
        return datetime.strptime(f"{words[0]} {words[1]}", f"%m/%d/%Y {'%I' if half else '%H'}:%M:%S{half}"), 2  # noqa: DTZ007
    except ValueError:
        return None, 0


def _is_value(word: str) -> bool:
    return word.upper() in _WORDS or as_number(word) is not None


def _value(sensor: str, word: str, intake: Intake) -> float | None:
    mapped = intake.map.find(sensor)
    if mapped is not None and word in mapped.words:
        return mapped.words[word]
    return _WORDS.get(word.upper(), as_number(word))


def _target(sensor: str, word: str, places: Sequence[str], intake: Intake) -> _Target | None:
    mapped = intake.map.find(sensor)
    if mapped is not None and mapped.skip:
        return None
    metric, inner = _guess(sensor, word, [p for p in places if p.upper() not in _NO_PLACE])
    if mapped is not None and mapped.metric:
        metric, inner = mapped.metric, False
    if not metric:
        return None
    device = intake.device((mapped.device if mapped else "") or sensor)
    scale, offset = (mapped.scale, mapped.offset) if mapped else (1.0, 0.0)
    return _Target(device, intake.metrics.index(metric), scale, offset, inner)


def _guess(sensor: str, word: str, places: Sequence[str]) -> tuple[str, bool]:
    """(metric, whether it is a door or thing within the home) from the sensor's name, place and first value."""
    names, upper = " ".join((sensor, *places)), word.upper()
    if upper in {"OPEN", "CLOSE", "CLOSED"}:
        inner = bool(places or not re.fullmatch(r"D\d+", sensor)) and not _OUTSIDE.search(names)
        return ("motion", True) if inner else ("door_open", False)
    if upper in {"ON", "OFF"} and "door" in sensor.lower():
        return ("door_open", False) if _OUTSIDE.search(names) else ("motion", True)
    if upper in {"PRESENT", "ABSENT"}:
        return "motion", True
    return _by_name(sensor, names, upper), False


def _by_name(sensor: str, names: str, upper: str) -> str:
    if upper in {"ON", "OFF"}:
        return "" if re.match(r"(L|LL|F|SS)\d", sensor) else "motion"
    if re.match(r"T\d", sensor) or "temp" in names.lower():
        return "temperature"
    if re.match(r"BATP\d", sensor):
        return "battery"
    return "motion" if re.fullmatch(r"MA?\d+", sensor) else ""  # its word is spoilt


def _note(intake: Intake, at: int, rest: Sequence[str], before: str) -> str:
    """Keeps an activity that begins, ends or changes; returns the one in force for files that name it on every line."""
    activity = " ".join(rest)
    told = _EDGE.fullmatch(activity) or re.fullmatch(r"(.+) (begin|end)", activity, re.IGNORECASE)
    if told is not None:
        intake.labels.append((intake.zone_instant(at), told[1], told[2].lower()))
        return before
    if activity and activity != before:
        intake.labels.append((intake.zone_instant(at), activity, ""))
        return activity
    return before
