"""One payload at a time, with patience: the shapes the fast path refuses, each mistake named, each good value kept.

May import model and the other files of sensors except collector and broker. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from mimamori.model.metrics import Metrics
from mimamori.model.times import NEVER
from mimamori.sensors.profile import MappedValue, TopicMap
from mimamori.sensors.sample import Mistake, Said, counter, mapping, moment, number, read_cbor
from mimamori.sensors.senml import is_senml, read_pack

_JSON_STARTS = b'{["tfnN-I0123456789 \t\r\n\xef'


def read_payload(payload: bytes, got: int, metrics: Metrics) -> Said:
    """What a `readings` payload says: our object or array of objects, or SenML; in JSON or CBOR, told by content.

    Raises Mistake where nothing of it can be read.
    """
    document = _parse(payload)
    said = Said()
    if is_senml(document):
        read_pack(document, got, metrics, said)
    else:
        for entry in document if isinstance(document, list) else [document]:
            try:
                _read_object(mapping(entry, "a reading"), said)
            except Mistake as mistake:
                said.mistakes.append(mistake)
    if not said.names and not said.mistakes:
        raise Mistake("bad-shape", 'holds no reading; send {"t": ..., "v": {"heart_rate": 62}}')
    return said


def read_mapped(payload: bytes, entry: TopicMap) -> Said:
    """What a vendor's payload says under a profile's mapping. Metrics whose path is absent are skipped.

    Raises Mistake where nothing of it can be read.
    """
    try:
        document = _parse(payload)
    except Mistake:
        if all(value.path for value in entry.values.values()):
            raise
        document = payload.decode("utf-8", errors="replace").strip()
    taken = moment(_at(document, entry.time), entry.time_unit) if entry.time else NEVER
    said = Said(seq=counter(_at(document, entry.seq)) if entry.seq else None)
    for name, where in entry.values.items():
        found = _at(document, where.path)
        if found is not None:
            try:
                said.add(name, _worded(found, where, name), taken)
            except Mistake as mistake:
                said.mistakes.append(mistake)
    if not said.names and not said.mistakes:
        paths = ", ".join(value.path for value in entry.values.values())
        raise Mistake("bad-shape", f"none of the profile's paths is in it: {paths[:200]}")
    return said


def read_status(payload: bytes) -> float:
    """1.0 for "online", 0.0 for "offline". Raises Mistake for anything else."""
    word = payload.strip().lower()
    if word == b"online":
        return 1.0
    if word == b"offline":
        return 0.0
    raise Mistake("bad-shape", "status is the word online or offline")


def _read_object(entry: Mapping[Any, Any], said: Said) -> None:
    taken, said.seq = moment(entry.get("t")), counter(entry.get("seq"))
    values = mapping(entry.get("v"), "v")
    if not values:
        raise Mistake("bad-shape", 'v is empty; send at least {"heartbeat": 1}')
    for name, value in values.items():
        try:
            said.add(str(name), number(value, str(name)), taken)
        except Mistake as mistake:
            said.mistakes.append(mistake)


def _parse(payload: bytes) -> Any:
    # NaN and Infinity are no JSON; they are let in here only to be named, and the values beside them kept.
    if payload[:1] and payload[:1] in _JSON_STARTS:
        try:
            return json.loads(payload)
        except (ValueError, RecursionError):
            pass
        raise Mistake("not-json", "send JSON in UTF-8 (or SenML in CBOR)")
    return read_cbor(payload, "send JSON in UTF-8 (or SenML in CBOR)")


def _at(document: Any, path: str) -> Any:
    """The value at a dotted path, None where it is absent."""
    for part in path.split(".") if path else ():
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def _worded(found: Any, where: MappedValue, name: str) -> float:
    if isinstance(found, bool):
        found = "true" if found else "false"
    if isinstance(found, str):
        if found in where.words:
            return where.words[found]
        try:
            as_number = float(found)
        except ValueError:
            as_number = math.nan
        return number(as_number if as_number == as_number else found, name)  # noqa: PLR0124 - NaN test
    return number(found, name)
