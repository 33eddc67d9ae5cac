"""Decoding of anything at all: it never raises, counts what it sets aside, and equals a naive twin."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

import cbor2
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import CLOCK, HISTORICAL, ReadingBatch, concat
from mimamori.model.times import HOUR, MINUTE, SECOND, from_datetime, iso
from mimamori.sensors.decode import CLOCK_STEP, Decoder, Message
from mimamori.sensors.profile import Profile

from .conftest import NOW, STATUS, WAVE, message

SLOW_CHECK = [HealthCheck.function_scoped_fixture]


def equal(a: ReadingBatch, b: ReadingBatch) -> bool:
    columns = ("home", "device", "metric", "value", "taken", "got", "flags")
    return all(np.array_equal(getattr(a, c), getattr(b, c)) for c in columns) and all(
        getattr(a, c).dtype == getattr(b, c).dtype for c in columns
    )


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
