"""Messages without a time stamp: one that comes again is told the arrival of its first coming.

May import nothing of mimamori. Pure but for its own memory, which `fresh` hands out to be kept with the readings.

A reading without a stamp is keyed by its arrival, so a message that comes twice would be two readings. It comes again
in two ways. The broker sends it again when our acknowledgement did not arrive: marked DUP, under the packet id of the
first time (MQTT 3.1.1, 4.4), among the next RECALL messages; packet ids go round only after 65,535. Or the device
sends it again to the broker, which knows nothing of it: then only a counter in the payload (`seq`) can tell. What is
recognised is not dropped, only given its first arrival: were it wrong to say so, or never stored, it is stored now.

Two messages of one device are never given the same time, as they would be when a backlog comes within a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Protocol
from zlib import crc32

import numpy as np

RECALL = 60_000
"""Messages after which a packet id says nothing any more; the broker's window and what it acknowledged in the two
seconds between two of its saves are fewer."""
COUNTED = 8
"""Messages of a device whose counter is remembered: as many as a small device has on their way at once."""
RESTARTED = 1
"""A counter this low has begun anew, and nothing before it counts: a device may restart with every message."""
AGAIN = 2
"""Times one counted message is recognised. A counter that stands still (at 255) must not swallow what follows."""
APART = 1000  # ns
WORDS = 24
"""Bits of a key for the words, besides 40 for the topic: those alone keep the counters of two devices apart."""
MARK = np.dtype([("key", "<u8"), ("got", "<i8"), ("at", "<i8"), ("seq", "<i8"), ("mid", "<i4")])


class Arrived(Protocol):
    """What is asked of a message; see `decode.Message`."""

    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def got(self) -> int: ...
    @property
    def mid(self) -> int: ...
    @property
    def dup(self) -> bool: ...


class Unstamped:
    """The memory. marks: what `fresh` gave before a restart, oldest first."""

    def __init__(self, marks: Iterable[bytes] = ()) -> None:
        self._by_mid: dict[int, tuple[int, int, int]] = {}  # packet id -> (key, got, messages before it)
        self._counted: dict[int, list[list[int]]] = {}  # topic's sum -> the last [seq, key, got, times recognised]
        self._newest: dict[int, int] = {}  # topic's sum -> the newest time given
        self._sums: dict[str, int] = {}  # of topics of registered devices, so bounded
        self._passed = 0
        self._new: list[tuple[int, int, int, int, int]] = []
        for body in marks:
            for key, got, at, seq, mid in np.frombuffer(body, MARK).tolist():
                self._passed = at
                self._note(key, got, seq, mid)
        self._new.clear()

    def passed(self, messages: int) -> None:
        """So many more have come, stamped ones too: packet ids go on."""
        self._passed += messages

    def first(self, message: Arrived, seq: int | None) -> int:
        """Ns UTC when this message without a stamp came first: its own `got` unless it is known. seq: its counter.

        Later by so many microseconds as others of its topic came in the same millisecond.
        """
        key = self._sum_of(message.topic) << WORDS | crc32(message.payload) & ((1 << WORDS) - 1)
        counter = -1 if seq is None else seq
        got = self._redelivered(message, key)
        if got is None:
            got = self._sent_again(key, counter)
        first = max(message.got, self._newest.get(key >> WORDS, 0) + APART) if got is None else got
        self._note(key, first, counter, message.mid)
        return first

    def fresh(self) -> bytes:
        """Marks of what was asked about since the last time; b"" for none."""
        marks, self._new = self._new, []
        return np.array(marks, MARK).tobytes() if marks else b""

    def _sum_of(self, topic: str) -> int:
        known = self._sums.get(topic)
        if known is None:
            known = self._sums[topic] = int.from_bytes(blake2b(topic.encode(), digest_size=5).digest(), "big")
        return known

    def _redelivered(self, message: Arrived, key: int) -> int | None:
        if not message.dup:
            return None
        known = self._by_mid.get(message.mid)
        return known[1] if known and known[0] == key and self._passed - known[2] < RECALL else None

    def _sent_again(self, key: int, seq: int) -> int | None:
        counted = self._counted.get(key >> WORDS, [])
        # a counter that has never moved says nothing: its device may send the same number for ever
        for known in counted if len(counted) > 1 and seq > RESTARTED else ():
            if known[0] == seq and known[1] == key and known[3] < AGAIN:
                known[3] += 1
                return known[2]
        return None

    def _note(self, key: int, got: int, seq: int, mid: int) -> None:
        self._new.append((key, got, self._passed, seq, mid))
        self._newest[key >> WORDS] = max(got, self._newest.get(key >> WORDS, got))
        if mid >= 0:
            self._by_mid[mid] = (key, got, self._passed)
        if seq < 0:
            return
        counted = self._counted.setdefault(key >> WORDS, [])
        if any(known[0] == seq and known[1] == key and known[2] == got for known in counted):
            return
        if counted and seq <= counted[-1][0]:  # it has begun anew, gone round, or stands still
            counted.clear()
        counted.append([seq, key, got, 0])
        del counted[:-COUNTED]
