"""The collector: one persistent MQTT session, whose messages are acknowledged only after the service says so.

May import model, sensors.decode and sensors.link. Reads no clock: one is passed in. Never raises out of the library's
callbacks, and never holds more than it was allowed to.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from mimamori.sensors.decode import Message
from mimamori.sensors.link import Link, place_of, puback
from mimamori.sensors.profile import TOPIC_ROOT
from mimamori.sensors.sample import MAX_PAYLOAD

FILTER = f"{TOPIC_ROOT}/+/+/+"
CONNECT_WITHIN = 10.0  # s
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # s between attempts to connect: doubling, with jitter
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of payloads held at once, whatever their number: reading stops above this."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Counts:
    """Since the start. clipped: payloads cut at the door, too large to be read. redelivered: marked so by the broker.

    stale: acknowledgements not sent because the connection they belong to is gone (the broker sends those again).
    pauses: times reading stopped for want of room. subscribed: times the broker answered our
    subscriptions. refused: subscriptions it did not grant.
    """

    connects: int = 0
    failures: int = 0
    received: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    clipped: int = 0
    stale: int = 0
    pauses: int = 0
    subscribed: int = 0
    refused: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """Messages in order of arrival, to be given back to `done` once they are safe. size: bytes of their payloads.

    acks: the acknowledgements to send for them, by connection. safe: set by `done`.
    """

    messages: list[Message] = field(default_factory=list)
    size: int = 0
    acks: list[tuple[Link, bytearray]] = field(default_factory=list)
    safe: bool = False

    def __len__(self) -> int:
        return len(self.messages)


class Collector:
    """`async with Collector(...) as c`: connects in the background, again and again, until the block ends.

    url: `mqtt://host[:1883]` or `mqtts://host[:8883]`. client_id names the session at the broker: keep it the same from
    start to start, and use it once. clock: ns UTC, stamps `Message.got`. topics: filters besides the contract's.
    limit: messages an MQTT 5 broker may send unacknowledged (receive maximum, at most 65,535); with any broker, reading
    pauses when twice as many are held.
    seed: of the jitter between attempts. Raises ValueError for a URL it cannot read.
    """

    def __init__(
        self,
        *,
        url: str,
        client_id: str,
        clock: Callable[[], int],
        username: str | None = None,
        password: str | None = None,
        topics: Sequence[str] = (),
        limit: int = 20_000,
        seed: int | None = None,
    ) -> None:
        self._host, self._port, self._tls = place_of(url)
        self._client_id, self._sign_in = client_id, None if username is None else (username, password)
        self._clock = clock
        self._filters = (FILTER, *topics)
        self._limit = min(limit, 65_535)
        self._random = np.random.default_rng(seed)
        self._modern = True  # try MQTT 5 first; a broker that hangs up on it gets 3.1.1 the next time
        self._link: Link | None = None
        self._fresh = Delivery()
        self._open: deque[Delivery] = deque()  # taken, oldest first: acknowledgements keep the order of arrival
        self._held = self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._connected = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None
        self.counts = Counts()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        link = self._link
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._connected.clear()
        if link is not None and link.alive:
            await link.leave()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the line is up, as far as is known."""
        return self._connected.is_set()

    @property
    def held(self) -> int:
        """Messages in memory that are not yet acknowledged: taken or not."""
        return self._held

    async def wait_connected(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's tick sets it
        """True once connected, False after `timeout` seconds without."""
        return await _set_within(self._connected, timeout)

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109
        """True as soon as something is there to take or `wake` is called, False after `timeout` seconds without."""
        return await _set_within(self._arrived, timeout)

    def wake(self) -> None:
        """Whoever waits goes on at once, though there may be nothing to take."""
        self._arrived.set()

    def take(self) -> Delivery:
        """All messages received since the last time; empty when none. Give it back to `done` when they are safe."""
        delivery, self._fresh = self._fresh, Delivery()
        self._arrived.clear()
        if delivery.messages:
            self._open.append(delivery)
        return delivery

    def done(self, delivery: Delivery) -> None:
        """The messages are safe: acknowledges them to the broker, in order of arrival over all deliveries."""
        delivery.safe = True
        while self._open and self._open[0].safe:
            self._acknowledge(self._open.popleft())
        if not self._full and not self._room.is_set():
            self._room.set()
            if self._link is not None:
                self._link.go_on()

    def _acknowledge(self, delivery: Delivery) -> None:
        self._held -= len(delivery)
        self._held_bytes -= delivery.size
        for link, acks in delivery.acks:
            if link is self._link and link.acknowledge(acks):
                self.counts.acknowledged += len(acks) // 4
            else:  # an id of an older connection may belong to another message by now
                self.counts.stale += len(acks) // 4

    @property
    def _full(self) -> bool:
        return self._held >= 2 * self._limit or self._held_bytes >= MAX_BYTES

    def _receive(self, link: Link, mid: int, payload: bytes, topic: str | bytes, properties: dict[str, Any]) -> None:
        """The library's callback for one message, QoS 1 (mid >= 0) or QoS 0 (-1)."""
        if not isinstance(topic, str):  # bytes, where they were no UTF-8
            topic = topic.decode("utf-8", errors="replace")
        self.counts.received += 1
        if len(payload) > MAX_PAYLOAD:
            payload = payload[: MAX_PAYLOAD + 1]  # enough to be seen as too large
            self.counts.clipped += 1
        fresh = self._fresh
        fresh.messages.append(
            Message(
                topic=topic,
                payload=payload,
                got=self._clock(),
                retained=bool(properties.get("retain")),
                mid=mid,
                dup=bool(properties.get("dup")),
            )
        )
        fresh.size += len(payload)
        self._held += 1
        self._held_bytes += len(payload)
        if mid >= 0:
            if not fresh.acks or fresh.acks[-1][0] is not link:
                fresh.acks.append((link, bytearray()))
            fresh.acks[-1][1].extend(puback(mid))
            self.counts.redelivered += bool(properties.get("dup"))
        self._arrived.set()
        if self._full and link.pause():
            self._room.clear()
            self.counts.pauses += 1

    async def _keep_connected(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._room.wait()  # what the broker would send again has no place yet
            link = await self._connect()
            if link is not None:
                pause = FIRST_PAUSE
                await link.lost.wait()
                self._connected.clear()
                log.warning("the broker's connection is lost; trying again")
            await asyncio.sleep(pause * self._random.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connect(self) -> Link | None:
        link = Link(
            self._client_id, self._sign_in, modern=self._modern, limit=self._limit, received=self._receive,
            subscribed=self._subscribed,
        )  # fmt: skip
        self._link = link
        attempt = asyncio.create_task(link.greet(self._host, self._port, tls=self._tls))
        lost = asyncio.create_task(link.lost.wait())
        try:
            await asyncio.wait({attempt, lost}, timeout=CONNECT_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if attempt.done() and attempt.exception() is None and link.alive:
                link.subscribe(self._filters)
                self.counts.connects += 1
                self._connected.set()
                return link
            self._refused(link, attempt)
            return None
        finally:
            if not self._connected.is_set():
                link.drop()
            for task in (attempt, lost):
                task.cancel()
            await asyncio.gather(attempt, lost, return_exceptions=True)

    def _refused(self, link: Link, attempt: asyncio.Task[None]) -> None:
        self.counts.failures += 1
        error = attempt.exception() if attempt.done() and not attempt.cancelled() else None
        if error is None and link.reached:
            self._modern = not link.modern  # it hung up without a word: perhaps it speaks the other version
            if link.modern:
                log.info("the broker hung up on MQTT 5; trying 3.1.1")
                return
        if self.counts.failures & (self.counts.failures - 1) == 0:  # 1st, 2nd, 4th, ...: say it, do not flood
            log.warning("no connection to the broker (attempt %d): %s", self.counts.failures, error or "no answer")

    def _subscribed(self, codes: Sequence[int]) -> None:
        self.counts.subscribed += 1
        for name, code in zip(self._filters, codes, strict=False):
            if code >= 128:
                self.counts.refused += 1
                log.error("the broker refuses the subscription to %s (code %d)", name, code)


async def _set_within(event: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        return event.is_set()
    return True
