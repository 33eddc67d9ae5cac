"""What the tests of the stores share: a ledger, a private PostgreSQL, a private InfluxDB behind a small proxy."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from sqlalchemy import create_engine, make_url, text

from mimamori.model.alert import AlertEvent, EventKind, Priority
from mimamori.model.notice import Notice
from mimamori.model.times import MINUTE, SECOND
from mimamori.store.ledger import Ledger

pytest.register_assert_rewrite(f"{__name__.rpartition('.')[0]}.world")  # so that its asserts say what differs


def _program(name: str) -> Path:
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}")] + [Path(p) for p in [shutil.which(name)] if p]
    if not found:
        pytest.fail(f"{name} is not installed; install Debian's postgresql to run the server tests")
    return max(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a fresh cluster on a free port, in a folder of its own; PostgreSQL refuses to run as root."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="mimamori-pg-") as name:
        folder = Path(name)
        user = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        data = folder / "data"
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", "mimamori", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        control = [_program("pg_ctl"), "-D", data, "-w"]
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        subprocess.run(
            [*control, "-l", folder / "log", "-o", options, "start"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **user,
        )  # fmt: skip
        try:
            yield f"postgresql+psycopg://mimamori@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder, **user)


@pytest.fixture
def postgres_url(postgres: str, request: pytest.FixtureRequest) -> str:
    """URL of a database of the test's own, without tables."""
    name = f"t{abs(hash(request.node.name))}"
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(postgres).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/site/ledger.sqlite"


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(url)
    yield ledger
    await ledger.close()


T0 = 1_795_000_000 * SECOND


def event(kind: EventKind = "opened", alert: str = "h1/inactivity/1", at: int = T0) -> AlertEvent:
    return AlertEvent(
        alert=alert, kind=kind, at=at, by="engine", reason="no sign of life", household=alert.partition("/")[0],
        rule="inactivity", since=at - MINUTE, title_ja="活動がありません", title_en="No activity",
        evidence={"expected": np.float64(16.7), "seen": 0, "since": "05:10", "doubt": np.float32(0.5)},
    )  # fmt: skip


def notice(step: int = 0, due: int = T0, priority: Priority = "high", alert: str = "h1/inactivity/1") -> Notice:
    return Notice(
        alert=alert, step=step, recipient="n1", channel="sms", round=0, kind="first", priority=priority,
        address="+819012345678", text="見守り", due=due, reason="first",
    )  # fmt: skip


class Influx:
    """A real InfluxDB 1.6 on a free port, its data in a folder, and in front of it what 1.6 lacks: /api/v2/write.

    answers: what the next writes are answered instead (status, headers), oldest first. forwarded: writes let through.
    """

    def __init__(self, folder: Path) -> None:
        self.port, self._proxy_port, backup = _free_port(), _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self._proxy_port}"
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.authorizations: list[str] = []
        self.forwarded = 0
        self._process: asyncio.subprocess.Process | None = None
        self._config = folder / "influxdb.conf"
        folder.mkdir(exist_ok=True)
        self._config.write_text(
            f"""reporting-enabled = false
bind-address = "127.0.0.1:{backup}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
index-version = "tsi1"
query-log-enabled = false
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
"""
        )

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            _influxd(), "-config", str(self._config), stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.post(
                        f"http://127.0.0.1:{self.port}/query", data={"q": "CREATE DATABASE mimamori"}
                    ) as answer:
                        assert answer.status == 200
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)

    async def stop(self, *, kill: bool = False) -> None:
        if self._process is not None and self._process.returncode is None:
            (self._process.kill if kill else self._process.terminate)()
            await asyncio.wait_for(self._process.wait(), 20)

    async def proxy(self) -> web.AppRunner:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/api/v2/write", self._forward)
        app.router.add_post("/query", self._forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._proxy_port).start()
        return runner

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path == "/query":
            path, query = "/query", dict(request.query)
        else:
            self.authorizations.append(request.headers.get("Authorization", ""))
            if self.answers:
                status, headers = self.answers.pop(0)
                return web.Response(status=status, headers=headers, text="not now")
            self.forwarded += 1
            # 1.6 takes an unknown name of a precision for nanoseconds without a word
            precision = {"ns": "n", "us": "u", "ms": "ms", "s": "s"}[request.query["precision"]]
            path, query = "/write", {"db": request.query["bucket"], "precision": precision}
        kind = {"Content-Type": request.headers.get("Content-Type", "text/plain")}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://127.0.0.1:{self.port}{path}", params=query, data=body, headers=kind) as answer,
            ):
                told = await answer.read()
                return web.Response(status=answer.status, body=told, content_type=answer.content_type)
        except aiohttp.ClientError:
            return web.Response(status=503, text="no database behind the proxy")


def _influxd() -> str:
    found = shutil.which("influxd")
    if not found:
        pytest.fail("influxd is not installed; install Debian's influxdb to run the server tests")
    return found


@pytest.fixture
async def influx(tmp_path: Path) -> AsyncIterator[Influx]:
    server = Influx(tmp_path / "influx")
    runner = await server.proxy()
    await server.start()
    yield server
    await runner.cleanup()
    await server.stop()
