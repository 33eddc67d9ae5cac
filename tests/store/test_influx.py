"""The InfluxDB store of readings: what every store keeps, and what is its own."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, SECOND
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.influx import InfluxReadings
from mimamori.store.influxql import Server
from mimamori.store.readings import StoreError

from .conftest import Influx
from .world import T0, Conformance, Twin, World, metrics_with_odd, random_batch


@pytest.mark.server
class TestInflux(Conformance):
    """The same promises on a real InfluxDB, whose own are others: there, the last of equal points stands."""

    @pytest.fixture
    async def world(self, influx: Influx, tmp_path: Path) -> AsyncIterator[World]:
        homes, metrics = Homes(), metrics_with_odd()
        for household in range(20):
            for device in ("bed", "meter"):
                homes.add_device(f"h{household}", device, "any")
        store = await opened(influx, tmp_path / "spool", homes, metrics)
        yield World(store, Twin(homes, metrics), homes, metrics)
        await store.close()

    async def settle(self, world: World) -> None:
        assert isinstance(world.store, InfluxReadings)
        await world.store.flush()
        assert world.store.counts.waiting == 0
        assert world.store.trouble == ""

    async def test_a_server_that_is_down_is_caught_up_in_order(
        self, world: World, influx: Influx, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(11)
        await world.append(random_batch(rng, world.homes, world.metrics, 300, T0))
        await self.settle(world)
        await influx.stop(kill=True)
        for step in range(5):
            await world.append(random_batch(rng, world.homes, world.metrics, 300, T0 + step * MINUTE))
        assert isinstance(world.store, InfluxReadings)
        with pytest.raises(StoreError):
            await world.store.flush()
        assert world.store.counts.waiting == 1500
        assert "waiting on the local disk" in world.store.trouble
        with pytest.raises(StoreError):
            await world.store.scan("h1", T0 - DAY, T0 + DAY)
        await world.store.close()  # and the service is restarted meanwhile
        store = await opened(influx, tmp_path / "spool", world.homes, world.metrics)
        assert store.counts.waiting == 1500
        await influx.start()
        world.store = store
        await until_flushed(store)
        await world.check()
        await store.close()

    async def test_what_a_forgetful_restart_sends_again_changes_nothing(
        self, world: World, influx: Influx, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(12)
        batch = random_batch(rng, world.homes, world.metrics, 400, T0)
        await world.append(batch)
        await self.settle(world)
        await world.store.close()
        store = await opened(influx, tmp_path / "another spool", world.homes, world.metrics)
        world.store = store
        again = replace(batch, got=batch.got + HOUR, value=batch.value + 1)
        await store.append(again)
        await self.settle(world)
        assert store.counts.duplicates == len(batch)
        await world.check()
        told = await world.arrivals()
        assert len(told) == len(world.twin.rows)
        await store.close()

    async def test_it_tries_again_when_told_to_wait(self, world: World, influx: Influx) -> None:
        influx.answers += [(503, {}), (429, {"Retry-After": "1"}), (500, {})]
        await world.append(random_batch(np.random.default_rng(13), world.homes, world.metrics, 100, T0))
        assert isinstance(world.store, InfluxReadings)
        await until_flushed(world.store)
        assert influx.answers == []
        await world.check()

    async def test_a_line_that_is_refused_is_set_aside_alone(
        self, world: World, influx: Influx, tmp_path: Path
    ) -> None:
        """Somebody else has written text where a number belongs: that device's lines can never be stored."""
        async with aiohttp.ClientSession() as session:
            text = f'readings,device=bed,household=h3 heart_rate="fast",got=1i,flags=0i {T0}'
            async with session.post(f"http://127.0.0.1:{influx.port}/write?db=mimamori", data=text) as answer:
                assert answer.status == 204
        device, heart, motion = (
            world.homes.find_device("h4", "bed"), world.metrics.index("heart_rate"), world.metrics.index("motion"),
        )  # fmt: skip
        home = world.homes.device_home[device]
        rows = [(home, device, motion, 1.0, T0 + i * SECOND, T0, 0) for i in range(50)]
        bad = [(home, device, heart, 61.0, T0 + (100 + i) * SECOND, T0, 0) for i in range(3)]
        await world.store.append(reading_batch([*rows, *bad]))
        await self.settle(world)
        (series,) = await world.store.scan("h4", T0, T0 + HOUR, ["motion"])
        assert len(series) == 50
        assert world.store.counts.refused == 3
        await world.store.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "spool" / "spool.sqlite")) as spool:
            told = spool.execute("SELECT line, reason FROM refused").fetchall()
        assert len(told) == 3
        assert all("heart_rate=61" in line and "conflict" in reason for line, reason in told)

    @pytest.mark.parametrize(
        ("token", "sent"), [("nurse:asagao", "Basic bnVyc2U6YXNhZ2Fv"), ("abc==", "Token abc=="), ("", "")]
    )
    async def test_the_token_goes_in_the_form_that_the_server_knows(
        self, influx: Influx, tmp_path: Path, token: str, sent: str
    ) -> None:
        homes, metrics = Homes(), metrics_with_odd()
        homes.add_device("h1", "bed")
        store = await opened(influx, tmp_path / "spool", homes, metrics, token=token)
        await store.append(reading_batch([(0, 0, 0, 61.0, T0, T0, 0)]))
        await store.flush()
        assert [a.removeprefix("Token ") if not token else a for a in influx.authorizations] == [sent]
        await store.close()

    async def test_a_backup_is_an_embedded_store(self, world: World, tmp_path: Path) -> None:
        rng = np.random.default_rng(14)
        await world.append(random_batch(rng, world.homes, world.metrics, 400, T0))
        await self.settle(world)
        await world.append(random_batch(rng, world.homes, world.metrics, 50, T0 + HOUR))
        await world.store.backup(tmp_path / "copy")
        copy = await EmbeddedReadings.open(tmp_path / "copy", homes=world.homes, metrics=world.metrics)
        again = World(copy, world.twin, world.homes, world.metrics)
        await again.check()
        await copy.close()


async def opened(influx: Influx, folder: Path, homes: Homes, metrics: Metrics, token: str = "") -> InfluxReadings:
    server = Server(url=influx.url, bucket="mimamori", token=token)
    return await InfluxReadings.open(folder, server, homes=homes, metrics=metrics, pause=0.05)


async def until_flushed(store: InfluxReadings) -> None:
    """However often an attempt fails on the way."""
    async with asyncio.timeout(30):
        while store.counts.waiting:
            with contextlib.suppress(StoreError):
                await store.flush()
