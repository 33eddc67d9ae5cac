"""The collector: one persistent MQTT session, whose messages are acknowledged only after the service says so.

The only file that imports gmqtt. May import model and sensors.decode. Reads no clock: one is passed in. Never raises
out of the library's callbacks, and never holds more than it was allowed to.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import gmqtt
import numpy as np
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

from mimamori.sensors.decode import Message
from mimamori.sensors.profile import TOPIC_ROOT
from mimamori.sensors.sample import MAX_PAYLOAD

FILTER = f"{TOPIC_ROOT}/+/+/+"
KEEPALIVE = 20  # s; a dead link is noticed within 50 s
SESSION_KEPT = 14 * 86_400  # s; how long the broker keeps our session while we are away
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
    acks: list[tuple[_Link, bytearray]] = field(default_factory=list)
    safe: bool = False

    def __len__(self) -> int:
        return len(self.messages)


class _Link:
    """One connection: its client, and what is known of it."""

    def __init__(self, client: gmqtt.Client, *, modern: bool) -> None:
        self.client = client
        self.modern = modern  # MQTT 5
        self.lost = asyncio.Event()

    @property
    def alive(self) -> bool:
        return not self.lost.is_set()

    @property
    def transport(self) -> asyncio.Transport | None:
        connection = self.client._connection  # noqa: SLF001 - no public way to hold reading back
        return connection._transport if connection is not None else None  # noqa: SLF001

    def drop(self) -> None:
        """Closes without a word, so that no will of ours and no session end is told."""
        if self.alive and self.transport is not None:
            self.transport.abort()


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
        self._host, self._port, self._tls = _place(url)
        self._client_id, self._username, self._password = client_id, username, password
        self._clock = clock
        self._filters = (FILTER, *topics)
        self._limit = min(limit, 65_535)
        self._random = np.random.default_rng(seed)
        self._modern = True  # try MQTT 5 first; a broker that hangs up on it gets 3.1.1 the next time
        self._link: _Link | None = None
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
            await self._leave(link)

    async def _leave(self, link: _Link) -> None:
        """Says goodbye and lets the broker hang up: closing first could tear our last acknowledgements off."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(1):
                if link.transport is not None:
                    link.transport.write(b"\xe0\x00")  # DISCONNECT, the same in MQTT 3.1.1 and 5
                    await link.lost.wait()
        link.drop()

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
            if self._link is not None and self._link.transport is not None:
                self._link.transport.resume_reading()

    def _acknowledge(self, delivery: Delivery) -> None:
        self._held -= len(delivery)
        self._held_bytes -= delivery.size
        for link, acks in delivery.acks:
            transport = link.transport
            if link is self._link and link.alive and transport is not None and not transport.is_closing():
                transport.write(bytes(acks))
                self.counts.acknowledged += len(acks) // 4
            else:  # an id of an older connection may belong to another message by now
                self.counts.stale += len(acks) // 4

    @property
    def _full(self) -> bool:
        return self._held >= 2 * self._limit or self._held_bytes >= MAX_BYTES

    def _receive(self, link: _Link, mid: int, payload: bytes, topic: str | bytes, properties: dict[str, Any]) -> None:
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
            # A PUBACK of four bytes is the same in MQTT 3.1.1 and 5 (no reason given = success).
            fresh.acks[-1][1].extend(b"\x40\x02" + mid.to_bytes(2, "big"))
            self.counts.redelivered += bool(properties.get("dup"))
        self._arrived.set()
        if self._full and link.transport is not None and link.transport.is_reading():
            link.transport.pause_reading()
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

    async def _connect(self) -> _Link | None:
        link = self._make_link()
        self._link = link
        attempt = asyncio.create_task(self._greet(link))
        lost = asyncio.create_task(link.lost.wait())
        try:
            await asyncio.wait({attempt, lost}, timeout=CONNECT_WITHIN, return_when=asyncio.FIRST_COMPLETED)
            if attempt.done() and attempt.exception() is None and link.alive:
                self._subscribe(link)
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

    async def _greet(self, link: _Link) -> None:
        await link.client.connect(
            self._host,
            self._port,
            ssl=ssl.create_default_context() if self._tls else False,
            keepalive=KEEPALIVE,
            version=MQTTv50 if link.modern else MQTTv311,
        )

    def _refused(self, link: _Link, attempt: asyncio.Task[None]) -> None:
        self.counts.failures += 1
        error = attempt.exception() if attempt.done() and not attempt.cancelled() else None
        if error is None and link.transport is not None:
            self._modern = not link.modern  # it hung up without a word: perhaps it speaks the other version
            if link.modern:
                log.info("the broker hung up on MQTT 5; trying 3.1.1")
                return
        if self.counts.failures & (self.counts.failures - 1) == 0:  # 1st, 2nd, 4th, ...: say it, do not flood
            log.warning("no connection to the broker (attempt %d): %s", self.counts.failures, error or "no answer")

    def _make_link(self) -> _Link:
        session = {"session_expiry_interval": SESSION_KEPT, "receive_maximum": self._limit} if self._modern else {}
        client = gmqtt.Client(
            self._client_id, clean_session=False, optimistic_acknowledgement=False, logger=_silent(), **session
        )
        link = _Link(client, modern=self._modern)
        client.set_config({"reconnect_retries": -2})  # below its failures at any time: reconnecting is ours alone
        if self._username is not None:
            client.set_auth_credentials(self._username, self._password)
        client.on_disconnect = lambda *_: link.lost.set()
        client.on_subscribe = lambda _, __, codes, ___: self._subscribed(codes)
        client.on_message = lambda _, topic, payload, __, properties: self._receive(
            link, -1, payload, topic, properties
        )
        # The library tells a handler no packet id, so we stand where it would have acknowledged a QoS 1 message itself.
        client._package_handler._handle_qos_1_publish_packet = (  # noqa: SLF001
            lambda mid, payload, topic, properties: self._receive(link, mid, payload, topic, properties)
        )
        return link

    def _subscribed(self, codes: Sequence[int]) -> None:
        self.counts.subscribed += 1
        for name, code in zip(self._filters, codes, strict=False):
            if code >= 128:
                self.counts.refused += 1
                log.error("the broker refuses the subscription to %s (code %d)", name, code)

    def _subscribe(self, link: _Link) -> None:
        handling = 1 if link.modern else 0  # MQTT 5: retained messages only to a new session, not at each reconnect
        link.client.subscribe(
            [gmqtt.Subscription(name, qos=1, retain_handling_options=handling) for name in self._filters]
        )


def _place(url: str) -> tuple[str, int, bool]:
    """(host, port, TLS) of a broker's URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        msg = f'broker URL "{parts.scheme}://{parts.hostname or ""}": write mqtt://host:1883 or mqtts://host:8883'
        raise ValueError(msg)
    tls = parts.scheme == "mqtts"
    return parts.hostname, parts.port or (8883 if tls else 1883), tls


async def _set_within(event: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        return event.is_set()
    return True


def _silent() -> logging.Logger:
    """The library's log goes nowhere: it would write payloads, and we count and tell what matters."""
    logger = logging.getLogger("mimamori.gmqtt")
    logger.disabled = True
    return logger
