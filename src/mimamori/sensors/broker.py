"""The embedded broker: a real MQTT broker in a child process, for the demo, tests and one-machine sites.

May import nothing of mimamori. Wraps iotcore (rumqttd), on 127.0.0.1 only, MQTT 3.1.1. It keeps sessions and
unacknowledged messages in memory: they survive a restart of the service, not one of the broker, so production uses
mosquitto.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import iotcore

WINDOW = 100
"""Messages the broker sends a client unacknowledged (fixed in rumqttd): acknowledge as they come, not once a tick."""
START_WITHIN, STOP_WITHIN = 10.0, 1.5  # s
_HOST = "127.0.0.1"


class Broker:
    """`async with Broker() as b`: listening at `b.url` inside the block, gone within 2 s after it.

    port: 0 takes a free one. username and password: both or neither; without them every local client is let in.
    Raises OSError if the port is taken, ValueError for a user name without password.
    """

    def __init__(self, *, port: int = 0, username: str | None = None, password: str | None = None) -> None:
        if (username is None) != (password is None):
            msg = "the embedded broker takes a user name and a password, or neither"
            raise ValueError(msg)
        self.port = port or _free_port()
        self._auth = {username: password} if username is not None else {}
        self._broker: iotcore.Broker | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"mqtt://{_HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mimamori-broker-")  # readable by its owner only
        path = Path(self._folder.name) / "broker.toml"
        path.write_text(_settings(self.port, self._auth), encoding="utf-8")
        try:
            self._broker = iotcore.Broker(config_path=str(path)).start(START_WITHIN)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        if self._broker is not None:
            self._broker.stop(STOP_WITHIN)
            self._broker = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _settings(port: int, auth: dict[str, str | None]) -> str:
    """The broker's own TOML. A JSON string is a TOML string. The payload limit is above every limit of ours, so that
    the service sees the mistake and names its sender.
    """
    users = "".join(f"{_quoted(user)} = {_quoted(word)}\n" for user, word in auth.items())
    return f"""\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "mimamori"
listen = "{_HOST}:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 10000
max_payload_size = 16777216
max_inflight_count = {WINDOW}
""" + (f"[v4.1.connections.auth]\n{users}" if auth else "")


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
