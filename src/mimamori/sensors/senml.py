"""SenML (RFC 8428) packs, JSON and CBOR, to values in our units and back.

May import model and sensors.sample. Pure: "now" for relative times is the moment the message came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mimamori.model.metrics import Metric, Metrics
from mimamori.model.times import SECOND
from mimamori.sensors.sample import Mistake, Said, mapping, number, seconds, text

RELATIVE = 2**28
"""Seconds. RFC 8428 4.5.3: a smaller time is relative to now."""
VERSION = 10

LABELS = {-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb",
          5: "s", 6: "t", 7: "ut", 8: "vd"}  # fmt: skip
_CODES = {name: code for code, name in LABELS.items()}
_NAME_PARTS = re.compile(r"[/:]")

UNITS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "1/min": {"beat/min": (1, 0), "1/min": (1, 0), "1/s": (60, 0), "Hz": (60, 0)},
    "1": {"count": (1, 0)},
    "W": {"W": (1, 0), "kW": (1000, 0)},
    "Wh": {"Wh": (1, 0), "J": (1 / 3600, 0)},
    "Cel": {"Cel": (1, 0), "K": (1, -273.15)},
    "%RH": {"%RH": (1, 0), "/100": (1, 0), "/": (100, 0), "%": (100, 0)},
    "lx": {"lx": (1, 0)},
    "%": {"/100": (1, 0), "%EL": (1, 0), "/": (100, 0), "%": (100, 0)},
    "cm": {"cm": (1, 0), "m": (100, 0), "mm": (0.1, 0)},
}
"""Metric unit -> SenML unit -> (factor, offset). Primary units of RFC 8428 and secondary of RFC 8798; "%" and "/" are
ratios 0 to 1 there. kWh is left out on purpose (RFC 8428 names it as one not to use). We write the first one."""


def is_senml(document: object) -> bool:
    """An array whose first record has a SenML name or base field; our own arrays of readings have neither."""
    if not isinstance(document, list) or not document or not isinstance(document[0], Mapping):
        return False
    first = {LABELS.get(k, k) if type(k) is int else k for k in document[0]}
    return bool(first & {"n", "bn", "bt", "bu", "bv", "bver"})


def read_pack(document: Sequence[Any], got: int, metrics: Metrics, said: Said) -> None:
    """Adds the records of a pack to `said`, values in the metric's unit; a record with a mistake is set aside alone.

    A pack of a version we do not know is set aside whole: raises Mistake.
    """
    versions = (record.get("bver", record.get(-1, VERSION)) for record in document if isinstance(record, Mapping))
    if any(number(version, "bver") > VERSION for version in versions):
        raise Mistake("bad-shape", f"SenML version {VERSION} (RFC 8428) is the newest known here")
    base: dict[str, Any] = {"bn": "", "bt": 0, "bu": None, "bv": 0.0}
    for entry in document:
        try:
            record = {
                LABELS.get(k, str(k)) if type(k) is int else str(k): v for k, v in mapping(entry, "a record").items()
            }
            base.update((key, record[key]) for key in base.keys() & record.keys())
            if record.keys() - base.keys() - {"bver", "bs"}:  # base fields alone are no reading
                _read_record(record, base, got, metrics, said)
        except Mistake as mistake:
            said.mistakes.append(mistake)


def _read_record(record: dict[str, Any], base: dict[str, Any], got: int, metrics: Metrics, said: Said) -> None:
    for key in record:
        if key.endswith("_"):  # RFC 8428 4.4: such a field must be understood or the record refused
            raise Mistake("bad-shape", f"the SenML field {key[:20]} is not understood; leave it out")
    name = _NAME_PARTS.split(text(base["bn"]) + text(record.get("n", "")))[-1]
    if "v" in record:
        value = number(record["v"], name) + number(base["bv"], name)
    elif isinstance(record.get("vb"), bool):
        value = float(record["vb"])
    elif record.keys() & {"vb", "vs", "vd", "s"}:
        raise Mistake("not-a-number", f"send {name[:64]} as v, a number (or vb for a state)")
    else:
        raise Mistake("bad-shape", "a SenML record needs a value: send v")
    index = metrics.find(name)
    unit = record.get("u", base["bu"])
    if index >= 0 and unit is not None:
        value = _in_unit_of(metrics[index], value, text(unit))
    told = seconds(record.get("t", 0)), seconds(base["bt"])
    at = sum(told)
    if record.get("t") is not None and base["bt"] and isinstance(record["t"], float):
        at = seconds(number(base["bt"], "bt") + record["t"])  # one rounding, not two
    if at < RELATIVE * SECOND:
        at += got
        said.by_arrival = True
    said.add(name, value, at, own_unit=unit is not None)


def _in_unit_of(metric: Metric, value: float, unit: str) -> float:
    known = dict(UNITS.get(metric.unit, {metric.unit: (1, 0)}))
    if metric.unit == "1" and metric.high <= 1:
        known["/"] = (1, 0)  # RFC 8428: "value of a switch"
    if unit not in known:
        raise Mistake("wrong-unit", f'send {metric.name} in {" or ".join(known)}, not "{unit[:20]}"')
    factor, offset = known[unit]
    return value * factor + offset if (factor, offset) != (1, 0) else value


def write_pack(
    samples: Sequence[tuple[int, Mapping[str, float]]], metrics: Metrics, *, cbor: bool
) -> list[dict[Any, Any]]:
    """SenML records of (taken ns, values by metric) samples; labels are numbers for CBOR. Exact to the microsecond."""
    base = samples[0][0] if samples else 0
    pack: list[dict[Any, Any]] = []
    for taken, values in samples:
        for name, value in values.items():
            record: dict[str, Any] = {"n": name, "v": value}
            metric = metrics[metrics.index(name)]
            unit = next(iter(UNITS.get(metric.unit, {metric.unit: 0})))
            if metric.unit != "1":
                record["u"] = unit
            if not pack:
                record = {"bt": _seconds_of(base), **record}
            elif taken != base:
                record["t"] = _seconds_of(taken - base)
            pack.append({_CODES[key]: item for key, item in record.items()} if cbor else record)
    return pack


def _seconds_of(span: int) -> int | float:
    whole, rest = divmod(span, SECOND)
    return whole if rest == 0 else span / SECOND
