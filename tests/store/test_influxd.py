"""InfluxDB 1.6 as it is, with the configuration we ship and nothing in front of it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mimamori.influxd import Influxd
from mimamori.site import load_site
from mimamori.store.influxql import AwayError, RefusedError, Server

pytestmark = pytest.mark.server


@pytest.fixture
async def influxd(tmp_path: Path) -> AsyncIterator[Influxd]:
    site = load_site(Path(__file__).parents[2])
    server = Influxd(site, tmp_path / "influx")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def server(influxd: Influxd) -> AsyncIterator[Server]:
    server = Server(url=influxd.url, bucket="mimamori")
    yield server
    await server.close()


async def test_an_old_server_is_written_to_in_its_own_way(server: Server) -> None:
    lines = [b"readings,device=bed1,household=h1 heart_rate=%d,got=5i,flags=0i %d" % (i, 10**18 + i) for i in range(3)]
    for line in lines:  # the first finds out, the others know
        await server.write([line])
    [[(_, columns, points)]] = await server.ask("SELECT heart_rate FROM readings")
    assert (columns, points) == (["time", "heart_rate"], [[10**18 + i, i] for i in range(3)]), "nanoseconds"


async def test_its_refusals_keep_their_kinds(influxd: Influxd, server: Server) -> None:
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"400 .*missing fields"):
            await server.write([b"readings,device=bed1"])
    elsewhere = Server(url=influxd.url, bucket="nowhere")
    with pytest.raises(AwayError, match="make the bucket"):
        await elsewhere.write([b"readings v=1 1"])
    await elsewhere.close()
    await influxd.stop(kill=True)
    with pytest.raises(AwayError):
        await server.write([b"readings v=1 1"])


async def test_a_newer_server_in_its_place_is_written_to_in_the_new_way(influxd: Influxd, server: Server) -> None:
    await server.write([b"readings v=1 1"])
    await influxd.stop()
    written: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        written.append(await request.read())
        return web.Response(status=204)

    async with _serving(influxd.url, take):
        with contextlib.suppress(AwayError):  # the old way is gone: told, and tried again as ever
            await server.write([b"readings v=2 2"])
        await server.write([b"readings v=2 2"])
    assert written == [b"readings v=2 2"]


@contextlib.asynccontextmanager
async def _serving(url: str, take: Callable[[web.Request], Any]) -> AsyncIterator[None]:
    async def missing(_request: web.Request) -> web.Response:
        return web.Response(status=404, text="404 page not found")

    app = web.Application()
    app.router.add_post("/api/v2/write", take)
    app.router.add_post("/write", missing)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(url.rpartition(":")[2])).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def test_the_shipped_configuration_takes_more_households_than_the_default(influxd: Influxd) -> None:
    lines = b"\n".join(b"readings,device=bed1,household=h%d v=1 1" % i for i in range(100_100))
    async with aiohttp.ClientSession() as session:
        where = {"db": "mimamori", "precision": "n"}
        async with session.post(f"{influxd.url}/write", params=where, data=io.BytesIO(lines)) as answer:
            assert answer.status == 204, await answer.text()
