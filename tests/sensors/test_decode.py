"""Decoding: every kind of bad input is named and counted, good values beside it are kept, and nothing ever raises."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimamori.model.homes import Homes
from mimamori.model.metrics import BASE, Metrics
from mimamori.model.readings import CLOCK, HISTORICAL, ReadingBatch, concat
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND, from_datetime, iso
from mimamori.sensors.decode import CLIP, CLOCK_STEP, Decoded, Decoder, Message
from mimamori.sensors.profile import Profile
from mimamori.sensors.sample import MAX_PAYLOAD
from mimamori.sensors.wave import GAP, write_wave

NOW = 1_795_380_005 * SECOND
BED = "mimamori/v1/h001/bed1/readings"
SLOW_CHECK = [HealthCheck.function_scoped_fixture]


def message(payload: Any, topic: str = BED, **more: Any) -> Message:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic=topic, payload=body, got=more.pop("got", NOW), **more)


def said(decoder: Decoder, payload: Any, topic: str = BED, **more: Any) -> Decoded:
    return decoder.decode([message(payload, topic, **more)], NOW)


def rows(decoded: Decoded, metrics: Metrics) -> list[tuple[str, float]]:
    batch = decoded.batch
    return [(metrics[int(m)].name, float(v)) for m, v in zip(batch.metric, batch.value, strict=True)]


def equal(a: ReadingBatch, b: ReadingBatch) -> bool:
    columns = ("home", "device", "metric", "value", "taken", "got", "flags")
    return all(np.array_equal(getattr(a, c), getattr(b, c)) for c in columns) and all(
        getattr(a, c).dtype == getattr(b, c).dtype for c in columns
    )


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


STATUS = "mimamori/v1/h001/bed1/status"


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


WAVE = "mimamori/v1/h001/bed1/wave"


def test_a_wave_chunk(decoder: Decoder, homes: Homes) -> None:
    decoded = said(decoder, write_wave(NOW, 100.0, np.array([1, -2, GAP], np.int16), 0.5), WAVE)
    [wave] = decoded.waves
    assert (wave.device, wave.rate, wave.taken) == (homes.find_device("h001", "bed1"), 100.0, NOW)
    assert np.array_equal(wave.samples, np.array([0.5, -1.0, np.nan], np.float32), equal_nan=True)
    assert decoded.rejected == []


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        ({"t": 1, "s": b"\x00\x00"}, "not-a-number"),
        ({"t": 1, "fs": 0, "s": b"\x00\x00"}, "out-of-range"),
        ({"t": 1, "fs": 100, "s": b"\x00"}, "bad-shape"),
        ({"t": 1, "fs": 100, "s": "text"}, "bad-shape"),
        ({"t": 1, "fs": 100, "s": b"\x00\x01", "scale": 1e300}, "out-of-range"),
        ([1], "bad-shape"),
    ],
)
def test_a_bad_wave_chunk_is_named(decoder: Decoder, chunk: Any, reason: str) -> None:
    assert [r.reason for r in said(decoder, cbor2.dumps(chunk), WAVE).rejected] == [reason]


def test_a_wave_chunk_with_bytes_behind_it_is_named(decoder: Decoder) -> None:
    glued = cbor2.dumps({"t": 1, "fs": 100, "s": b"\x00\x00"}) + b"\x00"
    assert [r.reason for r in said(decoder, glued, WAVE).rejected] == ["not-json"]


# -- properties ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["heart_rate", "in_bed", "energy", "co2", "nonsense", "heartbeat", "temperature"])
NUMBERS = st.one_of(st.integers(-10, 400), st.floats(-10, 400), st.just(math.nan), st.booleans(), st.just("62"))
TIMES = st.one_of(
    st.none(),
    st.integers(NOW // 1_000_000 - 3 * 86_400_000, NOW // 1_000_000 + 1_200_000),
    st.integers(NOW - 2 * HOUR, NOW + 20 * MINUTE).map(lambda t: iso(t, "Asia/Tokyo")),
    st.sampled_from([0, "x", 10**40]),
)
OBJECTS = st.fixed_dictionaries({"v": st.dictionaries(NAMES, NUMBERS, max_size=4)}, optional={"t": TIMES})
TOPICS = st.builds(
    "mimamori/v1/{}/{}/readings".format,
    st.sampled_from(["h001", "h002", "h404"]),
    st.sampled_from(["bed1", "meter", "room", "bare"]),
)
PLAUSIBLE = st.one_of(OBJECTS, st.lists(OBJECTS, max_size=3)).map(lambda o: json.dumps(o).encode())
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=8))
KEYS = st.one_of(st.integers(-7, 9), st.sampled_from(["n", "v", "t", "bn", "bt", "bver", "u", "vb"]))
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
GARBAGE = st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode), TREES.map(cbor2.dumps))
MESSAGES = st.lists(
    st.builds(
        Message,
        topic=st.one_of(
            TOPICS, st.text(max_size=30),
            st.sampled_from([STATUS, WAVE, "bedco/h001/bed1/vitals", "tele/h001/plug/LWT", "zigbee2mqtt/h001/door"]),
        ),
        payload=st.one_of(PLAUSIBLE, GARBAGE),
        got=st.integers(NOW, NOW + MINUTE),
        retained=st.booleans(),
    ),
    max_size=12,
).map(lambda messages: sorted(messages, key=lambda m: m.got))  # fmt: skip


@given(messages=MESSAGES)
@settings(max_examples=300, deadline=None, suppress_health_check=SLOW_CHECK)
def test_no_message_raises_and_none_is_lost_uncounted(
    homes: Homes, metrics: Metrics, profiles: tuple[Profile, ...], messages: list[Message]
) -> None:
    decoder = Decoder(homes, metrics, profiles)
    for one in messages:
        decoded = decoder.decode([one], NOW)
        heard = len(decoded.batch) + len(decoded.rejected) + len(decoded.waves) + decoded.retained + decoded.missing
        assert heard > 0, one
        assert np.isfinite(decoded.batch.value).all()
        assert (decoded.batch.taken < decoded.batch.got + CLOCK_STEP).all()


@given(messages=MESSAGES)
@settings(max_examples=200, deadline=None, suppress_health_check=SLOW_CHECK)
def test_many_at_once_is_one_by_one(
    homes: Homes, metrics: Metrics, profiles: tuple[Profile, ...], messages: list[Message]
) -> None:
    together = Decoder(homes, metrics, profiles).decode(messages, NOW)
    decoder = Decoder(homes, metrics, profiles)
    alone = [decoder.decode([one], NOW) for one in messages]
    assert equal(together.batch, concat(d.batch for d in alone))
    assert together.rejected == [r for d in alone for r in d.rejected]
    assert len(together.waves) == sum(len(d.waves) for d in alone)
    assert (together.retained, together.missing) == (sum(d.retained for d in alone), sum(d.missing for d in alone))


def naive(message: Message, homes: Homes, metrics: Metrics) -> list[tuple[int, int, int, float, int, int, int]]:
    """The contract for objects and arrays on a device without profile, in the plainest words."""
    _, _, household, device, _ = message.topic.split("/")
    home, row = homes.find(household), homes.find_device(household, device)
    told = json.loads(message.payload)
    found = []
    for entry in told if isinstance(told, list) else [told]:
        taken, flags = naive_time(entry.get("t"), message.got)
        for name, value in entry["v"].items():
            metric = metrics.find(name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if taken and metric >= 0 and number and metrics[metric].low <= value <= metrics[metric].high:
                found.append((home, row, metric, float(value), taken, message.got, flags))
    return found


def naive_time(t: Any, got: int) -> tuple[int, int]:
    """(taken, flags); taken is 0 where the reading is set aside."""
    if t == "x":
        return 0, 0
    taken = got if t is None else t * 1_000_000
    if isinstance(t, str):
        taken = from_datetime(datetime.fromisoformat(t))
    if taken < 946_684_800 * SECOND or taken > got + 10 * MINUTE:
        return 0, 0
    if taken >= got + CLOCK_STEP:
        return taken, CLOCK
    return taken, HISTORICAL if taken < got - 10 * MINUTE else 0


@given(payloads=st.lists(PLAUSIBLE, max_size=8))
@settings(max_examples=200, deadline=None, suppress_health_check=SLOW_CHECK)
def test_equals_its_naive_twin(homes: Homes, metrics: Metrics, payloads: list[bytes]) -> None:
    gots = range(NOW, 2 * NOW, CLOCK_STEP)
    messages = [message(p, "mimamori/v1/h002/bare/readings", got=at) for p, at in zip(payloads, gots, strict=False)]
    batch = Decoder(homes, metrics, ()).decode(messages, NOW).batch
    columns = (batch.home, batch.device, batch.metric, batch.value, batch.taken, batch.got, batch.flags)
    ours = list(zip(*(c.tolist() for c in columns), strict=True))
    assert ours == [row for one in messages for row in naive(one, homes, metrics)]


def test_a_payload_at_the_limit_is_read(decoder: Decoder) -> None:
    core = b'{"v":{"heart_rate":62},"pad":"'
    payload = core + b"x" * (MAX_PAYLOAD - len(core) - 2) + b'"}'
    assert len(said(decoder, payload).batch) == 1
    assert said(decoder, payload + b" ").rejected[0].reason == "too-large"
