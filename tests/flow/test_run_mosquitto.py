"""`mimamori run` as a site runs it: a real mosquitto that asks for a log-in, everything from the environment."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from mimamori.store.ledger import Ledger

pytestmark = pytest.mark.server
CHECKOUT = Path(__file__).parents[2]
USER, WORD = "mimamori", "kinmokusei-7"
Until = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the broker listens, and the certificate by which it is known; None without TLS."""

    port: int
    certificate: Path | None = None

    @property
    def url(self) -> str:
        return f"mqtt{'s' if self.certificate else ''}://127.0.0.1:{self.port}"

    @property
    def trust(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=str(self.certificate)) if self.certificate else None


async def done(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0, command


@pytest.fixture(params=["mqtt", "mqtts"])
async def mosquitto(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """The shipped configuration, but for the port and that nobody comes in without a password; with TLS or without."""
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o700)
    users = folder / "passwd"
    await done("mosquitto_passwd", "-b", "-c", str(users), USER, WORD)
    secure = request.param == "mqtts"
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if secure:
        await done(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
        )  # fmt: skip
    shipped = (CHECKOUT / "sensors" / "mosquitto.conf").read_text(encoding="utf-8")
    assert "allow_anonymous true" in shipped
    (folder / "mosquitto.conf").write_text(
        shipped.replace("listener 1883", f"listener {port}")
        .replace("/var/lib/mosquitto/", f"{folder}/")
        .replace("allow_anonymous true", f"allow_anonymous false\npassword_file {users}")
        + (f"certfile {certificate}\nkeyfile {key}\n" if secure else "")
        + "user root\n"
    )
    process = await asyncio.create_subprocess_exec(
        "mosquitto", "-c", str(folder / "mosquitto.conf"), stderr=asyncio.subprocess.DEVNULL
    )
    yield Server(port=port, certificate=certificate if secure else None)
    process.terminate()
    await asyncio.wait_for(process.wait(), 5)


async def test_a_reading_reaches_the_store_past_a_log_in(  # noqa: PLR0917 - fixtures
    mosquitto: Server,
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
        "MIMAMORI_DATA": str(data), "MIMAMORI_BROKER": mosquitto.url,
        "MIMAMORI_BROKER_USER": USER, "MIMAMORI_BROKER_PASSWORD": WORD, "MIMAMORI_PORT": str(port),
    }  # fmt: skip
    if mosquitto.certificate:
        settings["SSL_CERT_FILE"] = str(mosquitto.certificate)
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
            async with aiomqtt.Client("127.0.0.1", mosquitto.port, tls_context=mosquitto.trust):
                pass
        async with aiomqtt.Client(
            "127.0.0.1", mosquitto.port, username=USER, password=WORD, tls_context=mosquitto.trust
        ) as device:
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
