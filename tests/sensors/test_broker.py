"""The embedded broker: starts on a free port of this machine only, keeps strangers out, and stops at once."""

from __future__ import annotations

import asyncio
import socket

import aiomqtt
import pytest

from mimamori.sensors.broker import Broker
from mimamori.sensors.collector import Collector

from .conftest import until


def listens(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


async def test_it_is_there_inside_the_block_and_gone_after() -> None:
    async with Broker() as broker:
        assert broker.url == f"mqtt://127.0.0.1:{broker.port}"
        assert listens(broker.port)
        leaving = asyncio.get_running_loop().time()
    assert not listens(broker.port)
    assert asyncio.get_running_loop().time() - leaving < 2


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind() -> None:
    async with Broker() as broker:
        with pytest.raises(OSError, match=str(broker.port)):
            await Broker(port=broker.port).__aenter__()
        assert listens(broker.port)


async def test_the_password_is_asked_for() -> None:
    word = 'p"\\ä=1'
    async with Broker(username="devices", password=word) as broker:
        with pytest.raises(aiomqtt.MqttError):
            await aiomqtt.Client("127.0.0.1", broker.port, username="devices", password="no", timeout=2).__aenter__()
        async with (
            Collector(url=broker.url, client_id="s", clock=lambda: 1, username="devices", password=word) as c,
            Collector(url=broker.url, client_id="t", clock=lambda: 1, username="devices", password="no") as stranger,
        ):
            assert await c.wait_connected(5)
            await until(lambda: stranger.counts.failures >= 2)
            assert not stranger.connected


def test_a_name_without_a_password_is_refused() -> None:
    with pytest.raises(ValueError, match="or neither"):
        Broker(username="devices")
