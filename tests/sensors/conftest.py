"""Real brokers, real profiles: what the tests of this folder share."""

from __future__ import annotations

import asyncio
import json
import socket
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.times import SECOND
from mimamori.sensors.decode import Decoded, Decoder, Message
from mimamori.sensors.profile import Profile, declared_metrics, read_profiles

CONTENT = Path(__file__).parents[2] / "sensors"
NOW = 1_795_380_005 * SECOND
BED, STATUS, WAVE = (f"mimamori/v1/h001/bed1/{kind}" for kind in ("readings", "status", "wave"))


@pytest.fixture(scope="session")
def tables() -> dict[str, dict[str, Any]]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in CONTENT.glob("*.toml")}


@pytest.fixture(scope="session")
def profiles(tables: dict[str, dict[str, Any]]) -> tuple[Profile, ...]:
    found, errors = read_profiles(tables)
    assert errors == []
    return found


@pytest.fixture
def homes() -> Homes:
    homes = Homes()
    for household in ("h001", "h002"):
        homes.add_device(household, "bed1", "bed-sensor")
        homes.add_device(household, "meter", "smart-meter")
        homes.add_device(household, "room", "room-climate")
        homes.add_device(household, "door", "door-sensor")
        homes.add_device(household, "plug", "power-meter")
        homes.add_device(household, "bare")
    return homes


@pytest.fixture
def metrics(profiles: tuple[Profile, ...]) -> Metrics:
    return Metrics(declared_metrics(profiles))


@pytest.fixture
def decoder(homes: Homes, metrics: Metrics, profiles: tuple[Profile, ...]) -> Decoder:
    return Decoder(homes, metrics, profiles)


class Mosquitto:
    """A real mosquitto with the shipped configuration, on a free port, its data in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = folder
        self.process: asyncio.subprocess.Process | None = None
        shipped = (CONTENT / "mosquitto.conf").read_text(encoding="utf-8")
        (folder / "mosquitto.conf").write_text(
            shipped.replace("listener 1883", f"listener {self.port}").replace("/var/lib/mosquitto/", f"{folder}/")
            + "user root\n"
        )

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            "mosquitto", "-c", str(self.folder / "mosquitto.conf"), stderr=asyncio.subprocess.DEVNULL
        )
        await until(self._answers)

    async def stop(self, *, kill: bool = False) -> None:
        if self.process is not None and self.process.returncode is None:
            (self.process.kill if kill else self.process.terminate)()
            await asyncio.wait_for(self.process.wait(), 5)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def mosquitto(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Mosquitto]]:
    @asynccontextmanager
    async def serve() -> AsyncIterator[Mosquitto]:
        server = Mosquitto(tmp_path)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()

    return serve


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Returns once the condition holds; fails the test after `within` seconds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what we wait for is in another process
            await asyncio.sleep(0.01)


def message(payload: Any, topic: str = BED, **more: Any) -> Message:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic=topic, payload=body, got=more.pop("got", NOW), **more)


def said(decoder: Decoder, payload: Any, topic: str = BED, **more: Any) -> Decoded:
    return decoder.decode([message(payload, topic, **more)], NOW)


def rows(decoded: Decoded, metrics: Metrics) -> list[tuple[str, float]]:
    batch = decoded.batch
    return [(metrics[int(m)].name, float(v)) for m, v in zip(batch.metric, batch.value, strict=True)]
