"""`mimamori run` as a site runs it: a real mosquitto that asks for a log-in, everything from the environment."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from mimamori.store.ledger import Ledger

pytestmark = pytest.mark.server
CHECKOUT = Path(__file__).parents[2]
USER, WORD = "mimamori", "kinmokusei-7"
Until = Callable[..., Awaitable[Any]]


@pytest.fixture
async def mosquitto_port(tmp_path: Path) -> AsyncIterator[int]:
    """The shipped configuration, but for the port and that nobody comes in without a password."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o700)
    users = folder / "passwd"
    made = await asyncio.create_subprocess_exec(
        "mosquitto_passwd", "-b", "-c", str(users), USER, WORD, stderr=asyncio.subprocess.DEVNULL
    )
    assert await made.wait() == 0
    shipped = (CHECKOUT / "sensors" / "mosquitto.conf").read_text(encoding="utf-8")
    assert "allow_anonymous true" in shipped
    (folder / "mosquitto.conf").write_text(
        shipped.replace("listener 1883", f"listener {port}")
        .replace("/var/lib/mosquitto/", f"{folder}/")
        .replace("allow_anonymous true", f"allow_anonymous false\npassword_file {users}")
        + "user root\n"
    )
    mosquitto = await asyncio.create_subprocess_exec(
        "mosquitto", "-c", str(folder / "mosquitto.conf"), stderr=asyncio.subprocess.DEVNULL
    )
    yield port
    mosquitto.terminate()
    await asyncio.wait_for(mosquitto.wait(), 5)


async def test_a_reading_reaches_the_store_past_a_log_in(  # noqa: PLR0917 - fixtures
    mosquitto_port: int,
    tmp_path: Path,
    port: int,
    register: Callable[[Ledger], Awaitable[None]],
    api_at: Callable[..., Any],
    until: Until,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    url = f"sqlite:///{data / 'ledger.sqlite'}"
    ledger = await Ledger.open(url)
    await register(ledger)
    await ledger.close()
    settings = {
        "MIMAMORI_DATA": str(data), "MIMAMORI_BROKER": f"mqtt://127.0.0.1:{mosquitto_port}",
        "MIMAMORI_BROKER_USER": USER, "MIMAMORI_BROKER_PASSWORD": WORD, "MIMAMORI_PORT": str(port),
    }  # fmt: skip
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mimamori.cli", "run",
        env={k: v for k, v in os.environ.items() if not k.startswith("MIMAMORI_")} | settings,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        api = api_at(port)

        async def up() -> bool:
            assert run.returncode is None
            return bool(await api.up())

        await until(up, 30)
        assert (await api.get("quarantine"))["counts"] == {}
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", mosquitto_port):
                pass
        async with aiomqtt.Client("127.0.0.1", mosquitto_port, username=USER, password=WORD) as device:
            for rate in (61, 62, 63):
                payload = f'{{"v": {{"heart_rate": {rate}, "in_bed": 1}}}}'
                await device.publish("mimamori/v1/H001/bed1/readings", payload, qos=1)

            async def stored() -> bool:
                return bool(await api.count("readings") == 6)

            await until(stored)
        run.send_signal(signal.SIGTERM)
        out, errors = await asyncio.wait_for(run.communicate(), 5)
        assert run.returncode == 0, errors.decode()
        assert WORD not in (out + errors).decode(), "secrets are never printed"
        assert f"http://127.0.0.1:{port}" in errors.decode()
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    shutil.rmtree(data)
