"""SenML in and out, and the way back of every format: what is encoded decodes to the same."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimamori.model.homes import Homes
from mimamori.model.metrics import BASE, Metrics
from mimamori.model.times import DAY, SECOND
from mimamori.sensors.decode import Decoded, Decoder, Message
from mimamori.sensors.encode import Form, Sample, encode_readings
from mimamori.sensors.route import topic_of

NOW = 1_795_380_005 * SECOND
BARE = topic_of("h001", "bare")


def said(decoder: Decoder, pack: Any, *, cbor: bool = False) -> Decoded:
    payload = cbor2.dumps(pack) if cbor else json.dumps(pack).encode()
    return decoder.decode([Message(BARE, payload, NOW)], NOW)


def rows(decoded: Decoded, metrics: Metrics) -> list[tuple[str, float, int]]:
    batch = decoded.batch
    return [
        (metrics[int(m)].name, float(v), int(t) - NOW)
        for m, v, t in zip(batch.metric, batch.value, batch.taken, strict=True)
    ]


def test_base_fields_hold_from_their_record_on(decoder: Decoder, metrics: Metrics) -> None:
    pack = [
        {"bn": "urn:dev:mac:0024befffe804ff1:", "bt": NOW // SECOND - 60, "bu": "beat/min", "n": "heart_rate", "v": 61},
        {"n": "heart_rate", "t": 10, "v": 62},
        {"bv": 60, "n": "heart_rate", "t": 20.5, "v": 3},
        {"bn": "bed/", "n": "in_bed", "u": "/", "bv": 0, "vb": True},
    ]
    assert rows(said(decoder, pack), metrics) == [
        ("heart_rate", 61.0, -60 * SECOND),
        ("heart_rate", 62.0, -50 * SECOND),
        ("heart_rate", 63.0, -int(39.5 * SECOND)),
        ("in_bed", 1.0, -60 * SECOND),
    ]


@pytest.mark.parametrize(("t", "before"), [(0, 0), (-5, 5 * SECOND), (None, 0), (-0.25, SECOND // 4)])
def test_small_times_are_relative_to_arrival(decoder: Decoder, metrics: Metrics, t: float | None, before: int) -> None:
    record = {"n": "power", "u": "W", "v": 120.0} | ({} if t is None else {"t": t})
    assert rows(said(decoder, [record]), metrics) == [("power", 120.0, -before)]


def test_the_same_in_cbor_with_numbers_for_labels(decoder: Decoder, metrics: Metrics) -> None:
    pack = [{-2: "bed:", -3: NOW // SECOND, 0: "temperature", 1: "Cel", 2: 21.5}, {0: "humidity", 1: "%RH", 2: 40}]
    assert rows(said(decoder, pack, cbor=True), metrics) == [("temperature", 21.5, 0), ("humidity", 40.0, 0)]


@pytest.mark.parametrize(
    ("name", "unit", "value", "ours"),
    [
        ("temperature", "K", 300.0, 26.85),
        ("energy", "J", 7200.0, 2.0),
        ("energy", "Wh", 5.0, 5.0),
        ("humidity", "/", 0.4, 40.0),
        ("battery", "%EL", 87.0, 87.0),
        ("spo2", "%", 0.97, 97.0),
        ("spo2", "/100", 97.0, 97.0),
        ("distance", "m", 1.5, 150.0),
        ("power", "kW", 1.2, 1200.0),
        ("respiration_rate", "Hz", 0.25, 15.0),
        ("body_movement", "count", 3.0, 3.0),
        ("in_bed", "/", 1.0, 1.0),
    ],
)
def test_units_are_converted(decoder: Decoder, name: str, unit: str, value: float, ours: float) -> None:
    batch = said(decoder, [{"n": name, "u": unit, "v": value}]).batch
    assert [BASE[m].name for m in batch.metric] == [name]
    assert batch.value.tolist() == [pytest.approx(ours)]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"n": "energy", "u": "kWh", "v": 5}, "wrong-unit"),
        ({"n": "temperature", "u": "cel", "v": 20}, "wrong-unit"),
        ({"n": "heart_rate", "u": "W", "v": 60}, "wrong-unit"),
        ({"n": "body_movement", "u": "/", "v": 0.5}, "wrong-unit"),
        ({"n": "heart_rate", "vs": "62"}, "not-a-number"),
        ({"n": "heart_rate", "v": "62"}, "not-a-number"),
        ({"n": "heart_rate", "v": True}, "not-a-number"),
        ({"n": "heart_rate", "s": 62}, "not-a-number"),
        ({"n": "heart_rate", "u": "beat/min"}, "bad-shape"),
        ({"n": "heart_rate", "v": 62, "new_": 1}, "bad-shape"),
        ({"n": "hart_rate", "v": 62}, "unknown-metric"),
        ({"n": "heart_rate", "v": 62, "t": 86_400}, "time-in-future"),
        ({"n": "heart_rate", "v": 62, "t": 300_000_000}, "time-too-old"),
        ({"n": "heart_rate", "v": 62, "t": "now"}, "not-a-number"),
        ({"n": 5, "v": 62}, "bad-shape"),
        ({"bver": 11, "n": "heart_rate", "v": 62}, "bad-shape"),
    ],
)
def test_a_bad_record_is_named_and_the_next_one_kept(
    decoder: Decoder, metrics: Metrics, record: dict[str, Any], reason: str
) -> None:
    decoded = said(decoder, [record, {"n": "in_bed", "v": 1}])
    assert [r.reason for r in decoded.rejected] == [reason]
    whole_pack_refused = "bver" in record
    assert rows(decoded, metrics) == ([] if whole_pack_refused else [("in_bed", 1.0, 0)])


VALUES = st.dictionaries(
    st.sampled_from([m for m in BASE if m.name != "spo2"]).map(lambda m: m.name), st.just(0.0), min_size=1, max_size=5
).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: st.floats(m.low, m.high) for m in BASE for name in [m.name] if name in names}
    )
)
SAMPLES = st.lists(
    st.tuples(st.integers(NOW // 1000 - 3 * DAY // 1000, NOW // 1000), VALUES), min_size=1, max_size=5
).map(lambda told: [Sample(taken=us * 1000, values=values) for us, values in told])


@pytest.mark.parametrize("form", ["json", "senml", "senml-cbor"])
@given(samples=SAMPLES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_way_there_and_back_loses_nothing(
    decoder: Decoder, homes: Homes, metrics: Metrics, form: Form, samples: list[Sample]
) -> None:
    decoded = decoder.decode([Message(BARE, encode_readings(samples, form), NOW)], NOW)
    assert decoded.rejected == []
    assert [(name, value, NOW + at) for name, value, at in rows(decoded, metrics)] == [
        (name, value, sample.taken) for sample in samples for name, value in sample.values.items()
    ]
    assert set(decoded.batch.device.tolist()) == {homes.find_device("h001", "bare")}
