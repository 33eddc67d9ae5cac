"""Hearing what devices publish, to judge it: from a broker for a while, or from a recording of it.

May import sensors, model. Reads no clock: one is passed in.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from mimamori.model.times import from_datetime
from mimamori.sensors.heard import Heard

_QUIET_SECONDS = 1.0  # without a further message, the broker has told all it keeps
_LARGEST = 16 * 1024 * 1024


async def listen(
    url: str, topics: Sequence[str], seconds: float, clock: Callable[[], int], *, username: str | None = None,
    password: str | None = None, ready: Callable[[], None] = lambda: None,
) -> tuple[list[Heard], dict[str, bytes]]:  # fmt: skip
    """(what came within `seconds`, what the broker keeps at the end), messages in order of arrival.

    Subscribes at QoS 2 and with retain as published (MQTT 5), so that both are seen as the device sent them. clock: ns
    UTC. ready: called once subscribed. Raises OSError if the broker cannot be reached, refuses or speaks no MQTT 5.
    """
    try:
        kept = await _standing(url, topics, username, password)
        heard = [Heard(topic=t, payload=p, got=clock(), kept=True) for t, p in kept.items()]
        async with _client(url, username, password) as client:
            # The retained ones were asked for above: from here on only what is published now.
            options = SubscribeOptions(
                qos=2, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND
            )
            for topic in topics:
                await client.subscribe(topic, options=options)
            ready()
            try:
                async with asyncio.timeout(seconds):
                    async for m in client.messages:
                        heard.append(_heard(m, clock()))  # noqa: PERF401 - what came before the end is kept
            except TimeoutError:
                pass
        return heard, await _standing(url, topics, username, password)
    except aiomqtt.MqttError as error:
        need = "the kit needs a broker with MQTT 5 (mosquitto 1.6 or newer) and its log-in"
        msg = f"{urlsplit(url).hostname}: {error}; {need}"
        raise OSError(msg) from error


def _heard(message: aiomqtt.Message, got: int) -> Heard:
    return Heard(
        topic=message.topic.value, payload=bytes(message.payload), got=got, qos=message.qos, retained=message.retain
    )


def _client(url: str, username: str | None, password: str | None) -> aiomqtt.Client:
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        msg = f'"{url.partition("@")[2] or url}" is no broker; write mqtt://HOST:PORT or mqtts://HOST:PORT'
        raise ValueError(msg)
    safe = parts.scheme == "mqtts"
    limits: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.MaximumPacketSize = _LARGEST
    return aiomqtt.Client(
        parts.hostname, parts.port or (8883 if safe else 1883), username=username or parts.username,
        password=password or parts.password, tls_context=ssl.create_default_context() if safe else None,
        protocol=aiomqtt.ProtocolVersion.V5, clean_start=True, properties=limits, timeout=10,
    )  # fmt: skip


async def _standing(url: str, topics: Sequence[str], username: str | None, password: str | None) -> dict[str, bytes]:
    """Topic -> payload of what the broker keeps."""
    kept: dict[str, bytes] = {}
    async with _client(url, username, password) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        messages = aiter(client.messages)
        try:
            while True:
                async with asyncio.timeout(_QUIET_SECONDS):
                    message = await anext(messages)
                if message.retain:
                    kept[message.topic.value] = bytes(message.payload)
        except TimeoutError:
            return kept


def write_recording(path: Path, heard: Iterable[Heard]) -> None:
    """One JSON object a line: got (ISO 8601), topic, payload (text) or payload_base64, qos, retain, kept."""
    with path.open("w", encoding="utf-8") as file:
        for h in heard:
            told: dict[str, Any] = {"got": h.got, "topic": h.topic, "qos": h.qos, "retain": h.retained, "kept": h.kept}
            try:
                told["payload"] = h.payload.decode()
            except UnicodeDecodeError:
                told["payload_base64"] = base64.b64encode(h.payload).decode()
            file.write(json.dumps(told, ensure_ascii=False) + "\n")


def read_recording(path: Path) -> list[Heard]:
    """What `write_recording` wrote, or what `mosquitto_sub -F %j` printed. Raises ValueError naming the line."""
    heard = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                heard.append(_line(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                mend = "write one JSON object a line with got (or tst), topic and payload"
                msg = f"{path.name}:{number}: {error!r}; {mend}"
                raise ValueError(msg) from None
    return heard


def _line(told: dict[str, Any]) -> Heard:
    if "payload_base64" in told:
        payload = base64.b64decode(told["payload_base64"])
    else:
        plain = told.get("payload")
        payload = plain.encode() if isinstance(plain, str) else b"" if plain is None else json.dumps(plain).encode()
    when = told["got"] if "got" in told else told["tst"]
    retain = told.get("retain")
    ours = "got" in told  # mosquitto_sub tells retain only of what the broker kept
    return Heard(
        topic=told["topic"], payload=payload, got=_when(when), qos=told.get("qos"),
        retained=(None if retain is None else bool(retain)) if ours else None,
        kept=bool(told.get("kept")) if ours else bool(retain),
    )  # fmt: skip


def _when(told: float | str) -> int:
    """Ns UTC of an integer (ns), a float (s) or ISO 8601 with an offset, "Z+0900" as mosquitto_sub writes it too."""
    if isinstance(told, int):
        return told if abs(told) > 10**14 else told * 10**9
    if isinstance(told, float):
        return round(told * 1e6) * 1000
    at = datetime.fromisoformat(told.replace("Z+", "+").replace("Z-", "-"))
    if at.tzinfo is None:
        msg = f'"{told}" has no offset'
        raise ValueError(msg)
    return from_datetime(at)
