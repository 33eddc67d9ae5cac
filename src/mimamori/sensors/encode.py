"""Readings to payloads: what a device sends. Decoding gives the same back, to the microsecond.

May import model and the pure files of sensors. Used by simulated devices, tools and tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cbor2
import msgspec

from mimamori.model.metrics import Metrics
from mimamori.model.times import to_datetime
from mimamori.sensors.senml import write_pack

Form = Literal["json", "senml", "senml-cbor"]
_BASE_METRICS = Metrics()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a device measured at one moment. taken: ns UTC, whole microseconds are kept. values: by metric name."""

    taken: int
    values: Mapping[str, float]
    seq: int = -1  # -1: the device does not count


def encode_readings(samples: Sequence[Sample], form: Form = "json", metrics: Metrics = _BASE_METRICS) -> bytes:
    """The payload for topic `readings`: one object for one sample, an array for several (back-fill).

    Raises KeyError for a metric that SenML cannot give a unit because the table lacks it.
    """
    if form == "json":
        objects = [_object(sample) for sample in samples]
        return msgspec.json.encode(objects[0] if len(objects) == 1 else objects)
    pack = write_pack([(s.taken, s.values) for s in samples], metrics, cbor=form == "senml-cbor")
    return cbor2.dumps(pack) if form == "senml-cbor" else msgspec.json.encode(pack)


def _object(sample: Sample) -> dict[str, Any]:
    whole_ms = sample.taken % 1_000_000 == 0
    t = sample.taken // 1_000_000 if whole_ms else to_datetime(sample.taken).isoformat(timespec="microseconds")
    told = {"t": t, "v": sample.values}
    return told if sample.seq < 0 else {"t": t, "seq": sample.seq, "v": sample.values}
