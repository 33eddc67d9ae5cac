"""A message without a time stamp that comes again is the same reading: laws of the memory, and a real mosquitto."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import aiomqtt
import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import NEVER, SECOND
from mimamori.sensors.collector import Collector, Delivery
from mimamori.sensors.decode import Decoder, Message
from mimamori.sensors.profile import Profile
from mimamori.sensors.unstamped import COUNTED, RECALL, Unstamped
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.readings import ReadingStore

from .conftest import Mosquitto, until

NOW, MS = 1_795_380_005 * SECOND, 1_000_000
BED, PLUG = "mimamori/v1/h001/bed1/readings", "mimamori/v1/h001/plug/readings"
Serve = Callable[[], AbstractAsyncContextManager[Mosquitto]]


def come(what: object, got: int, *, mid: int = -1, dup: bool = False, topic: str = BED) -> Message:
    payload = what if isinstance(what, bytes) else json.dumps(what).encode()
    return Message(topic=topic, payload=payload, got=NOW + got * MS, mid=mid, dup=dup)


def taken(decoder: Decoder, *messages: Message) -> list[float]:
    """Ms after NOW."""
    return [(int(t) - NOW) / MS for t in decoder.decode(messages, NOW).batch.taken]


SHAPES: Sequence[object] = (
    {"v": {"heart_rate": 60}},
    [{"v": {"heart_rate": 60}}],
    [{"n": "heart_rate", "v": 60}],  # SenML without a time
    [{"n": "heart_rate", "v": 60, "t": -5}],  # five seconds before its arrival
)


@pytest.mark.parametrize("what", SHAPES)
def test_a_redelivered_message_keeps_its_first_arrival(decoder: Decoder, what: object) -> None:
    [first] = taken(decoder, come(what, 100, mid=7))
    assert taken(decoder, come(what, 900, mid=7, dup=True)) == [first]
    assert taken(decoder, come(what, 1700, mid=7, dup=True)) == [first], "as often as it comes"
    [other] = taken(decoder, come(what, 1800, mid=8))
    assert other - first == 1700, "the same words of another message are another reading"


def test_a_backlog_within_one_millisecond_is_as_many_readings(decoder: Decoder) -> None:
    what = {"v": {"heart_rate": 60}}
    told = decoder.decode([come(what, 5, mid=i) for i in range(1, 300)], NOW).batch
    assert len(set(told.taken.tolist())) == 299
    assert (np.diff(told.taken) > 0).all(), "in the order in which they came"
    assert told.taken.max() - told.got.min() < MS
    assert not told.flags.any(), "the device's clock is not to blame"
    again = decoder.decode([come(what, 9000, mid=i, dup=True) for i in range(1, 300)], NOW).batch
    assert again.taken.tolist() == told.taken.tolist()


def test_the_word_online_is_known_again(decoder: Decoder) -> None:
    topic = BED.replace("readings", "status")
    told = [come(b"online", 5, mid=3, topic=topic), come(b"online", 90, mid=3, dup=True, topic=topic)]
    assert taken(decoder, *told) == [5, 5]


def test_only_the_same_words_under_the_same_id_are_the_same(decoder: Decoder) -> None:
    what = {"v": {"heart_rate": 60}}
    taken(decoder, come(what, 1, mid=7))
    assert taken(decoder, come({"v": {"heart_rate": 61}}, 2, mid=7, dup=True)) == [2]
    taken(decoder, come(what, 3, mid=8))
    assert taken(decoder, come({"v": {"power": 60}}, 4, mid=8, dup=True, topic=PLUG)) == [4]
    assert taken(decoder, come(what, 5, mid=9, dup=True)) == [5], "never heard of: it was lost before the disk"
    taken(decoder, come(what, 6, mid=10))
    decoder._unstamped.passed(RECALL)
    assert taken(decoder, come(what, 7, mid=10, dup=True)) == [7], "its id has gone round since"


def test_a_stamp_goes_before_all_that(decoder: Decoder) -> None:
    what = {"t": NOW // 1_000_000, "seq": 4, "v": {"heart_rate": 60}}
    assert taken(decoder, come(what, 100, mid=7), come(what, 200, mid=7, dup=True)) == [0, 0]
    assert decoder.decode([come(what, 300, mid=8)], NOW).marks == b"", "and costs nothing"


def counted(decoder: Decoder, seqs: Sequence[int], at: int = 0) -> list[float]:
    return taken(decoder, *(come({"seq": s, "v": {"heartbeat": 1}}, at + i) for i, s in enumerate(seqs)))


def test_a_counted_message_sent_again_by_its_device_keeps_its_first_arrival(decoder: Decoder) -> None:
    assert counted(decoder, [5, 6, 7, 5, 6, 7, 8, 8]) == [0, 1, 2, 0, 1, 2, 6, 6]
    words = [come({"seq": s, "v": {"heart_rate": 60 + i}}, 100 + i) for i, s in enumerate([9, 10, 10])]
    assert taken(decoder, *words) == [100, 101, 102], "other words are another message, whatever their number"


@pytest.mark.parametrize(
    "seqs",
    [
        [0] * 20,  # a device that starts anew for every message
        [0, 1, 2] * 20,
        [7] * 20,  # a counter that never moves
        [*range(8)] * 5,  # three bits
        [*range(4)] * 5,
        [*range(2, 2 + 2 * COUNTED)] * 3,  # its 0 and 1 were lost each time
    ],
)
def test_counters_that_begin_anew_or_stand_still_swallow_nothing(decoder: Decoder, seqs: list[int]) -> None:
    assert counted(decoder, seqs) == list(range(len(seqs)))


def test_a_counter_that_reaches_its_end_swallows_two_at_most(decoder: Decoder) -> None:
    at = counted(decoder, [*range(250, 256), *[255] * 30])
    assert at == [*range(6), 5, 5, *range(8, 36)]


def test_what_was_known_is_known_after_a_restart(homes: Homes, metrics: Metrics, profiles: tuple[Profile, ...]) -> None:
    rng = np.random.default_rng(4)
    whole, marks = Decoder(homes, metrics, profiles), list[bytes]()
    told = [
        come({"seq": i // 2, "v": {"heart_rate": 60 + i // 2 % 5}}, i, mid=int(rng.integers(1, 40)), dup=bool(i % 3))
        for i in range(200)
    ]
    parted, kept = whole, []
    for message in told:
        if rng.random() < 0.1:
            parted = Decoder(homes, metrics, profiles, Unstamped(marks))
        decoded = parted.decode([message], NOW)
        marks.append(decoded.marks)
        kept += decoded.batch.taken.tolist()
    assert kept == Decoder(homes, metrics, profiles).decode(told, NOW).batch.taken.tolist()


def test_two_devices_whose_topics_have_one_checksum_are_two(metrics: Metrics) -> None:
    homes = Homes()
    for household in ("plumless", "buckeroo"):  # of which CRC-32 makes no difference
        homes.add_device(household, "bed1")
    decoder = Decoder(homes, metrics, ())
    for at, household in enumerate(("plumless", "buckeroo")):
        topic = f"mimamori/v1/{household}/bed1/readings"
        words = [come({"seq": s, "v": {"heartbeat": 1}}, 10 * at + s, topic=topic) for s in (5, 6, 7)]
        assert taken(decoder, *words) == [10 * at + 5, 10 * at + 6, 10 * at + 7]


def test_a_vendors_counter_is_found_where_its_profile_says(homes: Homes, metrics: Metrics) -> None:
    vendor = Profile.model_validate({
        "name": "bed-sensor", "title": {"ja": "寝台", "en": "bed"}, "period": "10s", "silent_after": "1m",
        "metrics": {"heart_rate": {"unit": "1/min"}},
        "mapping": [{"topic": "bedco/{household}/{device}", "seq": "head.n", "values": {"heart_rate": {"path": "hr"}}}],
    })  # fmt: skip
    decoder = Decoder(homes, metrics, [vendor])
    words = [come({"head": {"n": n}, "hr": 60}, i, topic="bedco/h001/bed1") for i, n in enumerate([2, 3, 3, 2, 4])]
    assert taken(decoder, *words) == [0, 1, 1, 0, 4]


@pytest.fixture
def stores(tmp_path: Path, homes: Homes, metrics: Metrics) -> Callable[[], AbstractAsyncContextManager[ReadingStore]]:
    """Opens the same folder's store again and again."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ReadingStore]:
        store = await EmbeddedReadings.open(tmp_path / "readings", homes=homes, metrics=metrics)
        try:
            yield store
        finally:
            await store.close()

    return opened


