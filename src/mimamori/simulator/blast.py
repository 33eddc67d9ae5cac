"""A load of MQTT 3.1.1 messages, made as cheaply as possible: one connection, QoS 1, a household after the other.

May import nothing of mimamori. A process of its own, so that its processor time is not the service's: run as
`python -m mimamori.simulator.blast PORT RATE SECONDS HOUSEHOLDS`; prints how many were sent and acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

TURN_S = 0.02


class Line(asyncio.Protocol):
    """Writes what it is given and counts the broker's acknowledgements (four bytes each)."""

    def __init__(self) -> None:
        self.acknowledged = -1  # the CONNACK is four bytes as well
        self._bytes = 0
        self.transport: asyncio.Transport | None = None
        self.open = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says CONNECT: clean session, keep-alive of an hour."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(bytes((0x10, 17, 0, 4)) + b"MQTT" + bytes((4, 2, 14, 16, 0, 5)) + b"blast")

    def data_received(self, data: bytes) -> None:
        """CONNACK and PUBACKs."""
        self._bytes += len(data)
        self.acknowledged = self._bytes // 4 - 1
        self.open.set()

    def pause_writing(self) -> None:
        """The broker takes no more for now."""
        self._room.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._room.set()

    async def room(self) -> None:
        """Returns when the broker takes more."""
        await self._room.wait()


def packets(first: int, count: int, households: int, at_ms: int) -> bytes:
    """PUBLISH packets number first.. of a bed sensor each: four metrics, the time, QoS 1."""
    made = []
    for i in range(first, first + count):
        body = b'{"t":%d,"v":{"heart_rate":%d,"respiration_rate":%d,"body_movement":%d,"in_bed":1}}' % (
            at_ms, 55 + i % 30, 12 + i % 7, i % 40,
        )  # fmt: skip
        packet_id = i % 65_535 + 1
        rest = b"\x00\x21mimamori/v1/H%06d/bed1/readings" % (i % households) + packet_id.to_bytes(2, "big") + body
        made.append(bytes((0x32, len(rest) & 0x7F | 0x80, len(rest) >> 7)) + rest)
    return b"".join(made)


async def blast(  # noqa: PLR0917 - the command line's words
    port: int, rate: int, seconds: float, households: int, wall: Callable[[], int], stopwatch: Callable[[], int]
) -> dict[str, float]:
    """Sends at `rate` for so long and waits for the last acknowledgement. wall, stopwatch: ns."""
    line = Line()
    await asyncio.get_running_loop().create_connection(lambda: line, "127.0.0.1", port)
    await line.open.wait()
    assert line.transport is not None
    begun, sent, total = stopwatch(), 0, int(rate * seconds)
    while sent < total:
        owed = min(total, (stopwatch() - begun) * rate // 10**9) - sent
        if owed > 0:
            line.transport.write(packets(sent, owed, households, wall() // 1_000_000))
            sent += owed
        await line.room()
        await asyncio.sleep(TURN_S)
    took = (stopwatch() - begun) / 1e9
    while line.acknowledged < sent:
        await asyncio.sleep(TURN_S)
    line.transport.write(b"\xe0\x00")
    line.transport.close()
    return {"sent": sent, "acknowledged": line.acknowledged, "seconds": took}


if __name__ == "__main__":
    import time

    numbers = [int(word) for word in sys.argv[1:5]]
    told = asyncio.run(blast(numbers[0], numbers[1], numbers[2], numbers[3], time.time_ns, time.monotonic_ns))
    sys.stdout.write(json.dumps(told) + "\n")
