"""What one payload says, before the metric table, the profile and the clock have judged it.

May import model only. No I/O, no clock; numbers and times of strangers are made safe here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import cbor2

from mimamori.model.readings import RejectReason
from mimamori.model.times import NEVER, from_datetime

MAX_PAYLOAD = 256 * 1024
"""Bytes. A larger payload is set aside unread: two hours of back-fill every 5 s are less, and memory stays bounded."""
_FAR = 2**62  # ns; beyond any date that passes the time rule, and safe in int64


@dataclass(slots=True)
class Mistake(Exception):  # noqa: N818 - it is a mistake of the sender, not an error of ours
    """Why a payload, or one value in it, is set aside, and what its sender should do."""

    reason: RejectReason
    mend: str


@dataclass(slots=True)
class Said:
    """Rows a payload yields, in its order. `own_unit[i]`: the value is in the metric's unit already (SenML).

    taken: ns UTC, NEVER where the payload gives no time. by_arrival: some time is that of arrival, or counted from it.
    seq: the device's counter, None if it tells none.
    """

    names: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    own_unit: list[bool] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    by_arrival: bool = False
    seq: int | None = None

    def add(self, name: str, value: float, taken: int, *, own_unit: bool = False) -> None:
        self.names.append(name)
        self.values.append(value)
        self.taken.append(taken if taken == NEVER else max(-_FAR, min(_FAR, taken)))
        self.own_unit.append(own_unit)
        self.by_arrival |= taken == NEVER


def number(value: object, name: str) -> float:
    """The float of a JSON or CBOR number. Raises Mistake for anything else, NaN, and infinity."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if math.isfinite(result):
            return result
    raise Mistake("not-a-number", f"send {name[:64]} as a finite number, not {_shown(value)}")


def moment(value: object, unit: str = "ms") -> int:
    """Time in ns UTC: None -> NEVER; text is ISO 8601 with an offset; a number counts `unit` ("ms" or "s") since 1970.

    Far times are clamped, so that the time rule can name them. Raises Mistake for anything else.
    """
    if value is None:
        return NEVER
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise Mistake("bad-shape", "write t as ISO 8601 with an offset (2026-11-23T06:40:05+09:00) or epoch ms")
        return from_datetime(at)
    return seconds(value) if unit == "s" else seconds(value, micros=1_000)


def seconds(value: object, *, micros: int = 1_000_000) -> int:
    """Span in ns of a count of units of `micros` microseconds each; exact for integers, else to the microsecond."""
    count = number(value, "t")
    if abs(count) * micros * 1000 >= _FAR:
        return _FAR if count > 0 else -_FAR
    if isinstance(value, int):
        return value * micros * 1000
    return round(count * micros) * 1000


def counter(value: object) -> int | None:
    """A device's count of its messages; None for what counts nothing."""
    return value if type(value) is int and 0 <= value < _FAR else None


def text(value: object) -> str:
    """A text field. Raises Mistake for anything else."""
    if isinstance(value, str):
        return value
    raise Mistake("bad-shape", f"expected text, not {_shown(value)}")


def mapping(value: object, what: str) -> Mapping[Any, Any]:
    """An object. Raises Mistake for anything else."""
    if isinstance(value, Mapping):
        return value
    raise Mistake("bad-shape", f"{what} must be an object, not {_shown(value)}")


def _shown(value: object) -> str:
    """A stranger's value in a few safe characters."""
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, str):
        return f"text {value[:20]!r}"
    return type(value).__name__


def read_cbor(payload: bytes, mend: str) -> Any:
    """The one CBOR item that the payload is. Raises Mistake, with this mend, for anything else."""
    source = io.BytesIO(payload)
    try:
        document = cbor2.CBORDecoder(source).decode()
    except Exception:  # noqa: BLE001 - tags of strangers run decoders of many kinds; all mean the same here
        raise Mistake("not-json", mend) from None
    if source.tell() != len(payload):  # torn or glued: what was read may be half of what was meant
        raise Mistake("not-json", "send one CBOR item a message, with nothing behind it")
    return document
