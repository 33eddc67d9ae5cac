"""Time as int64 nanoseconds UTC, durations as words, and local time through one table of offsets.

May import nothing of mimamori. Never reads a clock: `now` is always an argument.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Nanos = NDArray[np.int64]

NEVER: int = -(2**63)
SECOND: int = 1_000_000_000
MINUTE: int = 60 * SECOND
HOUR: int = 60 * MINUTE
DAY: int = 24 * HOUR
EPOCH_LOW: int = 946_684_800 * SECOND  # 2000-01-01: no device of ours reported before
EPOCH_HIGH: int = 4_102_444_800 * SECOND  # 2100-01-01

_UNITS = {"ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def parse_duration(text: object) -> int:
    """Nanoseconds of a duration in words: "90s", "35m", "1h30m", "2d". Raises ValueError with the mend."""
    if not isinstance(text, str):  # TOML may hold a bare number
        msg = f'write a duration as text with a unit, such as "35m" (got {text!r})'
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns ValueError into a content error
    words = text.strip().lower()
    parts = _DURATION.findall(words)
    if not parts or _DURATION.sub("", words).strip():
        msg = f'"{text}" is not a duration; write a number and a unit (s, m, h, d, w), such as "35m" or "1h30m"'
        raise ValueError(msg)
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


def format_duration(span: int) -> str:
    """The shortest such words for a span in nanoseconds: 5400 s -> "1h30m"; under a second -> "0s"."""
    rest, words = abs(span) // SECOND, []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count}{unit}")
    return ("-" if span < 0 else "") + ("".join(words) or "0s")


def parse_instant(text: str | float) -> int:
    """Nanoseconds UTC of an ISO 8601 time with an offset, or of epoch seconds if numeric. Raises ValueError."""
    if isinstance(text, (int, float)):
        return _from_seconds(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return _from_seconds(float(text))
        except ValueError:
            msg = f'"{text}" is not a time; write ISO 8601 with an offset, such as 2026-11-23T06:40:05+09:00'
            raise ValueError(msg) from None
    if moment.tzinfo is None:
        msg = f'"{text}" has no offset; add one, such as +09:00'
        raise ValueError(msg)
    return from_datetime(moment)


def _from_seconds(seconds: float) -> int:
    """Exact for whole seconds; a float's fraction is true to a quarter of a microsecond, so it is rounded to one."""
    whole = math.floor(seconds)
    return whole * SECOND + round((seconds - whole) * 1_000_000) * 1000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_datetime(moment: datetime) -> int:
    """Exact nanoseconds UTC of an aware datetime (whole microseconds)."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def to_datetime(at: int, zone: str = "UTC") -> datetime:
    """Aware datetime in `zone` (whole microseconds)."""
    return (_EPOCH + timedelta(microseconds=at // 1000)).astimezone(ZoneInfo(zone))


def iso(at: int, zone: str = "UTC") -> str:
    """ISO 8601 with the offset of `zone`, milliseconds."""
    return to_datetime(at, zone).isoformat(timespec="milliseconds")


def iso_or_none(at: int, zone: str = "UTC") -> str | None:
    """As `iso`, and None for NEVER: the form of the alert line."""
    return None if at == NEVER else iso(at, zone)


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone as a table of UTC offsets, so that local time is arithmetic on int64.

    begins: (k,) int64 ns UTC, ascending, begins[0] = NEVER; offsets: (k,) int64 ns, in force from begins[i] on.
    """

    name: str
    begins: Nanos
    offsets: Nanos

    def local(self, at: int) -> int:
        """Nanoseconds since 1970-01-01 00:00 on the wall clock of this zone."""
        return at + int(self.offsets[bisect_right(self.begins, at) - 1])  # numpy's own takes ten times as long for one

    def local_many(self, at: Nanos) -> Nanos:
        """As `local` for an (n,) array; NEVER stays NEVER."""
        shifted = at + self.offsets[np.searchsorted(self.begins, at, side="right") - 1]
        return np.where(at == NEVER, NEVER, shifted)

    def instants(self, local: Nanos) -> Nanos:
        """(n,) ns UTC of wall-clock times of this zone, the way back of `local_many`.

        An hour that the clock shows twice is taken as its first; a time that it skips is read by the offset before.
        """
        turned = self.begins[1:] + np.maximum(self.offsets[:-1], self.offsets[1:])
        return np.asarray(local - self.offsets[np.searchsorted(turned, local, side="right")])

    def time_of_day(self, at: int) -> int:
        """Nanoseconds since local midnight, [0, DAY)."""
        return self.local(at) % DAY


@cache
def zone_table(name: str, first_year: int = 2000, last_year: int = 2100) -> Zone:
    """The offsets of an IANA zone between two years, found by bisection on zoneinfo. Raises KeyError on a bad name."""
    zone = ZoneInfo(name)

    def offset(at: int) -> int:
        shift = to_datetime(at).astimezone(zone).utcoffset()
        return (shift or timedelta()) // timedelta(microseconds=1) * 1000

    at = from_datetime(datetime(first_year, 1, 1, tzinfo=UTC))
    last = from_datetime(datetime(last_year, 1, 1, tzinfo=UTC))
    begins, offsets = [NEVER], [offset(at)]
    while at < last:
        step = min(at + 7 * DAY, last)
        if offset(step) != offsets[-1]:
            low, high = at, step
            while high - low > SECOND:
                middle = (low + high) // 2 // SECOND * SECOND
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            begins.append(high)
            offsets.append(offset(high))
        at = step
    return Zone(name=name, begins=np.array(begins, np.int64), offsets=np.array(offsets, np.int64))