async def heard(c: Collector, n: int) -> Delivery:
    """All n in one delivery."""
    await until(lambda: c.counts.received >= n)
    return c.take()


@pytest.mark.server
async def test_a_death_between_disk_and_acknowledgement_leaves_one_row_of_each(
    mosquitto: Serve, stores: Callable[[], AbstractAsyncContextManager[ReadingStore]], homes: Homes, metrics: Metrics,
    profiles: tuple[Profile, ...],
) -> None:  # fmt: skip
    clock = count(NOW, SECOND).__next__
    words = [{"v": {"heart_rate": 60 + i % 3, "in_bed": 1}} for i in range(50)]

    def collector() -> Collector:
        return Collector(url=server.url, client_id="site", clock=clock, seed=7)

    async with mosquitto() as server, aiomqtt.Client("127.0.0.1", server.port) as device:
        async with stores() as store, collector() as first:
            await until(lambda: first.counts.subscribed > 0)
            for word in words:
                await device.publish(BED, json.dumps(word), qos=1)
            delivery = await heard(first, 50)
            told = Decoder(homes, metrics, profiles, Unstamped(store.marks)).decode(delivery.messages, NOW)
            await store.append(told.batch, told.marks)  # on the disk; and then it dies, nothing acknowledged
            assert first._link is not None
            first._link.drop()
        for word in words[:5]:
            await device.publish(BED, json.dumps(word), qos=1)  # and these are new, in the same words
        async with stores() as store, collector() as second:
            delivery = await heard(second, 55)
            assert [m.dup for m in delivery.messages] == [True] * 50 + [False] * 5
            told = Decoder(homes, metrics, profiles, Unstamped(store.marks)).decode(delivery.messages, NOW)
            await store.append(told.batch, told.marks)
            second.done(delivery)
            for metric in ("heart_rate", "in_bed"):
                [series] = await store.scan("h001", NEVER, 2**62, [metric])
                assert len(series) == 55
