"""Simulated households on a broker, as their devices would publish: real topics, payloads, births and last wills.

May import model, sensors and days. Reads no clock: the wiring passes one in. The only MQTT import of the simulator.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol
from urllib.parse import urlsplit

import aiomqtt
import numpy as np

from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch
from mimamori.model.times import SECOND
from mimamori.sensors.encode import Sample, encode_readings
from mimamori.sensors.route import topic_of
from mimamori.simulator.households import SimulatedHome

log = logging.getLogger(__name__)
_METRICS = Metrics()
_TOGETHER = 8  # messages on their way at once over one connection (aiomqtt warns above ten)
_WAITING = 2_000  # messages a gateway holds back before the whole simulation waits for it
_AT_ONCE = 500  # messages encoded before other tasks get a turn
_TICK_SECONDS = 0.05  # wall time between two looks at what is due
_AGAIN_SECONDS = 1.0  # wall time before a gateway that lost its broker tries again
_FAREWELL_SECONDS = 0.4


class Clock(Protocol):
    """The time of the simulated world, given by the wiring; may run faster than ours."""

    def now(self) -> int:
        """Nanoseconds UTC."""
        ...

    async def sleep_until(self, at: int) -> None:
        """Returns when now() has reached `at`."""
        ...


Message = tuple[str, bytes]


async def publish(
    url: str,
    homes: Sequence[SimulatedHome],
    chunks: Iterable[ReadingBatch],
    *,
    clock: Clock,
    speed: float,
    username: str | None = None,
    password: str | None = None,
    connections: int = 256,
) -> int:
    """Publishes batches made with order="sent", each reading when the clock reaches the time it is sent; QoS 1.

    Returns how many messages the broker acknowledged. One connection a household (its gateway) up to `connections`,
    shared beyond that; a lost broker is tried again for ever, with nothing dropped. What is due in the same 50 ms of
    wall time (times `speed`) goes out together. On cancellation every device says offline and the connections close.
    Raises ValueError for a URL that is not mqtt:// or mqtts://.
    """
    address = _address(url, username, password)
    count = min(connections, len(homes))
    trouble = _Trouble()
    lines = [
        _Line(address=address, name=f"simulator-{n}", homes=homes[n::count], trouble=trouble) for n in range(count)
    ]
    devices = [(topic_of(home.id, d.id), lines[i % count]) for i, home in enumerate(homes) for d in home.devices]
    async with asyncio.TaskGroup() as tasks:
        for line in lines:
            tasks.create_task(line.run(), name=line.name)
        pace = _Pace(clock=clock, span=int(speed * _TICK_SECONDS * SECOND), devices=devices, seq=[0] * len(devices))
        batches = iter(chunks)
        ahead = tasks.create_task(_next(batches))
        while (chunk := await ahead) is not None:
            ahead = tasks.create_task(_next(batches))
            await pace.send(chunk)
        for line in lines:
            await line.waiting.put(None)
    return sum(line.acknowledged for line in lines)


async def _next(batches: Iterator[ReadingBatch]) -> ReadingBatch | None:
    """The next batch, made in a thread: a new day of many households takes a second or two."""
    return await asyncio.to_thread(next, batches, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    host: str
    port: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None


def _address(url: str, username: str | None, password: str | None) -> _Address:
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        msg = f'"{url.partition("@")[2] or url}" is no broker; write mqtt://HOST:PORT or mqtts://HOST:PORT'
        raise ValueError(msg)
    safe = parts.scheme == "mqtts"
    return _Address(
        host=parts.hostname, port=parts.port or (8883 if safe else 1883), username=username or parts.username,
        password=password or parts.password, tls=ssl.create_default_context() if safe else None,
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class _Pace:
    """Turns batches into messages when they are due. devices: (topic, line) by device row; seq: next number of each."""

    clock: Clock
    span: int
    devices: Sequence[tuple[str, _Line]]
    seq: list[int]

    async def send(self, chunk: ReadingBatch) -> None:
        edges = _messages(chunk)
        sent = chunk.got[edges[:-1]]
        done = 0
        while done < len(sent):
            await self.clock.sleep_until(int(sent[done]) + self.span)
            due = max(int(np.searchsorted(sent, self.clock.now(), side="right")), done + 1)
            due = min(due, done + _AT_ONCE)
            await self._encode(chunk, edges[done : due + 1].tolist())
            done = due

    async def _encode(self, chunk: ReadingBatch, edges: Sequence[int]) -> None:
        low, high = edges[0], edges[-1]
        devices, values = chunk.device[low:high].tolist(), chunk.value[low:high].tolist()
        names = [_METRICS[m].name for m in chunk.metric[low:high].tolist()]
        taken = chunk.taken[low:high].tolist()
        for first, last in pairwise(edges):
            a, b = first - low, last - low
            device = devices[a]
            told = {n: int(v) if v.is_integer() else v for n, v in zip(names[a:b], values[a:b], strict=True)}
            topic, line = self.devices[device]
            sample = Sample(taken=taken[a], values=told, seq=self.seq[device])
            self.seq[device] += 1
            await line.waiting.put((topic, encode_readings([sample])))
        await asyncio.sleep(0)


def _messages(chunk: ReadingBatch) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Edges of the runs of rows that one device sends as one message; the rows are sorted by time sent and device."""
    if not len(chunk):
        return np.zeros(1, np.intp)
    new = (
        (np.diff(chunk.device) != 0) | (np.diff(chunk.got) != 0) | (np.diff(chunk.taken) != 0)
        | (np.diff(chunk.metric) <= 0)
    )  # fmt: skip
    return np.concatenate([[0], np.flatnonzero(new) + 1, [len(chunk)]]).astype(np.intp)


