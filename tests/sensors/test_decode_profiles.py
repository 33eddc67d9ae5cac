"""Decoding by profile: what a vendor scales, means by a sentinel, declares, or sends in a form of its own."""

from __future__ import annotations

from typing import Any

import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import iso
from mimamori.sensors.decode import Decoder
from mimamori.sensors.profile import Profile

from .conftest import NOW, rows, said


def test_a_sentinel_is_no_data_and_never_zero(decoder: Decoder, metrics: Metrics) -> None:
    decoded = said(decoder, {"v": {"heart_rate": 255, "respiration_rate": 0, "in_bed": 0}})
    assert rows(decoded, metrics) == [("respiration_rate", 0.0), ("in_bed", 0.0)]
    assert (decoded.missing, decoded.rejected) == (1, [])


def test_the_profile_scales_what_the_device_sends(decoder: Decoder, metrics: Metrics) -> None:
    decoded = said(decoder, {"v": {"energy": 1234.5}}, "mimamori/v1/h001/meter/readings")
    assert rows(decoded, metrics) == [("energy", 1_234_500.0)]
    unscaled = said(decoder, {"v": {"energy": 1234.5}}, "mimamori/v1/h001/bare/readings")
    assert rows(unscaled, metrics) == [("energy", 1234.5)]


def test_a_scaled_value_is_the_number_that_the_device_means(
    homes: Homes, metrics: Metrics, profiles: tuple[Profile, ...]
) -> None:
    """214 tenths are 21.4, not the 21.400000000000002 that a float makes of 214 * 0.1."""
    room = next(p for p in profiles if p.name == "room-climate")
    celsius = room.metrics["temperature"].model_copy(update={"scale": 0.1})
    tenths = room.model_copy(update={"metrics": room.metrics | {"temperature": celsius}})
    values = said(Decoder(homes, metrics, [tenths]), {"v": {"temperature": 214}}, "mimamori/v1/h001/room/readings")
    assert rows(values, metrics) == [("temperature", 21.4)]


def test_a_declared_metric_is_known(decoder: Decoder, metrics: Metrics) -> None:
    topic = "mimamori/v1/h001/room/readings"
    assert rows(said(decoder, {"v": {"co2": 800}}, topic), metrics) == [("co2", 800.0)]
    assert said(decoder, {"v": {"co2": 8}}, topic).rejected[0].reason == "out-of-range"


@pytest.mark.parametrize(
    ("topic", "payload", "found"),
    [
        ("bedco/h001/bed1/vitals", {"ts": NOW // 1_000_000, "vital": {"hr": 62, "rr": 14}, "act": 3, "bed": "on"},
         [("heart_rate", 62.0), ("respiration_rate", 14.0), ("body_movement", 3.0), ("in_bed", 1.0)]),
        ("bedco/h001/bed1/vitals", {"vital": {"hr": "63"}, "bed": "off"}, [("heart_rate", 63.0), ("in_bed", 0.0)]),
        ("zigbee2mqtt/h001/door", {"contact": False, "battery": 87}, [("door_open", 1.0), ("battery", 87.0)]),
        ("tele/h001/plug/SENSOR", {"Time": iso(NOW, "Asia/Tokyo"), "ENERGY": {"Power": 123}}, [("power", 123.0)]),
        ("tele/h001/plug/LWT", b"Offline", [("heartbeat", 0.0)]),
    ],
)  # fmt: skip
def test_a_vendors_own_format_is_mapped_without_code(
    decoder: Decoder, metrics: Metrics, topic: str, payload: Any, found: list[tuple[str, float]]
) -> None:
    decoded = said(decoder, payload, topic)
    assert rows(decoded, metrics) == found
    assert decoded.batch.taken.tolist() == [NOW] * len(found)
    assert decoded.rejected == []


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("bedco/h001/bed1/vitals", {"vital": {"hr": "high"}}, "not-a-number"),
        ("bedco/h001/bed1/vitals", {"vital": {"hr": "nan"}}, "not-a-number"),
        ("bedco/h001/bed1/vitals", {"bed": True}, "not-a-number"),
        ("bedco/h001/bed1/vitals", {"other": 1}, "bad-shape"),
        ("bedco/h001/bed1/vitals", b"hello", "not-json"),
        ("bedco/h001/bed1/vitals", {"ts": 1, "vital": {"hr": 62}}, "time-too-old"),
        ("tele/h001/plug/LWT", b"Away", "not-a-number"),
    ],
)
def test_a_bad_vendor_message_is_named(decoder: Decoder, topic: str, payload: Any, reason: str) -> None:
    decoded = said(decoder, payload, topic)
    assert len(decoded.batch) == 0
    assert [r.reason for r in decoded.rejected] == [reason]
