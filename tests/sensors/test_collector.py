"""The collector against real brokers: nothing is acknowledged before `done`, nothing is lost, memory stays bounded."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count

import aiomqtt
import pytest

from mimamori.sensors.broker import Broker
from mimamori.sensors.collector import Collector, Delivery
from mimamori.sensors.route import topic_of
from mimamori.sensors.sample import MAX_PAYLOAD

from .conftest import Mosquitto, until

TOPIC = topic_of("h001", "bed1")
Serve = Callable[[], AbstractAsyncContextManager[Mosquitto]]


def collector(url: str, client_id: str = "site", limit: int = 20_000) -> Collector:
    return Collector(url=url, client_id=client_id, clock=count(1).__next__, limit=limit, seed=7)


@asynccontextmanager
async def device(url: str) -> AsyncIterator[aiomqtt.Client]:
    host, _, port = url.removeprefix("mqtt://").partition(":")
    async with aiomqtt.Client(host, int(port)) as client:
        yield client


async def ready(c: Collector) -> None:
    assert await c.wait_connected(10)
    await until(lambda: c.counts.subscribed > 0)


async def gather(c: Collector, n: int, *, done: bool = True) -> list[bytes]:
    """Payloads as they come until n are there."""
    found: list[bytes] = []
    async with asyncio.timeout(15):
        while len(found) < n:
            await c.wait(1)
            delivery = c.take()
            found += [m.payload for m in delivery.messages]
            if done:
                c.done(delivery)
    return found


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.server), "embedded"])
async def url(request: pytest.FixtureRequest, mosquitto: Serve) -> AsyncIterator[str]:
    if request.param == "mosquitto":
        async with mosquitto() as server:
            yield server.url
    else:
        async with Broker() as broker:
            yield broker.url


async def test_messages_come_in_order_with_their_marks(url: str) -> None:
    async with collector(url) as c, device(url) as d:
        await ready(c)
        assert len(c.take()) == 0
        for i in range(250):  # more than the embedded broker's window
            await d.publish(TOPIC, b"%d" % i, qos=1)
        assert await gather(c, 250) == [b"%d" % i for i in range(250)]
        await d.publish(TOPIC, b"quick", qos=0)
        await c.wait(5)
        [message] = c.take().messages
        assert (message.topic, message.payload, message.retained) == (TOPIC, b"quick", False)
        assert message.got == 251
        assert c.counts.acknowledged == 250


async def test_nothing_is_acknowledged_before_done(url: str) -> None:
    async with device(url) as d:
        first = collector(url)
        async with first:
            await ready(first)
            for i in range(20):
                await d.publish(TOPIC, b"%d" % i, qos=1)
            deliveries = [await one(first)]
            while sum(map(len, deliveries)) < 20:
                deliveries.append(await one(first))
            assert first.counts.acknowledged == 0
        for i in range(20, 30):  # while we are away
            await d.publish(TOPIC, b"%d" % i, qos=1)
        async with collector(url) as second:
            assert await gather(second, 30) == [b"%d" % i for i in range(30)]
            for delivery in deliveries:  # marks of a connection that is gone acknowledge nothing
                second.done(delivery)
            assert second.counts.acknowledged == 30
        async with collector(url) as third:
            await ready(third)
            await d.publish(TOPIC, b"last", qos=1)
            assert await gather(third, 1) == [b"last"]


async def test_a_killed_collector_gets_all_again(url: str) -> None:
    script = (
        "import asyncio, sys\n"
        "from mimamori.sensors.collector import Collector\n"
        "async def main():\n"
        "    async with Collector(url=sys.argv[1], client_id='site', clock=lambda: 1) as c:\n"
        "        n = 0\n"
        "        while True:\n"
        "            await c.wait(1)\n"
        "            delivery = c.take()\n"
        "            n += len(delivery)\n"
        "            if n <= 10:\n"
        "                c.done(delivery)\n"
        "            print(c.counts.subscribed, n, flush=True)\n"
        "asyncio.run(main())\n"
    )
    doomed = await asyncio.create_subprocess_exec(sys.executable, "-c", script, url, stdout=asyncio.subprocess.PIPE)
    assert doomed.stdout is not None
    try:
        async with device(url) as d, asyncio.timeout(20):
            while (await doomed.stdout.readline()).split()[:1] != [b"1"]:
                continue
            for i in range(10):
                await d.publish(TOPIC, b"%d" % i, qos=1)
            while (await doomed.stdout.readline()).split()[1:] != [b"10"]:
                continue
            for i in range(10, 60):
                await d.publish(TOPIC, b"%d" % i, qos=1)
            while (await doomed.stdout.readline()).split()[1:] != [b"60"]:
                continue
            doomed.kill()
            await doomed.wait()
            async with collector(url) as c:
                again = await gather(c, 50)
                assert again[-50:] == [b"%d" % i for i in range(10, 60)]
    finally:
        if doomed.returncode is None:
            doomed.kill()
            await doomed.wait()


async def one(c: Collector) -> Delivery:
    assert await c.wait(10)
    return c.take()


async def test_acknowledgements_keep_the_order_of_arrival(url: str) -> None:
    async with collector(url) as c, device(url) as d:
        await ready(c)
        await d.publish(TOPIC, b"a", qos=1)
        first = await one(c)
        await d.publish(TOPIC, b"b", qos=1)
        second = await one(c)
        c.done(second)
        assert (c.counts.acknowledged, c.held) == (0, 2)
        c.done(first)
        assert (c.counts.acknowledged, c.held) == (2, 0)


async def test_a_huge_payload_does_no_harm(url: str) -> None:
    async with collector(url) as c, device(url) as d:
        await ready(c)
        await d.publish(TOPIC, b"x" * 10_000_000, qos=1, timeout=20)
        await d.publish(TOPIC, b"small", qos=1)
        huge, small = await gather(c, 2)
        assert len(huge) == MAX_PAYLOAD + 1
        assert small == b"small"
        assert c.counts.clipped == 1


async def test_a_slow_store_slows_the_broker_instead_of_filling_memory(url: str) -> None:
    async with collector(url, limit=50) as c, device(url) as d:
        await ready(c)
        await asyncio.gather(*(d.publish(TOPIC, b"%d" % i, qos=1) for i in range(400)))
        await until(lambda: c.held >= 50)
        seen = []
        while len(seen) < 400:
            assert c.held <= 400
            seen += await gather(c, 1)
        assert seen == [b"%d" % i for i in range(400)]
        assert (c.held, c.counts.acknowledged) == (0, 400)


async def test_a_retained_message_is_marked(url: str) -> None:
    status = topic_of("h001", "bed1", "status")
    async with device(url) as d:
        await d.publish(status, b"online", qos=1, retain=True)
        async with collector(url) as c:
            [message] = (await one(c)).messages
            assert (message.payload, message.retained) == (b"online", True)


async def test_vendors_topics_are_subscribed_too(url: str) -> None:
    c = Collector(url=url, client_id="site", clock=lambda: 5, topics=("bedco/+/+/vitals",))
    async with c, device(url) as d:
        await ready(c)
        await d.publish("bedco/h001/bed1/vitals", b"{}", qos=1)
        await d.publish("bedco/h001/bed1/other", b"{}", qos=1)
        await d.publish(TOPIC, b"end", qos=1)
        assert await gather(c, 2) == [b"{}", b"end"]


@pytest.mark.server
async def test_the_receive_maximum_bounds_what_mosquitto_sends(mosquitto: Serve) -> None:
    async with mosquitto() as server, collector(server.url, limit=50) as c, device(server.url) as d:
        await ready(c)
        for i in range(200):
            await d.publish(TOPIC, b"%d" % i, qos=1)
        await d.publish(TOPIC, b"quick", qos=0)  # passes by those that wait
        waiting: list[Delivery] = []
        async with asyncio.timeout(10):
            while not waiting or waiting[-1].messages[-1].payload != b"quick":
                waiting.append(await one(c))
        assert [m.payload for w in waiting for m in w.messages] == [*(b"%d" % i for i in range(50)), b"quick"]
        assert c.counts.pauses == 0
        for delivery in waiting:
            c.done(delivery)
        assert await gather(c, 150) == [b"%d" % i for i in range(50, 200)]


@pytest.mark.server
async def test_reading_pauses_when_unacknowledged_messages_flood_in(mosquitto: Serve) -> None:
    async with mosquitto() as server, collector(server.url, limit=50) as c, device(server.url) as d:
        await ready(c)
        payload = b"x" * 60_000
        for _ in range(300):
            await d.publish(TOPIC, payload, qos=0)  # QoS 0 knows no receive maximum
        await until(lambda: c.counts.pauses > 0)
        assert 100 <= c.held < 110  # twice the limit, and what one read held besides
        before = c.held
        c.done(c.take())
        assert c.held == 0
        assert len(await gather(c, 300 - before)) == 300 - before


@pytest.mark.server
@pytest.mark.parametrize("kill", [False, True])
async def test_a_broker_that_comes_back_is_found_again(mosquitto: Serve, *, kill: bool) -> None:
    async with mosquitto() as server, collector(server.url) as c:
        await ready(c)
        async with device(server.url) as d:
            await d.publish(TOPIC, b"before", qos=1)
        assert await gather(c, 1) == [b"before"]
        await server.stop(kill=kill)
        await until(lambda: not c.connected)
        await server.start()
        await until(lambda: c.connected and c.counts.subscribed >= 2)
        async with device(server.url) as d:
            await d.publish(TOPIC, b"after", qos=1)
        assert await gather(c, 1) == [b"after"]
        assert c.counts.connects == 2


@pytest.mark.server
async def test_what_is_not_done_survives_a_restart_of_mosquitto(mosquitto: Serve) -> None:
    async with mosquitto() as server, collector(server.url) as c:
        await ready(c)
        async with device(server.url) as d:
            for i in range(10):
                await d.publish(TOPIC, b"%d" % i, qos=1)
        held = await gather(c, 10, done=False)
        await server.stop()
        await until(lambda: not c.connected)
        await server.start()
        assert await gather(c, 10) == held
        assert c.counts.redelivered == 10


async def test_a_broker_that_is_not_there_is_waited_for(unused: int) -> None:
    async with collector(f"mqtt://127.0.0.1:{unused}") as c:
        await until(lambda: c.counts.failures >= 2)
        assert not c.connected
        async with Broker(port=unused) as broker, device(broker.url) as d:
            await ready(c)
            await d.publish(TOPIC, b"at last", qos=1)
            assert await gather(c, 1) == [b"at last"]


@pytest.fixture
def unused() -> int:
    return Broker().port


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "127.0.0.1:1883", "tcp://host:1"])
def test_a_bad_url_is_refused_with_the_mend(url: str) -> None:
    with pytest.raises(ValueError, match="write mqtt://host:1883"):
        collector(url)