@dataclass(slots=True)
class _Trouble:
    """Says what is wrong with the broker once, not once a gateway and second."""

    said: set[str] = field(default_factory=set)

    def tell(self, name: str, words: str) -> None:
        if words not in self.said:
            self.said.add(words)
            log.warning("%s and perhaps others: %s; each tries again until it works", name, words)


@dataclass(slots=True, kw_only=True)
class _Line:
    """One connection: births, readings in order, farewell. Keeps what is not acknowledged and sends it again."""

    address: _Address
    name: str
    homes: Sequence[SimulatedHome]
    trouble: _Trouble = field(default_factory=_Trouble)
    waiting: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(_WAITING))
    acknowledged: int = 0
    _unsent: list[Message] = field(default_factory=list)
    _ended: bool = False

    async def run(self) -> None:
        while not self._ended:
            try:
                async with self._client() as client:
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                self.trouble.tell(self.name, str(error))
                await asyncio.sleep(_AGAIN_SECONDS)

    def _client(self) -> aiomqtt.Client:
        # One will a connection is all MQTT has: the gateway's, where the connection is one household's.
        will = aiomqtt.Will(_status(self.homes[0].id, "gateway"), b"offline", qos=1, retain=True)
        at = self.address
        return aiomqtt.Client(
            at.host, at.port, username=at.username, password=at.password, identifier=self.name,
            will=will if len(self.homes) == 1 else None, keepalive=30, timeout=5, tls_context=at.tls,
        )  # fmt: skip

    async def _serve(self, client: aiomqtt.Client) -> None:
        try:
            for topic in self._statuses():
                await client.publish(topic, b"online", qos=1, retain=True)
            while not self._ended:
                _heed_cancellation()
                await self._flush(client)
                await self._fetch()
            await self._flush(client)
        finally:
            await self._farewell(client)

    async def _fetch(self) -> None:
        message = await self.waiting.get()
        while message is not None:
            self._unsent.append(message)
            if len(self._unsent) >= _TOGETHER or self.waiting.empty():
                return
            message = self.waiting.get_nowait()
        self._ended = True

    async def _flush(self, client: aiomqtt.Client) -> None:
        if self._unsent:
            await asyncio.gather(*(client.publish(topic, payload, qos=1) for topic, payload in self._unsent))
            self.acknowledged += len(self._unsent)
            self._unsent.clear()

    async def _farewell(self, client: aiomqtt.Client) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                for topics in _by(self._statuses(), _TOGETHER):
                    await asyncio.gather(*(client.publish(t, b"offline", qos=1, retain=True) for t in topics))
        except (aiomqtt.MqttError, TimeoutError):
            return  # the broker is gone, or will say it for us

    def _statuses(self) -> list[str]:
        return [_status(home.id, device.id) for home in self.homes for device in home.devices]


def _by(topics: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The topics by so many; itertools has it from Python 3.12 on."""
    return (topics[i : i + size] for i in range(0, len(topics), size))


def _heed_cancellation() -> None:
    """Raises CancelledError if the task was cancelled: aiomqtt waits with asyncio.wait_for, which (in Python 3.11)
    loses a cancellation that comes in the same turn as what it waits for.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _status(household: str, device: str) -> str:
    return topic_of(household, device, "status")
