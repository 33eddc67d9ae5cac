"""How a meter's CSV is laid out: its alphabet, what parts its columns, where its heading stands, how it writes times.

May import the importers' shared part. Looks at the beginning of the file it is given; nothing here is a mistake yet.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_BEGINNING = 1 << 16  # bytes that are looked at
_PREAMBLE = 40  # lines in which a heading is looked for
_PARTED_BY = (",", ";", "\t")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_UNIT = re.compile(r"\s*[(（\[][^()（）]*[)）\]]\s*$")
_JAPANESE_CLOCK = re.compile(r"(\d{1,2})時(?:(\d{2})分)?台?")
_RANGE = re.compile(r"\D*(\d{1,2}):(\d{2})(?::\d{2})?(?:\s*[-~〜～]\s*\d{1,2}:\d{2}(?::\d{2})?)?\D*")
_DAY = r"(?:(?P<y>\d{4})[-/.年](?P<m>\d{1,2})[-/.月](?P<d>\d{1,2})日?|(?P<d2>\d{1,2})\.(?P<m2>\d{1,2})\.(?P<y2>\d{4}))"
_TIME = r"(?:[T ]+(?P<h>\d{1,2})[:時](?P<min>\d{2})分?(?::(?P<s>\d{2})(?:[.,]\d+)?)?)?"
_MOMENT = re.compile(rf"\s*{_DAY}{_TIME}\s*(?P<zone>Z|[-+]\d{{2}}:?\d{{2}})?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """encoding: as Python names it. delimiter: one sign. heading: its names, and `line`, from 1, where it stands."""

    encoding: str
    delimiter: str
    heading: tuple[str, ...]
    line: int


def find_layout(path: Path, known: Collection[str], asked: Collection[str]) -> Layout:
    """The layout of a file. known: plain names of usual columns, of which a heading has two; asked: names it must have.

    Without such a line, or one that names half a day of times, the first line is the heading.
    """
    encoding, text = _decoded(path)
    rows = text.splitlines()[:_PREAMBLE] or [""]
    for number, row in enumerate(rows, 1):
        for sign in _PARTED_BY:
            names = next(csv.reader([row], delimiter=sign), [])
            if _is_heading(names, known, asked):
                return Layout(encoding=encoding, delimiter=sign, heading=tuple(names), line=number)
    sign = max(_PARTED_BY, key=rows[0].count)
    return Layout(
        encoding=encoding, delimiter=sign, heading=tuple(next(csv.reader(rows[:1], delimiter=sign), [])), line=1
    )


def _is_heading(names: Sequence[str], known: Collection[str], asked: Collection[str]) -> bool:
    plain = {plain_name(name) for name in names} | {name.strip().lower() for name in names}
    if asked:
        return {name.strip().lower() for name in asked} <= plain
    return len(plain & set(known)) >= 2 or sum(clock_of(name) is not None for name in names) >= 24


def _decoded(path: Path) -> tuple[str, str]:
    """(encoding, beginning): UTF-8, else the alphabet of Japanese Windows if that gives Japanese, else Latin."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        raw = file.read(_BEGINNING)
    whole = raw[: raw.rfind(b"\n") + 1] or raw  # not through the middle of a sign
    for encoding in ("utf-8-sig", "cp932"):
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8-sig" or _JAPANESE.search(text):
            return encoding, text
    return "latin-1", whole.decode("latin-1")


def plain_name(name: str) -> str:
    """A column's name without its unit, in small letters: "使用量(kWh)" is 使用量, "Usage (kWh)" is usage."""
    return _UNIT.sub("", name.strip()).strip().lower()


def clock_of(name: str) -> tuple[int, int] | None:
    """(hour, minute) at which the interval that a column is named by begins: 0:30, 00:30-01:00, 0時30分."""
    found = _RANGE.fullmatch(_JAPANESE_CLOCK.sub(lambda m: f"{m[1]}:{m[2] or '00'}", name.strip()))
    return (int(found[1]), int(found[2])) if found else None


def moment_of(word: str) -> datetime | None:
    """A date, perhaps with a time and an offset: year first, or day first with dots; 24:00 is the next day's 0:00.

    Without an offset it is a wall clock's. Days and months that are parted by slashes or hyphens and do not begin with
    the year may stand in either order: None.
    """
    found = _MOMENT.fullmatch(word)
    if found is None:
        return None
    year, month, day = (int(found[k] or found[f"{k}2"]) for k in ("y", "m", "d"))
    after = timedelta(hours=int(found["h"] or 0), minutes=int(found["min"] or 0), seconds=int(found["s"] or 0))
    if after > timedelta(days=1):
        return None
    try:
        moment = datetime(year, month, day) + after  # noqa: DTZ001 - a wall clock; the zone is the caller's
    except ValueError:
        return None
    zone = found["zone"]
    if not zone:
        return moment
    if zone == "Z":
        return moment.replace(tzinfo=UTC)
    return datetime.fromisoformat(f"{moment.isoformat()}{zone[:3]}:{zone[-2:]}")


def point_for_comma(word: str) -> str:
    """A number with a decimal comma as one with a point; for files whose columns the comma does not part."""
    return word.replace(",", ".") if "." not in word else word
