"""Decoding: every kind of bad input is named and counted, and good values beside it are kept."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import BASE, Metrics
from mimamori.model.readings import CLOCK, HISTORICAL
from mimamori.model.times import DAY, MINUTE, SECOND, iso
from mimamori.sensors.decode import CLIP, Decoder
from mimamori.sensors.sample import MAX_PAYLOAD

from .conftest import BED, NOW, STATUS, rows, said


def test_a_reading_becomes_rows(decoder: Decoder, homes: Homes, metrics: Metrics) -> None:
    decoded = said(decoder, {"t": NOW // 1_000_000, "seq": 7, "v": {"heart_rate": 62, "in_bed": 1}})
    assert rows(decoded, metrics) == [("heart_rate", 62.0), ("in_bed", 1.0)]
    assert decoded.batch.home.tolist() == [homes.find("h001")] * 2
    assert decoded.batch.device.tolist() == [homes.find_device("h001", "bed1")] * 2
    assert decoded.batch.taken.tolist() == [NOW, NOW]
    assert decoded.batch.flags.tolist() == [0, 0]
    assert decoded.rejected == []


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"hello", "not-json"),
        (b"\xff\xfe\x00", "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'{"v":{"heart_rate":62}} tail', "not-json"),
        (cbor2.dumps({"v": {"heart_rate": 62}}) + b"\x00", "not-json"),
        (cbor2.dumps({"v": {"heart_rate": 62}}) * 2, "not-json"),
        (b"null", "bad-shape"),
        (b"42", "bad-shape"),
        (b"[]", "bad-shape"),
        (b"{}", "bad-shape"),
        ({"v": {}}, "bad-shape"),
        ({"v": [62]}, "bad-shape"),
        ({"t": "yesterday", "v": {"heart_rate": 62}}, "bad-shape"),
        ({"t": "2026-11-23T06:40:05", "v": {"heart_rate": 62}}, "bad-shape"),
        ({"t": [1], "v": {"heart_rate": 62}}, "not-a-number"),
        ({"t": True, "v": {"heart_rate": 62}}, "not-a-number"),
        ({"v": {"heart_rate": "62"}}, "not-a-number"),
        ({"v": {"heart_rate": True}}, "not-a-number"),
        ({"v": {"heart_rate": None}}, "not-a-number"),
        (b'{"v":{"heart_rate":NaN}}', "not-a-number"),
        (b'{"v":{"heart_rate":Infinity}}', "not-a-number"),
        (b'{"v":{"heart_rate":1e999}}', "not-a-number"),
        (b'{"v":{"heart_rate":' + b"9" * 400 + b"}}", "not-a-number"),
        ({"v": {"hart_rate": 62}}, "unknown-metric"),
        ({"v": {"heart_rate": -5}}, "out-of-range"),
        ({"v": {"heart_rate": 230}}, "out-of-range"),  # the profile's 220, not the metric's 300
        ({"t": 0, "v": {"heart_rate": 62}}, "time-too-old"),
        ({"t": NOW // SECOND, "v": {"heart_rate": 62}}, "time-too-old"),  # seconds where milliseconds belong
        ({"t": "1970-01-01T00:00:00Z", "v": {"heart_rate": 62}}, "time-too-old"),
        ({"t": "2100-01-01T00:00:00+09:00", "v": {"heart_rate": 62}}, "time-in-future"),
        ({"t": 10**30, "v": {"heart_rate": 62}}, "time-in-future"),
        ({"t": -(10**30), "v": {"heart_rate": 62}}, "time-too-old"),
        (b'{"v":{"heart_rate":62},"pad":"' + b"x" * 10_000_000 + b'"}', "too-large"),
    ],
)
def test_bad_input_is_named_and_set_aside(decoder: Decoder, payload: Any, reason: str) -> None:
    decoded = said(decoder, payload)
    assert len(decoded.batch) == 0
    assert [r.reason for r in decoded.rejected] == [reason]
    rejected = decoded.rejected[0]
    assert rejected.place == BED
    assert rejected.mend
    assert rejected.at == NOW
    assert len(rejected.payload) <= CLIP


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("", "bad-topic"),
        ("mimamori/v1", "bad-topic"),
        ("mimamori/v1/h001/bed1", "bad-topic"),
        ("mimamori/v1/h001/bed1/reading", "bad-topic"),
        ("mimamori/v1/h001/bed1/readings/x", "bad-topic"),
        ("mimamori/v2/h001/bed1/readings", "bad-topic"),
        ("other/h001/bed1", "bad-topic"),
        ("mimamori/v1/h009/bed1/readings", "unknown-device"),
        ("mimamori/v1/h001/bed9/readings", "unknown-device"),
        ("mimamori/v1/h001/bed9/status", "unknown-device"),
        ("bedco/h001/bed9/vitals", "unknown-device"),
        ("bedco/h001/plug/vitals", "unknown-device"),  # registered, but with another profile
    ],
)
def test_a_topic_that_leads_nowhere_is_named(decoder: Decoder, topic: str, reason: str) -> None:
    decoded = said(decoder, {"v": {"heart_rate": 62}}, topic)
    assert len(decoded.batch) == 0
    assert [(r.reason, r.place) for r in decoded.rejected] == [(reason, topic)]


def test_a_device_registered_later_is_heard_without_a_new_decoder(decoder: Decoder, homes: Homes) -> None:
    topic = "mimamori/v1/h003/bed1/readings"
    assert said(decoder, {"v": {"heart_rate": 62}}, topic).rejected[0].reason == "unknown-device"
    homes.add_device("h003", "bed1", "bed-sensor")
    assert said(decoder, {"v": {"heart_rate": 62}}, topic).batch.home.tolist() == [homes.find("h003")]


def test_the_good_values_of_a_bad_message_are_kept(decoder: Decoder, metrics: Metrics) -> None:
    values = b'{"v":{"heart_rate":NaN,"respiration_rate":14,"in_bed":true,"spoo2":97,"body_movement":101,"spo2":97}}'
    decoded = said(decoder, values)
    assert rows(decoded, metrics) == [("respiration_rate", 14.0), ("spo2", 97.0)]
    assert {r.reason for r in decoded.rejected} == {"not-a-number", "unknown-metric", "out-of-range"}


def test_one_rejection_for_each_reason_of_a_message(decoder: Decoder) -> None:
    decoded = said(decoder, {"v": {f"nonsense{i}": i for i in range(10_000)}})
    assert [r.reason for r in decoded.rejected] == ["unknown-metric"]


@pytest.mark.parametrize(
    ("behind", "kept", "flags"),
    [
        (0, 0, 0),
        (9 * MINUTE, 9 * MINUTE, 0),
        (11 * MINUTE, 11 * MINUTE, HISTORICAL),
        (2 * DAY, 2 * DAY, HISTORICAL),
        (-9 * MINUTE, -9 * MINUTE, CLOCK),
        (-1 * SECOND, -1 * SECOND, CLOCK),
    ],
)
def test_times_near_and_far(decoder: Decoder, behind: int, kept: int, flags: int) -> None:
    for t in ((NOW - behind) // 1_000_000, iso(NOW - behind, "Asia/Tokyo")):
        decoded = said(decoder, {"t": t, "v": {"heart_rate": 62}})
        assert decoded.batch.taken.tolist() == [NOW - kept]
        assert decoded.batch.flags.tolist() == [flags]
        assert decoded.batch.got.tolist() == [NOW]


def test_a_device_without_a_clock_gets_ours(decoder: Decoder) -> None:
    decoded = said(decoder, {"v": {"heart_rate": 62}})
    assert decoded.batch.taken.tolist() == [NOW]
    assert decoded.batch.flags.tolist() == [0]


def test_back_fill_keeps_its_order_and_sets_only_the_bad_aside(decoder: Decoder) -> None:
    told: list[Any] = [{"t": (NOW - 2 * DAY) // 1_000_000 + i, "v": {"heart_rate": 60 + i}} for i in range(5)]
    decoded = said(decoder, [*told, {"t": 5, "v": {"heart_rate": 70}}, 17, {"t": None, "v": {"heart_rate": 71}}])
    assert decoded.batch.value.tolist() == [60, 61, 62, 63, 64, 71]
    assert decoded.batch.flags.tolist() == [HISTORICAL] * 5 + [0]
    assert sorted(r.reason for r in decoded.rejected) == ["bad-shape", "time-too-old"]


@pytest.mark.parametrize(
    ("word", "retained", "values", "dropped"),
    [
        (b"online", False, [1.0], 0),
        (b"offline", False, [0.0], 0),
        (b"online", True, [], 1),
        (b"offline", True, [0.0], 0),
        (b"Online\n", False, [1.0], 0),
    ],
)
def test_status_is_a_heartbeat(
    decoder: Decoder, word: bytes, *, retained: bool, values: list[float], dropped: int
) -> None:
    decoded = said(decoder, word, STATUS, retained=retained)
    assert [BASE[m].name for m in decoded.batch.metric] == ["heartbeat"] * len(values)
    assert decoded.batch.value.tolist() == values
    assert decoded.retained == dropped
    assert decoded.rejected == []


def test_another_word_is_no_status(decoder: Decoder) -> None:
    assert [r.reason for r in said(decoder, b"away", STATUS).rejected] == ["bad-shape"]


def test_retained_readings_prove_nothing(decoder: Decoder) -> None:
    decoded = said(decoder, {"v": {"heart_rate": 62}}, retained=True)
    assert (len(decoded.batch), decoded.retained, decoded.rejected) == (0, 1, [])


def test_a_payload_at_the_limit_is_read(decoder: Decoder) -> None:
    core = b'{"v":{"heart_rate":62},"pad":"'
    payload = core + b"x" * (MAX_PAYLOAD - len(core) - 2) + b'"}'
    assert len(said(decoder, payload).batch) == 1
    assert said(decoder, payload + b" ").rejected[0].reason == "too-large"
