"""One connection to the broker: greet, subscribe, receive, acknowledge, hang up. MQTT 5 or 3.1.1.

The only file that imports gmqtt. May import nothing of ours. Reads no clock; what it is told of is handed on at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

KEEPALIVE = 20  # s; a dead link is noticed within 50 s
SESSION_KEPT = 14 * 86_400  # s; how long the broker keeps our session while we are away

Received = Callable[["Link", int, bytes, "str | bytes", dict[str, Any]], None]
"""Called for a message: link, packet id (-1 at QoS 0), payload, topic (bytes where it is no UTF-8), properties."""


class Link:
    """One attempt to connect, and the connection that comes of it. It does not connect again by itself.

    modern: MQTT 5, else 3.1.1. limit: messages an MQTT 5 broker may send unacknowledged. received: called for each
    message; subscribed: with the broker's codes for the filters, in their order. lost: set when the line is gone.
    """

    def __init__(
        self, client_id: str, sign_in: tuple[str, str | None] | None, *, modern: bool, limit: int, received: Received,
        subscribed: Callable[[Sequence[int]], None],
    ) -> None:  # fmt: skip
        self.modern, self.lost = modern, asyncio.Event()
        session = {"session_expiry_interval": SESSION_KEPT, "receive_maximum": limit} if modern else {}
        client = gmqtt.Client(
            client_id, clean_session=False, optimistic_acknowledgement=False, logger=_silent(), **session
        )
        client.set_config({"reconnect_retries": -2})  # below its failures at any time: reconnecting is not its task
        if sign_in is not None:
            client.set_auth_credentials(*sign_in)
        client.on_disconnect = lambda *_: self.lost.set()
        client.on_subscribe = lambda _, __, codes, ___: subscribed(codes)
        client.on_message = lambda _, topic, payload, __, properties: received(self, -1, payload, topic, properties)
        # The library tells a handler no packet id, so we stand where it would have acknowledged a QoS 1 message itself.
        client._package_handler._handle_qos_1_publish_packet = (  # noqa: SLF001
            lambda mid, payload, topic, properties: received(self, mid, payload, topic, properties)
        )
        self._client = client

    @property
    def alive(self) -> bool:
        return not self.lost.is_set()

    @property
    def reached(self) -> bool:
        """Whether there is or was a line, whatever the broker said on it."""
        return self._transport is not None

    @property
    def _transport(self) -> asyncio.Transport | None:
        connection = self._client._connection  # noqa: SLF001 - no public way to hold reading back
        return connection._transport if connection is not None else None  # noqa: SLF001

    async def greet(self, host: str, port: int, *, tls: bool) -> None:
        """Returns once the broker has accepted us. Raises whatever kept us from it; may wait for ever."""
        await self._client.connect(
            host,
            port,
            ssl=ssl.create_default_context() if tls else False,
            keepalive=KEEPALIVE,
            version=MQTTv50 if self.modern else MQTTv311,
        )

    def subscribe(self, filters: Sequence[str]) -> None:
        """Asks for them at QoS 1; the answer comes to `subscribed`."""
        handling = 1 if self.modern else 0  # MQTT 5: retained messages only to a new session, not at each reconnect
        self._client.subscribe([gmqtt.Subscription(name, qos=1, retain_handling_options=handling) for name in filters])

    def acknowledge(self, acks: bytes | bytearray) -> bool:
        """Sends acknowledgements made by `puback`; False where there is no line left to send them on."""
        transport = self._transport
        if not self.alive or transport is None or transport.is_closing():
            return False
        transport.write(bytes(acks))
        return True

    def pause(self) -> bool:
        """Reads no further, so that the broker keeps what comes; False if that was so already."""
        if self._transport is None or not self._transport.is_reading():
            return False
        self._transport.pause_reading()
        return True

    def go_on(self) -> None:
        """Reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def drop(self) -> None:
        """Closes without a word, so that no will of ours and no session end is told."""
        if self.alive and self._transport is not None:
            self._transport.abort()

    async def leave(self) -> None:
        """Says goodbye and lets the broker hang up: closing first could tear our last acknowledgements off."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(1):
                if self._transport is not None:
                    self._transport.write(b"\xe0\x00")  # DISCONNECT, the same in MQTT 3.1.1 and 5
                    await self.lost.wait()
        self.drop()


def puback(mid: int) -> bytes:
    """The acknowledgement of a message: the same four bytes in MQTT 3.1.1 and 5 (no reason given = success)."""
    return b"\x40\x02" + mid.to_bytes(2, "big")


def place_of(url: str) -> tuple[str, int, bool]:
    """(host, port, TLS) of a broker's URL: `mqtt://host[:1883]` or `mqtts://host[:8883]`. Raises ValueError else."""
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        msg = f'broker URL "{parts.scheme}://{parts.hostname or ""}": write mqtt://host:1883 or mqtts://host:8883'
        raise ValueError(msg)
    tls = parts.scheme == "mqtts"
    return parts.hostname, parts.port or (8883 if tls else 1883), tls


def _silent() -> logging.Logger:
    """The library's log goes nowhere: it would write payloads, and we count and tell what matters."""
    logger = logging.getLogger("mimamori.gmqtt")
    logger.disabled = True
    return logger
